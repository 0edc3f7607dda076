/**
 * What: when to stop the guest. Pure: from what the rounds have measured to a decision.
 *
 * Estimated downtime = fixed cost + pages left / measured rate. The fixed cost (last look at the
 * dirty pages, round trips, and with verify the digest of all RAM; downtime-costs.ts) is the same
 * after any number of rounds; only the second part is what further rounds can lower. So:
 *   - stop when the estimate is within the limit;
 *   - stop when the second part alone is below FLOOR_SHARE of the limit: the fixed cost then is
 *     what is left, and another round would not change it;
 *   - stop when the number of epochs is reached, whatever is left.
 */

import type { FixedCosts } from './downtime-costs.js';

/** A tenth of the limit: less than rounds differ from each other anyway. */
const FLOOR_SHARE = 0.1;

/**
 * Rounds with fewer content pages measure their round trip, not a rate: 4 MiB take 4 ms at
 * 1 GB/s, far more than a round trip within a site.
 */
const PAGES_TO_MEASURE = 1024;

/** The last epoch's acceptance; READY with COMMIT after it. */
const ROUND_TRIPS = 2;

/** Assumed until a round has measured one: 0.5 GB/s, a slow 10 Gbit/s link. */
const PAGES_PER_SECOND_ASSUMED = 125_000;

export interface MeasuredRound {
  readonly contentPages: number;
  readonly durationMs: number;
}

export interface StopQuestion {
  readonly pagesLeft: number;
  readonly rounds: readonly MeasuredRound[];
  readonly fixed: FixedCosts;
  /** What a bandwidth limit allows; Infinity without one. A change counts at once. */
  readonly pagesPerSecondMost: number;
  readonly downtimeLimitMs: number;
  /** Epochs done so far, and how many there may be before the last. */
  readonly epochsDone: number;
  readonly maxEpochs: number;
}

/** `idle`: the guest does not run, and makes nothing dirty. */
export type StopReason = 'fits' | 'fixed-cost' | 'epoch-limit' | 'idle';

export interface StopDecision {
  readonly estimatedDowntimeMs: number;
  readonly downtimeLimitMs: number;
  /** Pages that can be left at the stop: what the limit, or the floor, has room for. */
  readonly budgetPages: number;
  /** What the lanes carry. */
  readonly pagesPerSecond: number;
  /** Undefined: another round. */
  readonly stop: StopReason | undefined;
}

/** Content pages per second of the last round that was long enough to tell. */
export function measuredRate(rounds: readonly MeasuredRound[]): number {
  const telling = rounds.findLast(({ contentPages }) => contentPages >= PAGES_TO_MEASURE);
  if (telling === undefined) return PAGES_PER_SECOND_ASSUMED;
  return (telling.contentPages / Math.max(telling.durationMs, 0.001)) * 1000;
}

export function decideStop(question: StopQuestion): StopDecision {
  const { collectMs, roundTripMs, digestMs } = question.fixed;
  const { downtimeLimitMs } = question;
  const rate = Math.min(measuredRate(question.rounds), question.pagesPerSecondMost);
  const variableMs = (question.pagesLeft / rate) * 1000;
  const fixedMs = collectMs + roundTripMs * ROUND_TRIPS + digestMs;
  const estimatedDowntimeMs = fixedMs + variableMs;
  const floorMs = downtimeLimitMs * FLOOR_SHARE;
  const budgetPages = (Math.max(downtimeLimitMs - fixedMs, floorMs) / 1000) * rate;
  const decide = (stop: StopReason | undefined): StopDecision => ({
    estimatedDowntimeMs,
    downtimeLimitMs,
    budgetPages,
    pagesPerSecond: rate,
    stop,
  });
  if (estimatedDowntimeMs <= downtimeLimitMs) return decide('fits');
  if (variableMs <= floorMs) return decide('fixed-cost');
  if (question.epochsDone >= question.maxEpochs) return decide('epoch-limit');
  return decide(undefined);
}
