/**
 * What: makes whole records for one direction of a session, honest by default and wrong where a
 * test says so: the evil twin of a helper.
 */
import type { PeerHandshake } from './keys.js';
import {
  CODEC_LZ4,
  CODEC_NONE,
  FLAG_PADDED,
  KIND_PAGES,
  KIND_TOKEN,
  PAGE_BYTES,
  encodeList,
  layoutDigest,
  lz4Compress,
  seal,
  type Block,
  type Header,
  type Run,
} from './records.js';

const STREAMS_MAX = 16;

export interface PagesWanted {
  counter: number;
  epoch: number;
  runs: Run[];
  /** Contents of the runs that are not zero, in order. */
  content: Buffer;
  codec?: number;
  stream?: number;
  /** Padding granule in bytes. */
  padBytes?: number;
  /** Header fields to set wrong, before sealing: the record stays authentic. */
  header?: Partial<Header>;
}

export interface TokenWanted {
  counter: number;
  epoch: number;
  counts: number[];
  blocks: readonly Block[];
  start?: boolean;
  /** Payload fields to set wrong, before sealing. */
  payload?: { epoch?: number; streams?: number; flags?: number; layout?: Buffer };
  header?: Partial<Header>;
}

export interface MessageWanted {
  kind: number;
  counter: number;
  plain: Buffer;
  header?: Partial<Header>;
}

export class Forge {
  constructor(
    private readonly peer: PeerHandshake,
    private readonly direction: number,
  ) {}

  pages(wanted: PagesWanted): Buffer {
    const list = encodeList(wanted.runs);
    const dataPages = wanted.runs.reduce((sum, run) => sum + (run.zero ? 0 : run.pages), 0);
    const codec = wanted.codec ?? CODEC_NONE;
    let plain = codec === CODEC_LZ4 ? lz4Compress(wanted.content) : wanted.content;
    if (wanted.padBytes !== undefined) plain = pad(plain, codec, wanted.padBytes);
    const header: Header = {
      ...this.base(KIND_PAGES, wanted.counter, plain.length),
      codec,
      stream: wanted.stream ?? 0,
      epoch: BigInt(wanted.epoch),
      listBytes: list.length,
      pages: wanted.runs.reduce((sum, run) => sum + run.pages, 0),
      dataPages,
      plainBytes: dataPages * PAGE_BYTES,
      flags: wanted.padBytes === undefined ? 0 : FLAG_PADDED,
      ...wanted.header,
    };
    return seal(this.peer, header, list, plain);
  }

  token(wanted: TokenWanted): Buffer {
    const flags = wanted.start === true ? 2 : 0;
    const plain = Buffer.alloc(48 + 8 * STREAMS_MAX);
    plain.writeUInt32LE(wanted.payload?.streams ?? wanted.counts.length, 0);
    plain.writeUInt32LE(wanted.payload?.flags ?? flags, 4);
    plain.writeBigUInt64LE(BigInt(wanted.payload?.epoch ?? wanted.epoch), 8);
    (wanted.payload?.layout ?? layoutDigest(wanted.blocks)).copy(plain, 16);
    wanted.counts.forEach((count, stream) => {
      plain.writeBigUInt64LE(BigInt(count), 48 + 8 * stream);
    });
    const header: Header = {
      ...this.base(KIND_TOKEN, wanted.counter, plain.length),
      epoch: BigInt(wanted.epoch),
      plainBytes: plain.length,
      flags,
      ...wanted.header,
    };
    return seal(this.peer, header, Buffer.alloc(0), plain);
  }

  message(wanted: MessageWanted): Buffer {
    const header: Header = {
      ...this.base(wanted.kind, wanted.counter, wanted.plain.length),
      plainBytes: wanted.plain.length,
      ...wanted.header,
    };
    return seal(this.peer, header, Buffer.alloc(0), wanted.plain);
  }

  private base(kind: number, counter: number, sealedBytes: number): Header {
    return {
      magic: 'PFR1',
      version: 1,
      kind,
      direction: this.direction,
      codec: CODEC_NONE,
      session: this.peer.session,
      stream: 0,
      generation: 0,
      counter: BigInt(counter),
      epoch: 0n,
      listBytes: 0,
      pages: 0,
      dataPages: 0,
      sealedBytes,
      plainBytes: 0,
      flags: 0,
      reserved: 0n,
    };
  }
}

function pad(encoded: Buffer, codec: number, granule: number): Buffer {
  const bytes = Math.ceil((8 + encoded.length) / granule) * granule;
  const padded = Buffer.alloc(bytes);
  padded.writeUInt32LE(encoded.length, 0);
  padded[4] = codec;
  encoded.copy(padded, 8);
  return padded;
}
