/** What: how many lanes a session opens when nobody says. Pure. */
import type { TransportCapabilities } from './contract.js';

/**
 * Two lanes keep a core busy: while one waits for the system or the peer, the other is served. More
 * only take turns, and each costs both sides a frame in flight.
 */
const lanesPerCore = 2;

/** As many as the transport says are worth having, as far as there are cores to serve them. */
export function defaultLaneCount(
  { defaultLanes }: Pick<TransportCapabilities, 'defaultLanes'>,
  cores: number,
): number {
  return Math.max(1, Math.min(defaultLanes, lanesPerCore * cores));
}
