/**
 * Records of the simulator: the real header's fields at their real places, a body in the clear,
 * and a keyed checksum for a tag. It finds every change and every wrong key, which is all that a
 * session relies on; what seals for real is tested elsewhere.
 */
import * as abi from '../../src/native/abi.generated.js';

const headerBytes = abi.PF_RECORD_HEADER_BYTES;
const tagBytes = abi.PF_RECORD_TAG_BYTES;

export interface SealedFields {
  readonly kind: number;
  readonly direction: number;
  readonly session: Uint8Array;
  readonly stream: number;
  readonly counter: number;
  readonly epoch: number;
  readonly body: Uint8Array;
}

/** A keyed checksum: any one changed byte changes it. */
export function checksum(key: number, bytes: Uint8Array, length = bytes.length): number {
  let sum = key;
  for (let at = 0; at < length; at += 1) {
    sum = Math.imul(sum ^ (bytes[at] ?? 0), 0x01000193);
  }
  return (sum ^ (sum >>> 15)) >>> 0;
}

function putTag(record: Buffer, key: number): void {
  const at = record.length - tagBytes;
  const sum = checksum(key, record, at);
  for (let word = 0; word < 4; word += 1) {
    record.writeUInt32LE((sum ^ Math.imul(word + 1, 0x9e3779b1)) >>> 0, at + word * 4);
  }
}

export function isAuthentic(record: Buffer, key: number): boolean {
  const at = record.length - tagBytes;
  const sum = checksum(key, record, at);
  for (let word = 0; word < 4; word += 1) {
    const expected = (sum ^ Math.imul(word + 1, 0x9e3779b1)) >>> 0;
    if (record.readUInt32LE(at + word * 4) !== expected) return false;
  }
  return true;
}

export function sealRecord(fields: SealedFields, key: number): Buffer {
  const { body } = fields;
  const record = Buffer.alloc(headerBytes + body.length + tagBytes);
  record.writeUInt32LE(abi.PF_RECORD_MAGIC, abi.OFFSET_pf_record_header_magic);
  record[abi.OFFSET_pf_record_header_version] = abi.PF_RECORD_VERSION;
  record[abi.OFFSET_pf_record_header_kind] = fields.kind;
  record[abi.OFFSET_pf_record_header_direction] = fields.direction;
  record.set(fields.session, abi.OFFSET_pf_record_header_session);
  record.writeUInt32LE(fields.stream, abi.OFFSET_pf_record_header_stream);
  record.writeUInt32LE(fields.counter, abi.OFFSET_pf_record_header_counter);
  record.writeUInt32LE(fields.epoch, abi.OFFSET_pf_record_header_epoch);
  record.set(body, headerBytes);
  putTag(record, key);
  return record;
}

/** The fields of a record, whatever they are worth. */
export function readRecord(record: Buffer): SealedFields {
  const session = abi.OFFSET_pf_record_header_session;
  return {
    kind: record[abi.OFFSET_pf_record_header_kind] ?? 0,
    direction: record[abi.OFFSET_pf_record_header_direction] ?? 0,
    session: record.subarray(session, session + 16),
    stream: record.readUInt32LE(abi.OFFSET_pf_record_header_stream),
    counter: record.readUInt32LE(abi.OFFSET_pf_record_header_counter),
    epoch: record.readUInt32LE(abi.OFFSET_pf_record_header_epoch),
    body: record.subarray(headerBytes, record.length - tagBytes),
  };
}
