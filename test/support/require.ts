/**
 * Capabilities a test needs and a machine may lack: how a test is skipped, and why.
 *
 * A skip is an error under REQUIRE_ALL=1, except where the capability is hardware that nobody can
 * install. The reason stays on the skipped test or suite, where the reporter finds it.
 */

export interface SkipReason {
  readonly capability: string;
  /** Hardware that cannot be installed: allowed to be missing under REQUIRE_ALL=1. */
  readonly hardware: boolean;
}

const reasonKey: unique symbol = Symbol('pageferry skip reason');

interface Markable {
  [reasonKey]?: SkipReason;
}

/** Whether every capability that can be installed has to be there. */
export function requiresAll(): boolean {
  return process.env['REQUIRE_ALL'] === '1';
}

/**
 * Goes on when the capability is available; otherwise skips the test, or the whole suite when
 * called in a `before` hook, and under REQUIRE_ALL=1 fails unless it is hardware.
 *
 *     before(function () {
 *       requireCapability(this, 'a usable /dev/kvm', kvmWorks, { hardware: true });
 *     });
 */
export function requireCapability(
  context: Mocha.Context,
  capability: string,
  available: boolean,
  options: { readonly hardware?: boolean } = {},
): void {
  if (available) return;
  const hardware = options.hardware ?? false;
  if (requiresAll() && !hardware) {
    throw new Error(`REQUIRE_ALL=1, and this is missing: ${capability}`);
  }
  const runnable = context.test;
  const skipped = skippedBy(runnable, context.currentTest);
  if (skipped) (skipped as Markable)[reasonKey] = { capability, hardware };
  context.skip();
}

/** What a skip in this test or hook leaves out. Mocha sets currentTest in every kind of hook. */
function skippedBy(
  runnable: Mocha.Runnable | undefined,
  currentTest: Mocha.Test | undefined,
): object | undefined {
  if (runnable?.title.startsWith('"before each" hook')) return currentTest;
  if (runnable?.title.startsWith('"before all" hook')) return runnable.parent;
  return runnable;
}

/** Why a pending test was skipped: its own reason, or that of a suite around it. */
export function skipReasonOf(test: Mocha.Test): SkipReason | undefined {
  let at: Mocha.Test | Mocha.Suite | undefined = test;
  while (at) {
    const reason = (at as Markable)[reasonKey];
    if (reason) return reason;
    at = at.parent;
  }
  return undefined;
}
