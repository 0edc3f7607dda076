/**
 * What: which lanes stand still while others get on. Two signs, each measured against the others,
 * because a peer that is busy is so on all lanes:
 *   - nothing is heard on the lane, not even answers to pings;
 *   - a record of pages is not acknowledged, while later ones on other lanes are.
 * Only page records count: messages and tokens wait for each other at the peer. Pure.
 */

export interface WatchedLane {
  readonly isOpen: boolean;
  /** When anything came on it last. */
  heardMs(): number;
  /** Since when it owes an acknowledgement of a page record; undefined: it owes none. */
  readonly owesSinceMs: number | undefined;
  /** When a page record on it was acknowledged last. */
  readonly acknowledgedMs: number;
}

function isSilent(lane: WatchedLane, others: readonly WatchedLane[], stallMs: number): boolean {
  const silentSinceMs = lane.heardMs();
  return others.some((other) => other.heardMs() - silentSinceMs > stallMs);
}

function isOwing(
  lane: WatchedLane,
  others: readonly WatchedLane[],
  nowMs: number,
  stallMs: number,
): boolean {
  const { owesSinceMs } = lane;
  if (owesSinceMs === undefined || nowMs - owesSinceMs <= stallMs) return false;
  return others.some(({ acknowledgedMs }) => acknowledgedMs > owesSinceMs);
}

export function stalledLanes<Lane extends WatchedLane>(
  lanes: readonly Lane[],
  nowMs: number,
  stallMs: number,
): Lane[] {
  const open = lanes.filter(({ isOpen }) => isOpen);
  return open.filter((lane) => {
    const others = open.filter((other) => other !== lane);
    return isSilent(lane, others, stallMs) || isOwing(lane, others, nowMs, stallMs);
  });
}
