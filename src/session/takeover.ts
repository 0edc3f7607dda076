/**
 * What: the destination after its decision is durable: answer, resume, look whether the guest
 * lives, and tell the source.
 */
import type { Guest, SelfCheck } from '../guest/contract.js';
import type { OutgoingControl } from '../wire/control.js';
import type { SessionCore } from './core.js';
import { farewell } from './farewell.js';
import { waitWithin } from './life.js';
import { FIRST_TICK_TIMEOUT_MS } from './limits.js';
import type { Findings } from './report.js';
import { peakRssBytes } from './report.js';

export interface TakeOver {
  readonly core: SessionCore;
  readonly guest: Guest;
  readonly findings: Findings;
  /** Sends the answer to COMMIT; resolves when it is acknowledged. */
  readonly answer: (message: OutgoingControl) => Promise<boolean>;
}

const TICK_POLL_MS = 5;

/** Rejects only when the guest does not resume; lost lanes cost the source its figures. */
export async function takeOver({ core, guest, findings, answer }: TakeOver): Promise<void> {
  const startedMs = core.clock.now();
  // Both at once: the answer ends the source's doubt, the resume the guest's downtime.
  const answered = answer({ type: 'committed' }).then(
    (isTaken) => {
      if (isTaken) core.noteAnswered();
    },
    (error: unknown) => {
      core.life.fail(error as Error);
    },
  );
  const told = (): Promise<unknown> =>
    Promise.allSettled([core.life.wait(answered, core.peerWait('did not take our answer'))]);
  try {
    await guest.resume();
  } catch (error) {
    // The guest is this side's all the same, and without the answer the source is in doubt.
    await told();
    throw error;
  }
  const resumeMs = core.clock.now() - startedMs;
  findings.selfCheck = await checkGuest(core, guest, findings);
  findings.destinationRssBytes = peakRssBytes();
  // Where the lanes are lost the source stays in doubt; this guest runs all the same.
  await told();
  await farewell(core, {
    type: 'summary',
    peakRssBytes: findings.destinationRssBytes,
    resumeMs,
    ticks: findings.ticksAfter ?? undefined,
    selfCheck: findings.selfCheck,
  });
  core.machine.fire('finished');
}

/** Waits for the guest to tick on, then has it check its memory. */
async function checkGuest(
  core: SessionCore,
  guest: Guest,
  findings: Findings,
): Promise<SelfCheck | undefined> {
  const { ticksBefore } = findings;
  const untilMs = core.clock.now() + FIRST_TICK_TIMEOUT_MS;
  const hasTicked = (): boolean => (guest.activity()?.ticks ?? Infinity) > (ticksBefore ?? -1);
  while (!hasTicked() && core.clock.now() < untilMs) await pause(core);
  // Before the check, whose ticks take longer.
  const gapMs = guest.activity()?.longestGapMs;
  findings.guestLongestGapMs = gapMs === undefined || Number.isNaN(gapMs) ? null : gapMs;
  const selfCheck = await guest.selfCheck().catch((error: unknown) => {
    process.emitWarning(`pageferry: the guest did not check itself: ${String(error)}`);
    return { ok: false, pagesChecked: 0, badPages: 0 };
  });
  findings.ticksAfter = guest.activity()?.ticks ?? null;
  return selfCheck;
}

function pause(core: SessionCore): Promise<void> {
  const tick = new Promise<void>((resolve) => core.clock.after(TICK_POLL_MS, resolve));
  return waitWithin(core.clock, tick, { what: 'did not tick', timeoutMs: undefined });
}
