/**
 * What: the frames of a lane: a fourcc, then a sealed record as it is or a Protocol Buffers
 * message in the clear. Pure: no I/O, no state.
 * Nothing decoded here is authenticated; see docs/wire-protocol.md for what it may cause.
 */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { DescMessage, MessageInitShape, MessageShape } from '@bufbuild/protobuf';

import { ProtocolError } from '../errors.js';
import { PF_RECORD_BYTES_MAX } from '../native/abi.generated.js';
import {
  AckSchema,
  GoodbyeSchema,
  HandshakeSchema,
  HelloReplySchema,
  HelloSchema,
  PingSchema,
  PongSchema,
} from './generated/frames_pb.js';
import { ACK_BYTES_MAX, FOURCC_BYTES, GREETING_BYTES_MAX, PING_BYTES_MAX } from './limits.js';
import { badField } from './problem.js';

const schemas = {
  hello: HelloSchema,
  'hello-reply': HelloReplySchema,
  goodbye: GoodbyeSchema,
  handshake: HandshakeSchema,
  ack: AckSchema,
  ping: PingSchema,
  pong: PongSchema,
} as const;

type Schemas = typeof schemas;
export type ClearKind = keyof Schemas;
export type FrameKind = 'record' | ClearKind;

/** A decoded frame other than a record. */
export type ClearFrame = {
  [Kind in ClearKind]: { readonly kind: Kind; readonly message: MessageShape<Schemas[Kind]> };
}[ClearKind];

const fourccs: Readonly<Record<FrameKind, string>> = {
  record: 'PFR1',
  hello: 'PFHI',
  'hello-reply': 'PFHR',
  goodbye: 'PFBY',
  handshake: 'PFHS',
  ack: 'PFAK',
  ping: 'PFPI',
  pong: 'PFPO',
};

/** Largest frame of each kind in bytes, fourcc included. */
const bytesMax: Readonly<Record<FrameKind, number>> = {
  record: PF_RECORD_BYTES_MAX,
  hello: GREETING_BYTES_MAX,
  'hello-reply': GREETING_BYTES_MAX,
  goodbye: GREETING_BYTES_MAX,
  handshake: GREETING_BYTES_MAX,
  ack: ACK_BYTES_MAX,
  ping: PING_BYTES_MAX,
  pong: PING_BYTES_MAX,
};

function fourccNumber(text: string): number {
  return Buffer.from(text, 'latin1').readUInt32LE(0);
}

const kinds = new Map<number, FrameKind>(
  (Object.keys(fourccs) as FrameKind[]).map((kind) => [fourccNumber(fourccs[kind]), kind]),
);

/**
 * Which frame begins with `head`, a frame of `bytes` bytes; refuses what is none, or too large.
 * Called before anything is allocated for it.
 */
export function frameKind(head: Uint8Array, bytes: number): FrameKind {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const kind = head.length < FOURCC_BYTES ? undefined : kinds.get(view.getUint32(0, true));
  if (kind === undefined) {
    const shown = Buffer.from(head.subarray(0, FOURCC_BYTES)).toString('hex');
    throw badField('frame fourcc', 'one of the protocol', `0x${shown}`);
  }
  if (bytes > bytesMax[kind]) throw badField(`${kind} bytes`, `at most ${bytesMax[kind]}`, bytes);
  return kind;
}

/** A frame other than a record, ready to be sent. */
export function encodeFrame<Kind extends ClearKind>(
  kind: Kind,
  init: MessageInitShape<Schemas[Kind]>,
): Uint8Array {
  const schema: DescMessage = schemas[kind];
  const body = toBinary(schema, create(schema, init));
  const frame = new Uint8Array(FOURCC_BYTES + body.length);
  frame.set(Buffer.from(fourccs[kind], 'latin1'));
  frame.set(body, FOURCC_BYTES);
  if (frame.length > bytesMax[kind]) {
    throw badField(`${kind} bytes`, `at most ${bytesMax[kind]}`, frame.length);
  }
  return frame;
}

/** Decodes a whole frame other than a record; refuses what is malformed. */
export function decodeFrame(frame: Uint8Array): ClearFrame {
  const kind = frameKind(frame, frame.length);
  if (kind === 'record') throw badField('frame fourcc', 'a frame in the clear', fourccs.record);
  const message = parseMessage(schemas[kind], frame.subarray(FOURCC_BYTES), kind);
  return { kind, message } as ClearFrame;
}

/** Protocol Buffers decoding with our error; shared with the sealed messages. */
export function parseMessage<Schema extends DescMessage>(
  schema: Schema,
  bytes: Uint8Array,
  field: string,
): MessageShape<Schema> {
  try {
    return fromBinary(schema, bytes);
  } catch (error) {
    throw new ProtocolError(
      'ERR_PAGEFERRY_PROTOCOL',
      `the peer sent a ${field} that does not decode`,
      { field, expected: schema.typeName, received: `${bytes.length} bytes`, cause: error },
    );
  }
}
