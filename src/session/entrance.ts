/** What: what dialing and listening sides need of the session that lanes join. */
import type { Mirror } from '../mirror/contract.js';
import type { EventEmitter } from './events.js';
import type { LaneSet } from './lane-set.js';
import type { Life } from './life.js';
import type { SessionMachine } from './machine.js';
import type { SessionLane } from './session-lane.js';
import type { Role } from './types.js';

export interface Entrance {
  readonly role: Role;
  readonly mirror: Mirror;
  readonly secret: Uint8Array;
  /** Lasts as long as lanes are wanted: to the session's close, beyond its first failure. */
  readonly life: Life;
  readonly machine: SessionMachine;
  readonly lanes: LaneSet;
  readonly events: EventEmitter;
  readonly peerTimeoutMs: number;
  readonly reconnectTimeoutMs: number;
  /** Numbers in [0, 1), for jitter. */
  readonly random: () => number;
}

/** For people, in Hello and HelloReply. */
export const product = 'pageferry';

/** Makes the helper ready for another handshake, after one that failed. */
export async function resetHelper({ mirror, secret }: Entrance): Promise<void> {
  await mirror.reset();
  await mirror.setSecret(secret);
}

/**
 * Runs the steps of a lane that has not joined yet, within a limit. When that ends them, the lane
 * is over, and the steps have settled when this rejects: the helper is free then.
 */
export async function runSteps<Value>(
  { life }: Entrance,
  lane: SessionLane,
  steps: Promise<Value>,
  what: string,
  timeoutMs: number,
): Promise<Value> {
  try {
    return await life.wait(steps, { what, timeoutMs });
  } catch (error) {
    if (life.failure !== undefined || isTimeout(error)) lane.abort(error as Error);
    await Promise.allSettled([steps]);
    throw error;
  }
}

function isTimeout(error: unknown): boolean {
  return (error as { code?: unknown }).code === 'ERR_PAGEFERRY_PEER_TIMEOUT';
}
