/**
 * What: the ways a ring can be broken, as stable codes. Pure.
 */
import { type ErrorCode, RingError } from '../errors.js';

/** What the device did that virtio forbids; each has a code of its own. */
export type RingViolation = 'advance' | 'id' | 'unknown' | 'bytes' | 'response';

const codes: Readonly<Record<RingViolation, ErrorCode>> = {
  /** used.idx moved past everything outstanding. */
  advance: 'ERR_PAGEFERRY_RING_ADVANCE',
  /** A used element names no descriptor of the table. */
  id: 'ERR_PAGEFERRY_RING_ID',
  /** A used element names no outstanding chain, or one that has been completed already. */
  unknown: 'ERR_PAGEFERRY_RING_UNKNOWN',
  /** A used length above what the chain lets the device write. */
  bytes: 'ERR_PAGEFERRY_RING_BYTES',
  /** A response that is too short or contradicts its used length. */
  response: 'ERR_PAGEFERRY_RING_RESPONSE',
};

export function ringViolation(kind: RingViolation, message: string): RingError {
  return new RingError(codes[kind], message);
}

/** For every use of a ring after a violation; the violation is the cause. */
export function ringPoisoned(cause: Error): RingError {
  return new RingError('ERR_PAGEFERRY_RING_POISONED', 'the ring is out of use', { cause });
}
