/**
 * What: sealing and opening records as docs/record-format.md says, on node:crypto and lz4-napi.
 * Independent of the helper's code, so that the document is what both are held against; and free
 * to seal what an honest helper never would.
 */
import { createCipheriv, createDecipheriv, createHash, createHmac } from 'node:crypto';
import { compressSync, uncompressSync } from 'lz4-napi';
import { CLASS_LANE, CLASS_MESSAGE, CLASS_PAGES, CLASS_TOKEN, type PeerHandshake } from './keys.js';

export const HEADER_BYTES = 80;
export const TAG_BYTES = 16;
export const PAGE_BYTES = 4096;
export const KIND_PAGES = 1;
export const KIND_CONTROL = 2;
export const KIND_DEVICE_STATE = 3;
export const KIND_TOKEN = 4;
export const KIND_LANE = 5;
export const CODEC_NONE = 0;
export const CODEC_LZ4 = 1;
export const FLAG_PADDED = 1;
export const FLAG_START = 2;

export interface Header {
  magic: string;
  version: number;
  kind: number;
  direction: number;
  codec: number;
  session: Buffer;
  stream: number;
  generation: number;
  counter: bigint;
  epoch: bigint;
  listBytes: number;
  pages: number;
  dataPages: number;
  sealedBytes: number;
  plainBytes: number;
  flags: number;
  reserved: bigint;
}

export interface Run {
  first: number;
  pages: number;
  zero: boolean;
}

export function classOfKind(kind: number): number {
  if (kind === KIND_PAGES) return CLASS_PAGES;
  if (kind === KIND_TOKEN) return CLASS_TOKEN;
  return kind === KIND_LANE ? CLASS_LANE : CLASS_MESSAGE;
}

export function encodeHeader(header: Header): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES);
  bytes.write(header.magic, 'latin1');
  bytes.set([header.version, header.kind, header.direction, header.codec], 4);
  header.session.copy(bytes, 8);
  bytes.writeUInt32LE(header.stream, 24);
  bytes.writeUInt32LE(header.generation, 28);
  bytes.writeBigUInt64LE(header.counter, 32);
  bytes.writeBigUInt64LE(header.epoch, 40);
  bytes.writeUInt32LE(header.listBytes, 48);
  bytes.writeUInt32LE(header.pages, 52);
  bytes.writeUInt32LE(header.dataPages, 56);
  bytes.writeUInt32LE(header.sealedBytes, 60);
  bytes.writeUInt32LE(header.plainBytes, 64);
  bytes.writeUInt32LE(header.flags, 68);
  bytes.writeBigUInt64LE(header.reserved, 72);
  return bytes;
}

export function decodeHeader(record: Buffer): Header {
  return {
    magic: record.toString('latin1', 0, 4),
    version: record.readUInt8(4),
    kind: record.readUInt8(5),
    direction: record.readUInt8(6),
    codec: record.readUInt8(7),
    session: Buffer.from(record.subarray(8, 24)),
    stream: record.readUInt32LE(24),
    generation: record.readUInt32LE(28),
    counter: record.readBigUInt64LE(32),
    epoch: record.readBigUInt64LE(40),
    listBytes: record.readUInt32LE(48),
    pages: record.readUInt32LE(52),
    dataPages: record.readUInt32LE(56),
    sealedBytes: record.readUInt32LE(60),
    plainBytes: record.readUInt32LE(64),
    flags: record.readUInt32LE(68),
    reserved: record.readBigUInt64LE(72),
  };
}

export function encodeList(runs: readonly Run[]): Buffer {
  const bytes = Buffer.alloc(8 * runs.length);
  runs.forEach((run, index) => {
    const value = BigInt(run.first) | (BigInt(run.pages - 1) << 44n) | (run.zero ? 1n << 63n : 0n);
    bytes.writeBigUInt64LE(value, 8 * index);
  });
  return bytes;
}

export function decodeList(bytes: Buffer): Run[] {
  const runs: Run[] = [];
  for (let at = 0; at < bytes.length; at += 8) {
    const value = bytes.readBigUInt64LE(at);
    runs.push({
      first: Number(value & ((1n << 44n) - 1n)),
      pages: Number((value >> 44n) & ((1n << 19n) - 1n)) + 1,
      zero: value >> 63n === 1n,
    });
  }
  return runs;
}

function nonceOf(counter: bigint): Buffer {
  const nonce = Buffer.alloc(12);
  nonce.writeBigUInt64LE(counter);
  return nonce;
}

function keyOf(peer: PeerHandshake, header: Header): Buffer {
  return peer.recordKey(
    header.direction,
    classOfKind(header.kind),
    header.stream,
    header.generation,
  );
}

/** Seals `plain` (already encoded and padded) under `header`, whatever the header says. */
export function seal(
  peer: PeerHandshake,
  header: Header,
  list: Buffer,
  plain: Buffer,
  key: Buffer = keyOf(peer, header),
): Buffer {
  const cipher = createCipheriv('aes-256-gcm', key, nonceOf(header.counter));
  const head = encodeHeader(header);
  cipher.setAAD(Buffer.concat([head, list]));
  const text = Buffer.concat([cipher.update(plain), cipher.final()]);
  return Buffer.concat([head, list, text, cipher.getAuthTag()]);
}

export interface Opened {
  header: Header;
  runs: Run[];
  /** Decoded content: the data pages, or the message. */
  content: Buffer;
}

/** Opens a record and decodes its content; throws when the tag or a size is wrong. */
export function open(peer: PeerHandshake, record: Buffer): Opened {
  const header = decodeHeader(record);
  const listEnd = HEADER_BYTES + header.listBytes;
  const textEnd = listEnd + header.sealedBytes;
  if (record.length !== textEnd + TAG_BYTES) throw new Error('record size');
  const decipher = createDecipheriv('aes-256-gcm', keyOf(peer, header), nonceOf(header.counter));
  decipher.setAAD(record.subarray(0, listEnd));
  decipher.setAuthTag(record.subarray(textEnd));
  const text = Buffer.concat([
    decipher.update(record.subarray(listEnd, textEnd)),
    decipher.final(),
  ]);
  const runs = decodeList(record.subarray(HEADER_BYTES, listEnd));
  return { header, runs, content: decode(header, text) };
}

function decode(header: Header, text: Buffer): Buffer {
  let codec = header.codec;
  let encoded = text;
  if ((header.flags & FLAG_PADDED) !== 0) {
    codec = text.readUInt8(4);
    encoded = text.subarray(8, 8 + text.readUInt32LE(0));
  }
  if (codec === CODEC_NONE) return encoded;
  if (codec !== CODEC_LZ4) throw new Error(`codec ${codec} is not opened here`);
  return lz4Uncompress(encoded, header.plainBytes);
}

/** A raw LZ4 block through lz4-napi, which wants the size in front. */
export function lz4Uncompress(block: Buffer, bytes: number): Buffer {
  const prefix = Buffer.alloc(4);
  prefix.writeUInt32LE(bytes);
  return uncompressSync(Buffer.concat([prefix, block]));
}

export function lz4Compress(bytes: Buffer): Buffer {
  return compressSync(bytes).subarray(4);
}

export interface Block {
  id: number;
  ramAddr: number;
  bytes: number;
}

/** Digest of the block table, as tokens and digests carry it. */
export function layoutDigest(blocks: readonly Block[]): Buffer {
  const hash = createHash('sha256');
  const count = Buffer.alloc(4);
  count.writeUInt32LE(blocks.length);
  hash.update(count);
  for (const block of [...blocks].sort((a, b) => a.ramAddr - b.ramAddr)) {
    const entry = Buffer.alloc(24);
    entry.writeUInt32LE(block.id, 0);
    entry.writeBigUInt64LE(BigInt(block.ramAddr), 8);
    entry.writeBigUInt64LE(BigInt(block.bytes), 16);
    hash.update(entry);
  }
  return hash.digest();
}

/** Digest of one block of RAM from ram_addr_t 0, as both helpers must compute it. */
export function ramDigest(peer: PeerHandshake, ram: Buffer, blocks: readonly Block[]): Buffer {
  const pageKey = peer.key('digest page');
  const chunkKey = peer.key('digest chunk');
  const zero = Buffer.alloc(PAGE_BYTES);
  const sum = Buffer.alloc(32);
  for (let chunk = 0; chunk * 256 * PAGE_BYTES < ram.length; chunk += 1) {
    const tags = Buffer.alloc(256 * 16);
    for (let index = 0; index < 256; index += 1) {
      const page = chunk * 256 + index;
      const content = ram.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES);
      if (content.length === 0 || content.equals(zero)) continue;
      const gmac = createCipheriv('aes-256-gcm', pageKey, nonceOf(BigInt(page)));
      gmac.setAAD(content);
      gmac.final();
      gmac.getAuthTag().copy(tags, index * 16);
    }
    if (tags.every((byte) => byte === 0)) continue;
    const number = Buffer.alloc(8);
    number.writeBigUInt64LE(BigInt(chunk));
    const mac = createHmac('sha256', chunkKey).update(number).update(tags).digest();
    for (let at = 0; at < 32; at += 1) sum[at] = (sum[at] ?? 0) ^ (mac[at] ?? 0);
  }
  return createHmac('sha256', chunkKey)
    .update('final')
    .update(sum)
    .update(layoutDigest(blocks))
    .digest();
}
