/** What: how the codec says that a peer sent what the protocol forbids, and texts made safe. */
import { ProtocolError } from '../errors.js';

/** The error for a field that is not what it has to be. */
export function badField(
  field: string,
  expected: string,
  received: string | number | bigint,
): ProtocolError {
  const shown = String(received);
  return new ProtocolError(
    'ERR_PAGEFERRY_PROTOCOL',
    `the peer sent ${field} ${shown}; expected ${expected}`,
    { field, expected, received: shown },
  );
}

/**
 * A peer's text as it may be shown on a terminal and written to a log: printable characters only,
 * cut at the limit.
 */
export function printable(text: string, charactersMax: number): string {
  const safe = text.replace(/[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/gu, '?');
  return safe.length <= charactersMax ? safe : `${safe.slice(0, charactersMax - 1)}…`;
}

/** A protobuf uint64 as a number; refused when a number cannot hold it. */
export function safeNumber(field: string, value: bigint): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw badField(field, 'a number below 2^53', value);
  }
  return Number(value);
}

export function checkLength(field: string, bytes: Uint8Array, expected: number): Uint8Array {
  if (bytes.length !== expected) throw badField(`${field} length`, `${expected}`, bytes.length);
  return bytes;
}
