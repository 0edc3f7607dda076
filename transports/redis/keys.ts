/**
 * What: the keys of listeners and lanes, and how entries lie in a lane's streams.
 *
 *     pageferry:{NAME}:listener      string: who listens as NAME, with a lease
 *     pageferry:{NAME}:knocks        stream: dialers ask for a lane, `lane ID window BYTES`
 *     pageferry:{NAME:LANE}:d, :l    streams: to the dialer, to the listener
 *
 * Braces hold what a Cluster hashes: each lane lies in a slot of its own, both directions in the
 * same one. An entry of a lane has one field. Its name is a letter and a number, its value a frame
 * or empty:
 *
 *     f SEQ   a frame; frames and the goodbye are numbered from 1 in the order sent
 *     g SEQ   the goodbye
 *     c SEQ   credit: everything up to SEQ of the other direction has been consumed
 *     h BYTES hello: the listener has taken the lane; its window
 */
import { randomBytes } from 'node:crypto';

import { laneError } from '../../src/transport/base/index.js';
import { WINDOW_BYTES_MAX, WINDOW_BYTES_MIN } from './limits.js';

const prefix = 'pageferry:';
/** Consumer group and consumer of every stream: a stream has one reader. */
export const GROUP = 'reader';

export function listenerKeys(name: string): { listener: string; knocks: string } {
  return { listener: `${prefix}{${name}}:listener`, knocks: `${prefix}{${name}}:knocks` };
}

export interface LaneKeys {
  /** What this side reads; it creates and renews it. */
  readonly inbound: string;
  readonly outbound: string;
}

export type LaneRole = 'dialer' | 'listener';

export function laneKeys(name: string, lane: string, role: LaneRole): LaneKeys {
  const tag = `${prefix}{${name}:${lane}}`;
  const [toDialer, toListener] = [`${tag}:d`, `${tag}:l`];
  return role === 'dialer'
    ? { inbound: toDialer, outbound: toListener }
    : { inbound: toListener, outbound: toDialer };
}

const laneIdBytes = 16;

/** A lane's name, which nobody can guess. */
export function newLaneId(): string {
  return randomBytes(laneIdBytes).toString('base64url');
}

export interface Knock {
  readonly lane: string;
  readonly windowBytes: number;
}

export function encodeKnock(knock: Knock): string[] {
  return ['lane', knock.lane, 'window', String(knock.windowBytes)];
}

/** A knock; undefined for what anybody else has written. */
export function decodeKnock(fields: readonly Buffer[]): Knock | undefined {
  const [laneField, lane, windowField, window] = fields.map((field) =>
    field.byteLength <= 64 ? field.toString('latin1') : '',
  );
  if (laneField !== 'lane' || windowField !== 'window') return undefined;
  if (lane === undefined || !/^[A-Za-z0-9_-]{22}$/.test(lane)) return undefined;
  const windowBytes = Number(window);
  return isWindow(windowBytes) ? { lane, windowBytes } : undefined;
}

export function isWindow(bytes: number): boolean {
  return Number.isInteger(bytes) && bytes >= WINDOW_BYTES_MIN && bytes <= WINDOW_BYTES_MAX;
}

export type EntryKind = 'f' | 'g' | 'c' | 'h';

export interface Entry {
  readonly id: string;
  readonly kind: EntryKind;
  readonly value: number;
  readonly payload: Buffer;
}

const headPattern = /^([fgch])(\d{1,15})$/;

/** The entries of one stream's part of a reply. Throws TransportError for anything else. */
export function decodeEntries(items: unknown): Entry[] {
  if (!Array.isArray(items)) throw garbage('no list of entries');
  // An entry deleted while it was pending comes as nothing.
  return items.filter((item) => Array.isArray(item) && item[1] !== null).map(decodeEntry);
}

function decodeEntry(item: unknown): Entry {
  const [id, fields] = item as [unknown, unknown];
  if (!Buffer.isBuffer(id) || !Array.isArray(fields) || fields.length !== 2) {
    throw garbage('an entry of another form');
  }
  const [head, payload] = fields as [unknown, unknown];
  if (!Buffer.isBuffer(head) || !Buffer.isBuffer(payload)) throw garbage('an entry without bytes');
  const matched = head.byteLength <= 16 ? headPattern.exec(head.toString('latin1')) : null;
  if (matched === null) throw garbage('an entry of another kind');
  const [, kind, value] = matched;
  return {
    id: id.toString('latin1'),
    kind: kind as EntryKind,
    value: Number(value),
    payload,
  };
}

export function garbage(what: string): Error {
  return laneError('GARBAGE', `somebody wrote into the lane: ${what}`, { phase: 'receive' });
}
