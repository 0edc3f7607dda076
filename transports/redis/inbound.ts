/**
 * What: one direction's reader: takes entries out of its stream as they come, puts frames in order
 * and hands them to the lane's sink, then acknowledges and deletes them and gives credit. A frame
 * stays in Redis until the sink has it.
 */
import { TransportError } from '../../src/transport/index.js';
import { headBytes, laneError } from '../../src/transport/base/index.js';
import type { Inbox } from '../../src/transport/base/index.js';
import type { BrokerConnection } from './connection.js';
import { brokerError, isReply } from './errors.js';
import { decodeEntries, garbage, GROUP } from './keys.js';
import type { Entry } from './keys.js';
import { BLOCK_MS, READ_ENTRIES, REPLY_SLACK_BYTES, WINDOW_ENTRIES } from './limits.js';

export interface InboundEvents {
  readonly inbox: Inbox;
  /** The listener has taken the lane; what it lets come. */
  hello(windowBytes: number): void;
  /** Throws when it cannot be. */
  credited(sequence: number): void;
  goodbye(): void;
  /** Entries are done with; `consumed` is the last frame's number when the peer should know it. */
  settled(ids: readonly string[], consumed: number | undefined): void;
  fail(error: Error): void;
}

export interface InboundOptions {
  readonly key: string;
  readonly shown: string;
  readonly maxFrameBytes: number;
  readonly windowBytes: number;
}

export class Inbound {
  readonly #options: InboundOptions;
  readonly #events: InboundEvents;
  /** Frames and the goodbye that came and have not been consumed. */
  readonly #held = new Map<number, Entry>();
  #heldBytes = 0;
  #next = 1;
  #isReserving = false;
  #isClosed = false;
  #done: string[] = [];
  #bytesSinceCredit = 0;
  #credited = 0;
  #isSettling = false;

  constructor(options: InboundOptions, events: InboundEvents) {
    this.#options = options;
    this.#events = events;
  }

  /** Whether the goodbye is here, and only waits for the frames before it. */
  get holdsGoodbye(): boolean {
    for (const { kind } of this.#held.values()) if (kind === 'g') return true;
    return false;
  }

  /** Reads until the connection is over, and rejects then; or until something ends the lane. */
  async read(connection: BrokerConnection): Promise<void> {
    const { key, windowBytes, shown } = this.#options;
    // Twice the window: after a lost connection a sender may repeat all of it.
    const most = 2 * windowBytes + REPLY_SLACK_BYTES;
    try {
      await this.#claim(connection, most);
      while (!this.#isClosed) {
        const reply = await connection.ask(
          most,
          ...['XREADGROUP', 'GROUP', GROUP, GROUP, 'COUNT'],
          ...[READ_ENTRIES, 'BLOCK', BLOCK_MS, 'STREAMS', key, '>'],
        );
        const [stream] = Array.isArray(reply) ? (reply as unknown[]) : [];
        if (Array.isArray(stream)) this.#take(decodeEntries(stream[1]));
      }
    } catch (error) {
      if (this.#isClosed) return;
      if (connection.isFlooded) this.#events.fail(garbage('more than the window'));
      else if (isReply(error) || error instanceof TransportError) {
        this.#events.fail(brokerError(error, 'receive', `receive from ${shown}`));
      } else throw error;
    }
  }

  /** Hands on what has come, as far as the sink takes it. */
  consume(): void {
    const { inbox } = this.#events;
    while (inbox.attached && !this.#isReserving && !this.#isClosed) {
      const entry = this.#held.get(this.#next);
      if (entry === undefined) return;
      if (entry.kind === 'g') {
        this.#consumed(entry);
        this.#events.goodbye();
        return;
      }
      this.#isReserving = true;
      const { payload } = entry;
      const head = payload.subarray(0, headBytes);
      const buffer = inbox.reserve(payload.byteLength, head, (later) => {
        this.#deliver(entry, later);
        this.consume();
      });
      if (buffer === undefined) return;
      this.#deliver(entry, buffer);
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#held.clear();
  }

  /** What an earlier connection was given and lost on the way comes first. */
  async #claim(connection: BrokerConnection, most: number): Promise<void> {
    let cursor = '0-0';
    do {
      const reply = await connection.ask(
        most,
        ...['XAUTOCLAIM', this.#options.key, GROUP, GROUP, 0, cursor, 'COUNT', READ_ENTRIES],
      );
      const [next, items] = Array.isArray(reply) ? (reply as unknown[]) : [];
      if (!Buffer.isBuffer(next)) throw garbage('no cursor');
      this.#take(decodeEntries(items));
      cursor = next.toString('latin1');
    } while (cursor !== '0-0' && !this.#isClosed);
  }

  #take(entries: readonly Entry[]): void {
    for (const entry of entries) {
      if (this.#isClosed) return;
      if (entry.kind === 'c') this.#events.credited(entry.value);
      else if (entry.kind === 'h') this.#events.hello(entry.value);
      else if (this.#hold(entry)) continue;
      this.#settle(entry.id);
    }
    this.consume();
  }

  /** Keeps a frame until it is its turn; false when it has come before. */
  #hold(entry: Entry): boolean {
    const { maxFrameBytes, windowBytes } = this.#options;
    const { value: sequence, payload } = entry;
    if (sequence < this.#next) return false;
    const held = this.#held.get(sequence);
    if (held !== undefined) return held.id === entry.id;
    if (payload.byteLength > maxFrameBytes) {
      const message = `the peer sent a frame of ${payload.byteLength} bytes; the limit is`;
      const details = { phase: 'receive' } as const;
      throw laneError('FRAME_TOO_LARGE', `${message} ${maxFrameBytes}`, details);
    }
    if (sequence >= this.#next + WINDOW_ENTRIES) throw garbage('a frame far ahead of its turn');
    if (this.#heldBytes > 0 && this.#heldBytes + payload.byteLength > windowBytes) {
      throw garbage('more than the window');
    }
    this.#held.set(sequence, entry);
    this.#heldBytes += payload.byteLength;
    return true;
  }

  #deliver(entry: Entry, buffer: Uint8Array): void {
    this.#isReserving = false;
    buffer.set(entry.payload);
    // Before the sink hears of it: the sink may end the lane.
    this.#consumed(entry);
    this.#events.inbox.complete();
  }

  #consumed(entry: Entry): void {
    this.#held.delete(this.#next);
    this.#next += 1;
    this.#heldBytes -= entry.payload.byteLength;
    this.#bytesSinceCredit += entry.payload.byteLength;
    this.#settle(entry.id);
  }

  /** Acknowledges together what was done in one turn of the event loop. */
  #settle(id: string): void {
    this.#done.push(id);
    if (this.#isSettling) return;
    this.#isSettling = true;
    setImmediate(() => {
      this.#isSettling = false;
      if (this.#isClosed) return;
      const consumed = this.#next - 1;
      const isWorthIt =
        this.#bytesSinceCredit >= this.#options.windowBytes / 8 ||
        consumed - this.#credited >= WINDOW_ENTRIES / 8 ||
        this.#held.size === 0;
      const credit = isWorthIt && consumed > this.#credited ? consumed : undefined;
      if (credit !== undefined) {
        this.#credited = credit;
        this.#bytesSinceCredit = 0;
      }
      this.#events.settled(this.#done.splice(0), credit);
    });
  }
}
