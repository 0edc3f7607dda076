/**
 * What: one direction's sender: puts frames into the stream the peer reads, as far as the peer's
 * window reaches, and keeps each until the broker has it.
 *
 * Several XADDs are under way at once. Frames are numbered, so it does no harm when a full broker
 * refuses one and takes the next, or when one is sent again after a lost connection that had it:
 * the reader puts them in order and drops what came twice.
 */
import { ReusedMemory, laneError } from '../../src/transport/base/index.js';
import type { Outgoing } from '../../src/transport/base/index.js';
import type { BrokerConnection } from './connection.js';
import { brokerError, isOutOfMemory, isReply } from './errors.js';
import { garbage } from './keys.js';
import type { EntryKind } from './keys.js';
import {
  OOM_PAUSE_MS_FIRST,
  OOM_PAUSE_MS_LONGEST,
  WINDOW_ENTRIES,
  WINDOW_BYTES_MIN,
  COPY_BYTES,
} from './limits.js';

export interface OutboundEvents {
  /** The stream is gone: the peer has left, or has been gone for longer than its lease. */
  missing(): void;
  fail(error: Error): void;
}

interface Sent {
  readonly kind: EntryKind;
  readonly sequence: number;
  readonly bytes: number;
  /** Given back when the broker has it. */
  payload: Buffer | undefined;
  isUnderWay: boolean;
  readonly added: () => void;
}

interface Waiting {
  readonly frames: Outgoing[];
  readonly taken: () => void;
}

const empty = Buffer.alloc(0);

export class Outbound {
  readonly #key: string;
  readonly #shown: string;
  readonly #events: OutboundEvents;
  readonly #memory = new ReusedMemory(COPY_BYTES, WINDOW_BYTES_MIN / COPY_BYTES);
  #windowBytes = 0;
  #connection: BrokerConnection | undefined;
  /** What has not been consumed, by sequence number. */
  readonly #unconsumed = new Map<number, Sent>();
  #unconsumedBytes = 0;
  #nextSequence = 1;
  #credited = 0;
  #waiting: Waiting | undefined;
  #lastId = '0-0';
  #pauseMs = 0;
  /** Entries to have under way at once; fewer once the broker was full. */
  #atOnce = WINDOW_ENTRIES;
  #underWay = 0;
  #pauseTimer: NodeJS.Timeout | undefined;
  #isClosed = false;
  /** Credit to give to the peer, and how much of it the broker has. */
  #credit = 0;
  #creditAdded = 0;
  #isCreditUnderWay = false;

  constructor(key: string, shown: string, events: OutboundEvents) {
    this.#key = key;
    this.#shown = shown;
    this.#events = events;
  }

  /** The peer's window, once it is known; nothing is sent before. */
  open(windowBytes: number): void {
    this.#windowBytes = windowBytes;
    this.#fill();
  }

  /** Sends `frames`; `taken` when their parts are copied, which waits for room in the window. */
  send(frames: readonly Outgoing[], taken: () => void): void {
    this.#waiting = { frames: [...frames], taken };
    this.#fill();
  }

  /** Sends the goodbye; `added` when the broker has it and everything before. */
  goodbye(added: () => void): void {
    this.#add('g', empty, added);
    this.#flush();
  }

  /** The peer has consumed everything up to `sequence`. Throws when it cannot have. */
  credited(sequence: number): void {
    if (sequence >= this.#nextSequence) throw garbage('credit for what was never sent');
    for (let at = this.#credited + 1; at <= sequence; at += 1) {
      this.#unconsumedBytes -= this.#unconsumed.get(at)?.bytes ?? 0;
      this.#unconsumed.delete(at);
    }
    this.#credited = Math.max(this.#credited, sequence);
    this.#fill();
  }

  /** Tells the peer that everything up to `sequence` of its direction has been consumed. */
  giveCredit(sequence: number): void {
    this.#credit = sequence;
    this.#flushCredit();
  }

  /** Goes on with a connection, the first or another. */
  async up(connection: BrokerConnection): Promise<void> {
    if (this.#lastId !== '0-0') await this.#checkNothingLost(connection);
    if (this.#isClosed) return;
    this.#connection = connection;
    this.#flush();
    this.#flushCredit();
  }

  down(): void {
    this.#connection = undefined;
    for (const sent of this.#unconsumed.values()) sent.isUnderWay = false;
    this.#underWay = 0;
    this.#isCreditUnderWay = false;
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#pauseTimer);
    this.#connection = undefined;
    this.#waiting = undefined;
    this.#unconsumed.clear();
  }

  /** A broker that came back with older data has lost frames it had taken: the lane is over. */
  async #checkNothingLost(connection: BrokerConnection): Promise<void> {
    const info = await connection.call('XINFO', 'STREAM', this.#key).catch((error: unknown) => {
      if (isReply(error)) return [];
      throw error;
    });
    const fields = Array.isArray(info) ? info : [];
    const at = fields.findIndex((field) => String(field) === 'last-generated-id');
    const has = at < 0 ? '0-0' : String(fields[at + 1]);
    if (isBefore(has, this.#lastId)) {
      const message = `the broker of ${this.#shown} has lost frames it had taken`;
      this.#events.fail(laneError('PEER_GONE', message, { phase: 'send', retryable: true }));
    }
  }

  /** Takes what fits into the window. */
  #fill(): void {
    const waiting = this.#waiting;
    if (waiting === undefined || this.#windowBytes === 0) return;
    for (let frame = waiting.frames[0]; frame; frame = waiting.frames[0]) {
      if (!this.#hasRoom(frame.bytes)) break;
      waiting.frames.shift();
      this.#add('f', this.#copyOf(frame), () => undefined);
    }
    this.#flush();
    if (waiting.frames.length > 0) return;
    this.#waiting = undefined;
    waiting.taken();
  }

  #copyOf({ parts, bytes }: Outgoing): Buffer {
    const copy = this.#memory.take(bytes);
    let at = 0;
    for (const part of parts) {
      copy.set(part, at);
      at += part.byteLength;
    }
    return copy;
  }

  #hasRoom(bytes: number): boolean {
    if (this.#unconsumed.size === 0) return true;
    const fits = this.#unconsumedBytes + bytes <= this.#windowBytes;
    return fits && this.#unconsumed.size < WINDOW_ENTRIES - 1;
  }

  #add(kind: EntryKind, payload: Buffer, added: () => void): void {
    const sequence = this.#nextSequence;
    const bytes = payload.byteLength;
    this.#nextSequence += 1;
    this.#unconsumedBytes += bytes;
    this.#unconsumed.set(sequence, { kind, sequence, bytes, payload, isUnderWay: false, added });
  }

  #flush(): void {
    if (this.#pauseTimer !== undefined) return;
    for (const sent of this.#unconsumed.values()) {
      if (sent.payload === undefined || sent.isUnderWay) continue;
      if (this.#underWay >= Math.floor(this.#atOnce)) return;
      if (!this.#put(sent, sent.payload)) return;
    }
  }

  #put(sent: Sent, payload: Buffer): boolean {
    const connection = this.#connection;
    if (connection === undefined) return false;
    sent.isUnderWay = true;
    this.#underWay += 1;
    this.#xadd(connection, `${sent.kind}${sent.sequence}`, payload).then(
      (id) => {
        if (this.#isClosed) return;
        if (connection === this.#connection) this.#underWay -= 1;
        if (!Buffer.isBuffer(id)) {
          this.#events.missing();
          return;
        }
        const text = id.toString('latin1');
        if (isBefore(this.#lastId, text)) this.#lastId = text;
        // Over another connection it may be under way once more.
        if (connection === this.#connection && sent.payload === payload) {
          this.#memory.giveBack(payload);
        }
        sent.payload = undefined;
        sent.added();
        this.#pauseMs = 0;
        if (this.#atOnce >= WINDOW_ENTRIES) return;
        this.#atOnce += 1 / this.#atOnce;
        this.#flush();
      },
      (error: unknown) => {
        if (this.#isClosed || connection !== this.#connection) return;
        sent.isUnderWay = false;
        this.#underWay -= 1;
        this.#refused(error);
      },
    );
    return true;
  }

  #flushCredit(): void {
    const connection = this.#connection;
    if (connection === undefined || this.#isCreditUnderWay) return;
    if (this.#credit === this.#creditAdded || this.#pauseTimer !== undefined) return;
    const credit = this.#credit;
    this.#isCreditUnderWay = true;
    this.#xadd(connection, `c${credit}`, empty).then(
      (id) => {
        if (this.#isClosed || connection !== this.#connection) return;
        this.#isCreditUnderWay = false;
        this.#creditAdded = credit;
        if (Buffer.isBuffer(id)) this.#flushCredit();
        else this.#events.missing();
      },
      (error: unknown) => {
        if (this.#isClosed || connection !== this.#connection) return;
        this.#isCreditUnderWay = false;
        this.#refused(error);
      },
    );
  }

  /** NOMKSTREAM: a stream its reader has deleted must not come to life again, without expiry. */
  #xadd(connection: BrokerConnection, head: string, payload: Buffer): Promise<unknown> {
    return connection.call('XADD', this.#key, 'NOMKSTREAM', '*', head, payload);
  }

  /**
   * A full broker is waited for; a lost connection is the link's affair. What is under way counts
   * as the broker's memory too, so it gets one entry at a time from then on, and slowly more.
   */
  #refused(error: unknown): void {
    if (isOutOfMemory(error)) {
      this.#atOnce = 1;
      if (this.#pauseTimer !== undefined) return;
      this.#pauseMs = Math.min(
        Math.max(2 * this.#pauseMs, OOM_PAUSE_MS_FIRST),
        OOM_PAUSE_MS_LONGEST,
      );
      this.#pauseTimer = setTimeout(() => {
        this.#pauseTimer = undefined;
        this.#flushCredit();
        this.#flush();
      }, this.#pauseMs);
    } else if (isReply(error)) {
      this.#events.fail(brokerError(error, 'send', `send to ${this.#shown}`));
    }
  }
}

/** Whether stream id `a`, "MS-N", comes before `b`. */
function isBefore(a: string, b: string): boolean {
  const [aMs = 0, aNumber = 0] = a.split('-').map(Number);
  const [bMs = 0, bNumber = 0] = b.split('-').map(Number);
  return aMs < bMs || (aMs === bMs && aNumber < bNumber);
}
