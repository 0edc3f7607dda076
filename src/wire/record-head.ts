/**
 * What: what the session reads of a sealed record's header (native/abi/record.h): only to route
 * it. Nothing here is verified; the helper judges the record.
 */
import {
  OFFSET_pf_record_header_counter as counterOffset,
  OFFSET_pf_record_header_kind as kindOffset,
  PF_KIND_CONTROL,
  PF_KIND_DEVICE_STATE,
  PF_KIND_LANE,
  PF_KIND_PAGES,
  PF_KIND_TOKEN,
  PF_MESSAGE_BYTES_MAX,
  PF_RECORD_BYTES_MAX,
  PF_RECORD_HEADER_BYTES,
  PF_RECORD_TAG_BYTES,
  PF_TOKEN_BYTES,
} from '../native/abi.generated.js';
import { LANE_RECORD_BYTES_MAX } from './limits.js';
import { badField } from './problem.js';

export type RecordKind = 'pages' | 'control' | 'device-state' | 'token' | 'lane';

const frameBytes = PF_RECORD_HEADER_BYTES + PF_RECORD_TAG_BYTES;

const kinds: Readonly<Record<number, { kind: RecordKind; bytesMax: number } | undefined>> = {
  [PF_KIND_PAGES]: { kind: 'pages', bytesMax: PF_RECORD_BYTES_MAX },
  [PF_KIND_CONTROL]: { kind: 'control', bytesMax: frameBytes + PF_MESSAGE_BYTES_MAX },
  [PF_KIND_DEVICE_STATE]: { kind: 'device-state', bytesMax: frameBytes + PF_MESSAGE_BYTES_MAX },
  [PF_KIND_TOKEN]: { kind: 'token', bytesMax: frameBytes + PF_TOKEN_BYTES },
  [PF_KIND_LANE]: { kind: 'lane', bytesMax: LANE_RECORD_BYTES_MAX },
};

/** The kind of a record of `bytes` bytes by its first bytes; refuses none and too large ones. */
export function recordKind(head: Uint8Array, bytes: number): RecordKind {
  const known = kinds[head[kindOffset] ?? 0];
  if (known === undefined) throw badField('record kind', '1 to 5', head[kindOffset] ?? 'nothing');
  if (bytes < frameBytes || bytes > known.bytesMax) {
    throw badField(`${known.kind} record bytes`, `${frameBytes} to ${known.bytesMax}`, bytes);
  }
  return known.kind;
}

/** The counter a record claims to have. */
export function recordCounter(record: Uint8Array): number {
  const view = new DataView(record.buffer, record.byteOffset, record.byteLength);
  return Number(view.getBigUint64(counterOffset, true));
}
