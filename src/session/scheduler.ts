/** What: which lane carries the next frame. Pure. */

export interface Schedulable {
  readonly isOpen: boolean;
  /** Bytes given to the lane that it has not handed on yet. */
  readonly queuedBytes: number;
  /** Bytes given to the lane so far. */
  readonly givenBytes: number;
  /** How fast it hands bytes on; undefined: not known, or not any more. */
  bytesPerMs(nowMs: number): number | undefined;
}

/**
 * Lanes whose estimates differ by less are taken for equal: a few milliseconds are nothing to a
 * session and much to a rate measured over a few frames, and a lane that once looked slow would get
 * nothing more to show that it is not.
 */
const equalWithinMs = 5;
const equalWithin = 1.25;

/**
 * The open lane that will have handed on a frame of `bytes` first, by what is queued on it and how
 * fast it drains; among equals the one with the fewest queued bytes, then the one that was given
 * least so far, so that idle lanes take turns. A lane whose rate is not known is taken for as fast
 * as the fastest: it gets a frame, and is known then. Undefined when none is open.
 */
export function pickLane<Lane extends Schedulable>(
  lanes: Iterable<Lane>,
  bytes: number,
  nowMs: number,
): Lane | undefined {
  const open = [...lanes].filter(({ isOpen }) => isOpen);
  const rates = open.map((lane) => lane.bytesPerMs(nowMs));
  const fastest = Math.max(...rates.map((rate) => rate ?? 0));
  const drainMs = open.map(({ queuedBytes }, index) => {
    const rate = rates[index] ?? (fastest > 0 ? fastest : 1);
    return (queuedBytes + bytes) / rate;
  });
  const firstMs = Math.min(...drainMs);
  const soonMs = fastest > 0 ? Math.max(firstMs * equalWithin, firstMs + equalWithinMs) : Infinity;
  let best: Lane | undefined;
  for (const [index, lane] of open.entries()) {
    if ((drainMs[index] ?? Infinity) > soonMs) continue;
    if (best === undefined || lane.queuedBytes < best.queuedBytes) best = lane;
    else if (lane.queuedBytes === best.queuedBytes && lane.givenBytes < best.givenBytes)
      best = lane;
  }
  return best;
}
