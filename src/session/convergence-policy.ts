/**
 * What: whether precopy will converge, and what is done when it will not. The prediction is pure;
 * ConvergencePolicy counts the rounds that promise no end and applies the policy of the settings.
 *
 * A round leaves what the guest writes while it lasts. With the lanes carrying r pages per second
 * and the guest writing d new ones, what is left shrinks by d / r from round to round; from `left`
 * to `budget`, what can be copied within the downtime limit, it takes
 *
 *     log(budget / left) / log(d / r)   rounds.
 *
 * Precopy stalls when d / r is no less than NO_PROGRESS, or that are more rounds than there may
 * be, in STALLED_ROUNDS rounds in a row.
 */
import { AbortError } from '../errors.js';
import type { Guest } from '../guest/contract.js';
import { formatCount } from '../units.js';
import type { StopDecision, StopReason } from './convergence.js';
import {
  STALLED_ROUNDS,
  THROTTLE_FIRST_PERCENT,
  THROTTLE_MOST_PERCENT,
  THROTTLE_STEP_PERCENT,
} from './limits.js';
import type { StallPolicy } from './settings.js';
import type { ConvergenceReport } from './types.js';

/** Rounds differ by more than 5 % anyway: a rate this near to the lanes' is no progress. */
const NO_PROGRESS = 0.95;

export interface Trend {
  readonly pagesLeft: number;
  /** What may be left when the guest stops. */
  readonly budgetPages: number;
  /** What the lanes carry, and what the guest writes anew, per second. */
  readonly sentPagesPerSecond: number;
  readonly dirtyPagesPerSecond: number;
  /** Rounds that there may be. */
  readonly roundsLeft: number;
}

/** Rounds until what is left fits; Infinity where it never does. */
export function roundsNeeded(trend: Trend): number {
  const { budgetPages, dirtyPagesPerSecond, pagesLeft, sentPagesPerSecond } = trend;
  if (pagesLeft <= budgetPages) return 0;
  const ratio = dirtyPagesPerSecond / Math.max(sentPagesPerSecond, 1e-9);
  if (ratio >= NO_PROGRESS || budgetPages <= 0) return Infinity;
  if (ratio <= 0) return 1;
  return Math.ceil(Math.log(budgetPages / pagesLeft) / Math.log(ratio));
}

export function converges(trend: Trend): boolean {
  return roundsNeeded(trend) <= trend.roundsLeft;
}

const stopTexts: Readonly<Record<StopReason, string>> = {
  fits: 'what was left fitted the downtime limit',
  'fixed-cost': 'what further rounds cannot lower (digests, round trips) was all that was left',
  'epoch-limit': 'the limit of rounds was reached',
  idle: 'the guest was not running',
};

export class ConvergencePolicy {
  #stalledRounds = 0;
  #throttlePercent = 0;
  #throttleMost = 0;
  #report: ConvergenceReport | undefined;

  constructor(
    private readonly guest: Pick<Guest, 'throttle'>,
    private readonly onChange: (report: ConvergenceReport) => void,
  ) {}

  /** Undefined while nothing had to be decided. */
  get report(): ConvergenceReport | undefined {
    return this.#report;
  }

  /** Whether to stop the guest after this round. Throws an AbortError with policy abort. */
  async decide(decision: StopDecision, trend: Trend, policy: StallPolicy | null): Promise<boolean> {
    const { stop } = decision;
    const reached = (chosen: ConvergenceReport['chosen'], reason: string, detail: string): void => {
      this.#note({ policy, chosen, reason, detail, ...facts(decision) });
    };
    if (stop === 'epoch-limit' && policy === 'abort') {
      reached('abort', stop, stopTexts[stop]);
      throw notConverging(stopTexts[stop]);
    }
    if (stop !== undefined) {
      const throttled = this.#throttleMost > 0 && stop === 'fits';
      const chosen = stop === 'epoch-limit' ? 'stop' : throttled ? 'throttle' : 'none';
      reached(chosen, stop, stopTexts[stop]);
      return true;
    }
    this.#stalledRounds = converges(trend) ? 0 : this.#stalledRounds + 1;
    if (policy === null || this.#stalledRounds < STALLED_ROUNDS) return false;
    this.#stalledRounds = 0;
    const why = stallText(trend);
    switch (policy) {
      case 'abort':
        reached('abort', 'stalled', why);
        throw notConverging(why);
      case 'stop':
        reached('stop', 'stalled', why);
        return true;
      case 'throttle':
        return this.#throttleMore(reached, why);
    }
  }

  /** After a migration that came to nothing: the guest runs on as it did. */
  async release(): Promise<void> {
    if (this.#throttlePercent === 0) return;
    await this.guest.throttle?.(0);
    this.#throttlePercent = 0;
  }

  async #throttleMore(
    reached: (chosen: ConvergenceReport['chosen'], reason: string, detail: string) => void,
    why: string,
  ): Promise<boolean> {
    if (this.guest.throttle === undefined) {
      reached('stop', 'throttle-unsupported', `${why}; this guest cannot be slowed down`);
      return true;
    }
    if (this.#throttlePercent >= THROTTLE_MOST_PERCENT) {
      reached('stop', 'throttle-exhausted', `${why}, slowed down by ${this.#throttlePercent} %`);
      return true;
    }
    const next =
      this.#throttlePercent === 0
        ? THROTTLE_FIRST_PERCENT
        : Math.min(THROTTLE_MOST_PERCENT, this.#throttlePercent + THROTTLE_STEP_PERCENT);
    await this.guest.throttle(next);
    this.#throttlePercent = next;
    this.#throttleMost = Math.max(this.#throttleMost, next);
    reached('throttle', 'stalled', why);
    return false;
  }

  #note(report: Omit<ConvergenceReport, 'throttlePercent'>): void {
    this.#report = { ...report, throttlePercent: this.#throttleMost };
    this.onChange(this.#report);
  }
}

function facts(
  decision: StopDecision,
): Pick<ConvergenceReport, 'estimatedDowntimeMs' | 'downtimeLimitMs'> {
  const { downtimeLimitMs, estimatedDowntimeMs } = decision;
  return { downtimeLimitMs, estimatedDowntimeMs };
}

function stallText({ dirtyPagesPerSecond, sentPagesPerSecond }: Trend): string {
  const writes = `the guest writes ${formatCount(dirtyPagesPerSecond)} new pages/s`;
  return `${writes}, the lanes carry ${formatCount(sentPagesPerSecond)}`;
}

function notConverging(why: string): AbortError {
  const message = `precopy does not converge: ${why}`;
  return new AbortError('ERR_PAGEFERRY_NOT_CONVERGING', message);
}
