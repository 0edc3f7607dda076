/** What: what a role does with records of pages and with tokens; only the destination does. */
import type { RecordKind } from '../wire/record-head.js';
import type { SessionLane } from './session-lane.js';

export interface RecordTraffic {
  reserve(lane: SessionLane, kind: RecordKind, bytes: number): Uint8Array | Promise<Uint8Array>;
  record(lane: SessionLane, kind: RecordKind, buffer: Uint8Array, bytes: number): void;
  laneLost(lane: SessionLane): void;
  /** Resolves when nothing that has arrived is still being worked on. */
  idle(): Promise<void>;
}
