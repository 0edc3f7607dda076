/**
 * What: the sealed messages: lane joins, and the control messages that change a session's state.
 * Encoding gives the plaintext the helper seals; decoding takes what the helper has opened, so it
 * is the peer's, but checked all the same. Pure.
 */
import { create, toBinary } from '@bufbuild/protobuf';
import type { MessageInitShape } from '@bufbuild/protobuf';

import { parseMessage } from './frames.js';
import type { Layout } from './generated/sealed_pb.js';
import { ControlSchema, LaneJoinSchema } from './generated/sealed_pb.js';
import type { WireEngine, WireLayout } from './layout.js';
import { codecNumbers, engineNumbers, nameOf } from './layout.js';
import {
  CODE_CHARACTERS_MAX,
  DEVICE_STATE_BYTES_MAX,
  DIGEST_BYTES,
  LANE_NONCE_BYTES,
  LANES_MAX,
  REASON_CHARACTERS_MAX,
  SESSION_ID_BYTES,
} from './limits.js';
import { badField, checkLength, printable, safeNumber } from './problem.js';

export interface WireReason {
  readonly code: string;
  readonly message: string;
}

export interface WireSummary {
  readonly peakRssBytes: number;
  readonly resumeMs: number;
  readonly ticks: number | undefined;
  readonly selfCheck: { ok: boolean; pagesChecked: number; badPages: number } | undefined;
}

export interface WireEpochAccepted {
  readonly epoch: number;
  readonly start: boolean;
  /** What a digest of RAM would take there, where it was measured. */
  readonly digestMs?: number | undefined;
  /** What measuring it took, of the time until this answer. */
  readonly measuringMs?: number;
}

/** A control message; `layout` still has to be checked against the limits of this side. */
export type ControlMessage =
  | { readonly type: 'layout'; readonly layout: Layout }
  | { readonly type: 'layout-accepted'; readonly engine: WireEngine }
  | ({ readonly type: 'epoch-accepted' } & WireEpochAccepted)
  | { readonly type: 'device-state-begin'; readonly bytes: number }
  | { readonly type: 'device-state-end' }
  | { readonly type: 'ready'; readonly digest: Uint8Array | undefined }
  | {
      readonly type: 'commit';
      readonly digest: Uint8Array | undefined;
      readonly ticks: number | undefined;
      readonly peakRssBytes: number;
    }
  | { readonly type: 'committed' }
  | ({ readonly type: 'aborted' } & WireReason)
  | ({ readonly type: 'abort'; readonly asks: boolean } & WireReason)
  | ({ readonly type: 'summary' } & WireSummary)
  | { readonly type: 'hold'; readonly isPaused: boolean };

export type ControlType = ControlMessage['type'];
/** What is encoded: the same, with the layout already in its checked form. */
export type OutgoingControl =
  | Exclude<ControlMessage, { type: 'layout' }>
  | { readonly type: 'layout'; readonly layout: WireLayout };

type ControlInit = NonNullable<MessageInitShape<typeof ControlSchema>['message']>;

const noBytes = new Uint8Array(0);

function optionalTicks(ticks: number | undefined): { ticks?: bigint } {
  return ticks === undefined ? {} : { ticks: BigInt(ticks) };
}

function layoutInit(layout: WireLayout): ControlInit {
  const { codec, engine, blocks, ...rest } = layout;
  const value = {
    ...rest,
    codec: codecNumbers[codec],
    engine: engineNumbers[engine],
    blocks: blocks.map(({ id, name, ramAddr, bytes, filled }) => ({
      id,
      name,
      filled: [...filled],
      ramAddr: BigInt(ramAddr),
      bytes: BigInt(bytes),
    })),
  };
  return { case: 'layout', value };
}

function summaryInit(summary: WireSummary): ControlInit {
  const check = summary.selfCheck;
  const value = {
    peakRssBytes: BigInt(summary.peakRssBytes),
    resumeMs: summary.resumeMs,
    ...optionalTicks(summary.ticks),
    ...(check === undefined ? {} : { selfCheckOk: check.ok }),
    selfCheckPages: BigInt(check?.pagesChecked ?? 0),
    selfCheckBadPages: BigInt(check?.badPages ?? 0),
  };
  return { case: 'summary', value };
}

function reasonValue({ code, message }: WireReason): WireReason {
  return {
    code: code.slice(0, CODE_CHARACTERS_MAX),
    message: message.slice(0, REASON_CHARACTERS_MAX),
  };
}

function controlInit(message: OutgoingControl): ControlInit {
  switch (message.type) {
    case 'layout':
      return layoutInit(message.layout);
    case 'layout-accepted':
      return { case: 'layoutAccepted', value: { engine: engineNumbers[message.engine] } };
    case 'epoch-accepted': {
      const { digestMs, measuringMs = 0, start } = message;
      const told = digestMs === undefined ? {} : { digestMs };
      const value = { epoch: BigInt(message.epoch), start, measuringMs, ...told };
      return { case: 'epochAccepted', value };
    }
    case 'device-state-begin':
      return { case: 'deviceStateBegin', value: { bytes: BigInt(message.bytes) } };
    case 'device-state-end':
      return { case: 'deviceStateEnd', value: {} };
    case 'ready':
      return { case: 'ready', value: { digest: message.digest ?? noBytes } };
    case 'commit': {
      const peakRssBytes = BigInt(message.peakRssBytes);
      const digest = message.digest ?? noBytes;
      return { case: 'commit', value: { digest, peakRssBytes, ...optionalTicks(message.ticks) } };
    }
    case 'committed':
      return { case: 'committed', value: {} };
    case 'aborted':
      return { case: 'aborted', value: reasonValue(message) };
    case 'abort':
      return { case: 'abort', value: { ...reasonValue(message), asks: message.asks } };
    case 'summary':
      return summaryInit(message);
    case 'hold':
      return { case: 'hold', value: { isPaused: message.isPaused } };
  }
}

export function encodeControl(message: OutgoingControl): Uint8Array {
  return toBinary(ControlSchema, create(ControlSchema, { message: controlInit(message) }));
}

function digestOf(field: string, digest: Uint8Array): Uint8Array | undefined {
  return digest.length === 0 ? undefined : checkLength(field, digest, DIGEST_BYTES);
}

function ticksOf(ticks: bigint | undefined): number | undefined {
  return ticks === undefined ? undefined : safeNumber('ticks', ticks);
}

function milliseconds(field: string, value: number): number {
  if (Number.isFinite(value) && value >= 0) return value;
  throw badField(field, 'milliseconds', value);
}

function reasonOf({ code, message }: WireReason): WireReason {
  return {
    code: printable(code, CODE_CHARACTERS_MAX),
    message: printable(message, REASON_CHARACTERS_MAX),
  };
}

/** Decodes and checks the plaintext of a control record. */
export function decodeControl(bytes: Uint8Array): ControlMessage {
  const { message } = parseMessage(ControlSchema, bytes, 'control message');
  switch (message.case) {
    case 'layout':
      return { type: 'layout', layout: message.value };
    case 'layoutAccepted':
      return {
        type: 'layout-accepted',
        engine: nameOf('engine', engineNumbers, message.value.engine),
      };
    case 'epochAccepted': {
      const { digestMs, epoch, measuringMs, start } = message.value;
      return {
        type: 'epoch-accepted',
        epoch: safeNumber('epoch', epoch),
        start,
        digestMs: digestMs === undefined ? undefined : milliseconds('digest time', digestMs),
        measuringMs: milliseconds('measuring time', measuringMs),
      };
    }
    case 'deviceStateBegin': {
      const total = safeNumber('device state bytes', message.value.bytes);
      if (total > DEVICE_STATE_BYTES_MAX) {
        throw badField('device state bytes', `at most ${DEVICE_STATE_BYTES_MAX}`, total);
      }
      return { type: 'device-state-begin', bytes: total };
    }
    case 'deviceStateEnd':
      return { type: 'device-state-end' };
    case 'ready':
      return { type: 'ready', digest: digestOf('ready digest', message.value.digest) };
    case 'commit': {
      const { digest, ticks, peakRssBytes } = message.value;
      return {
        type: 'commit',
        digest: digestOf('commit digest', digest),
        ticks: ticksOf(ticks),
        peakRssBytes: safeNumber('peak RSS', peakRssBytes),
      };
    }
    case 'committed':
      return { type: 'committed' };
    case 'aborted':
      return { type: 'aborted', ...reasonOf(message.value) };
    case 'abort':
      return { type: 'abort', asks: message.value.asks, ...reasonOf(message.value) };
    case 'summary': {
      const value = message.value;
      const selfCheck =
        value.selfCheckOk === undefined
          ? undefined
          : {
              ok: value.selfCheckOk,
              pagesChecked: safeNumber('checked pages', value.selfCheckPages),
              badPages: safeNumber('bad pages', value.selfCheckBadPages),
            };
      return {
        type: 'summary',
        peakRssBytes: safeNumber('peak RSS', value.peakRssBytes),
        resumeMs: milliseconds('resume time', value.resumeMs),
        ticks: ticksOf(value.ticks),
        selfCheck,
      };
    }
    case 'hold':
      return { type: 'hold', isPaused: message.value.isPaused };
    case undefined:
      throw badField('control message', 'one of this version', 'another');
  }
}

export interface WireLaneJoin {
  readonly session: Uint8Array;
  readonly lane: number;
  readonly nonce: Uint8Array;
  readonly accept: boolean;
}

export function encodeLaneJoin(join: WireLaneJoin): Uint8Array {
  return toBinary(LaneJoinSchema, create(LaneJoinSchema, join));
}

export function decodeLaneJoin(bytes: Uint8Array): WireLaneJoin {
  const { session, lane, nonce, accept } = parseMessage(LaneJoinSchema, bytes, 'lane join');
  checkLength('lane join session', session, SESSION_ID_BYTES);
  checkLength('lane join nonce', nonce, LANE_NONCE_BYTES);
  if (lane >= LANES_MAX) throw badField('lane number', `below ${LANES_MAX}`, lane);
  return { session, lane, nonce, accept };
}
