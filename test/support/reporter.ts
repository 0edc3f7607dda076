/**
 * Mocha's spec reporter, and after it: every skip with its reason, and as the very last line
 * `N passed, N failed, N skipped`. Under REQUIRE_ALL=1 a skip that is not for missing hardware
 * counts as a failure.
 */

import Mocha from 'mocha';

import { requiresAll, skipReasonOf } from './require.js';

/** How long the process may go on after the last test before that counts as a leak. */
const lingerLimitMs = 5_000;

const { EVENT_TEST_FAIL, EVENT_TEST_PASS, EVENT_TEST_PENDING } = Mocha.Runner.constants;

export default class CountReporter extends Mocha.reporters.Spec {
  private passed = 0;
  private failed = 0;
  private skippedAgainstRules = 0;
  private readonly skips: string[] = [];

  constructor(runner: Mocha.Runner, options?: Mocha.MochaOptions) {
    super(runner, options);
    runner.on(EVENT_TEST_PASS, () => {
      this.passed += 1;
    });
    runner.on(EVENT_TEST_FAIL, () => {
      this.failed += 1;
    });
    runner.on(EVENT_TEST_PENDING, (test) => {
      this.noteSkip(test);
    });
  }

  /** Called by mocha once, after all output of the run; `finish` sets the exit code. */
  override done(failures: number, finish?: (failures: number) => void): void {
    for (const skip of this.skips) console.log(skip);
    if (this.skippedAgainstRules > 0) {
      console.log(`REQUIRE_ALL=1: ${this.skippedAgainstRules} skipped tests are failures`);
    }
    this.printCount();
    this.failWhenLingering();
    finish?.(failures + this.skippedAgainstRules);
  }

  private noteSkip(test: Mocha.Test): void {
    const reason = skipReasonOf(test);
    const needs = reason ? `needs ${reason.capability}` : 'no reason given';
    this.skips.push(`SKIPPED: ${test.fullTitle()}: ${needs}`);
    if (requiresAll() && reason?.hardware !== true) this.skippedAgainstRules += 1;
  }

  private printCount(): void {
    const failed = this.failed + this.skippedAgainstRules;
    const skipped = this.skips.length - this.skippedAgainstRules;
    console.log(`${this.passed} passed, ${failed} failed, ${skipped} skipped`);
  }

  /** Something a test left open keeps the process alive: say what, and fail. */
  private failWhenLingering(): void {
    const timer = setTimeout(() => {
      this.failed += 1;
      console.log(`still open after the last test: ${process.getActiveResourcesInfo().join(', ')}`);
      this.printCount();
      // Mocha sets the exit code of the run at exit; this comes after it.
      process.on('exit', () => {
        process.exitCode = 1;
      });
      process.exit();
    }, lingerLimitMs);
    timer.unref();
  }
}
