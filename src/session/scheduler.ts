/** What: which lane carries the next frame. Pure. */

export interface Schedulable {
  readonly isOpen: boolean;
  /** Bytes given to the lane that it has not handed on yet. */
  readonly queuedBytes: number;
  /** Bytes given to the lane so far. */
  readonly givenBytes: number;
}

/**
 * The open lane with the fewest queued bytes; among equals the one that was given least so far,
 * so that idle lanes take turns. Undefined when none is open.
 */
export function pickLane<Lane extends Schedulable>(lanes: Iterable<Lane>): Lane | undefined {
  let best: Lane | undefined;
  for (const lane of lanes) {
    if (!lane.isOpen) continue;
    if (best === undefined || lane.queuedBytes < best.queuedBytes) best = lane;
    else if (lane.queuedBytes === best.queuedBytes && lane.givenBytes < best.givenBytes)
      best = lane;
  }
  return best;
}
