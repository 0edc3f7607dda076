/**
 * What: one lane of a session: it sorts incoming frames by kind, keeps greetings apart from the
 * traffic of a joined lane, and sends outgoing frames in turn, urgent ones first.
 * Until it has joined, only greetings get through; anything else waits unread (backpressure), so
 * a frame that overtakes our own opening of the peer's accept is not lost.
 */
import { setMaxListeners } from 'node:events';

import type { ProtocolError } from '../errors.js';
import { AbortError, TransportError } from '../errors.js';
import type { FrameSink, Lane, LaneCounters } from '../transport/contract.js';
import type { AckSet } from '../wire/ack.js';
import { checkAck } from '../wire/ack.js';
import type { ClearFrame } from '../wire/frames.js';
import { decodeFrame, encodeFrame, frameKind } from '../wire/frames.js';
import { REASON_CHARACTERS_MAX } from '../wire/limits.js';
import { badField, printable } from '../wire/problem.js';
import type { RecordKind } from '../wire/record-head.js';
import { recordKind } from '../wire/record-head.js';
import type { Clock } from './clock.js';
import { DrainRate } from './drain-rate.js';
import { GREETINGS_HELD_MAX, LANE_FRAMES_IN_FLIGHT, UNPACED_FRAME_BYTES_MAX } from './limits.js';
import type { Pacer } from './pacing.js';

/** What a lane receives before it has joined. */
export type Greeting = ClearFrame | { readonly kind: 'record'; readonly bytes: Uint8Array };

/** Where the frames of a joined lane go. */
export interface LaneTraffic {
  /** Memory for a record of this kind; throws or rejects to end the lane. */
  reserve(lane: SessionLane, kind: RecordKind, bytes: number): Uint8Array | Promise<Uint8Array>;
  record(lane: SessionLane, kind: RecordKind, buffer: Uint8Array, bytes: number): void;
  acknowledged(sets: readonly AckSet[]): void;
  /** What frames have to wait for before they go; undefined: nothing. */
  readonly pacer?: Pacer | undefined;
}

interface Outgoing {
  readonly parts: readonly Uint8Array[];
  readonly bytes: number;
  readonly sent: () => void;
  readonly lost: (error: Error) => void;
}

interface GreetingWaiter {
  readonly take: (greeting: Greeting) => void;
  readonly fail: (error: Error) => void;
}

const greetingKinds = new Set(['hello', 'hello-reply', 'goodbye', 'handshake']);

export class SessionLane implements FrameSink {
  /** The dialer's number for the lane; known once it has greeted. */
  number = 0;
  /** What the peer said before it closed: a hint, from anybody. */
  goodbye: string | undefined;
  givenBytes = 0;
  queuedBytes = 0;
  lastHeardMs: number;
  /** Page records on it that are not acknowledged; the outbox counts them. */
  owedRecords = 0;
  /** When the first of them was given to it, or the last one before was acknowledged. */
  owedMs = 0;
  acknowledgedMs = 0;
  /** Settles when the lane is over; with the error unless it was closed gracefully. */
  readonly over: Promise<Error | undefined>;
  readonly #endController = new AbortController();
  #tellEnded: (error: Error | undefined) => void = () => undefined;
  #isOpen = true;
  #isReserving = false;
  #traffic: LaneTraffic | undefined;
  readonly #joined: Promise<void>;
  #tellJoined: () => void = () => undefined;
  readonly #greetings: Greeting[] = [];
  #waiter: GreetingWaiter | undefined;
  readonly #urgent: Outgoing[] = [];
  readonly #bulk: Outgoing[] = [];
  #inFlight = 0;
  #isPaced = false;
  readonly #drainRate = new DrainRate();
  #heardBytes = 0;

  constructor(
    readonly lane: Lane,
    private readonly clock: Clock,
  ) {
    this.lastHeardMs = clock.now();
    setMaxListeners(0, this.#endController.signal);
    this.over = new Promise((resolve) => {
      this.#tellEnded = resolve;
    });
    this.#joined = new Promise((resolve) => {
      this.#tellJoined = resolve;
    });
    lane.receive(this);
  }

  get remote(): string {
    return this.lane.remote;
  }

  /** Since when it owes an acknowledgement; undefined: it owes none. */
  get owesSinceMs(): number | undefined {
    return this.owedRecords === 0 ? undefined : this.owedMs;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  get counters(): LaneCounters {
    return this.lane.counters;
  }

  /** Time in which it had something to send, in milliseconds. */
  get busyMs(): number {
    return this.#drainRate.busyMs(this.clock.now());
  }

  /** How fast it hands on what it is given; undefined: not known. */
  bytesPerMs(nowMs: number): number | undefined {
    return this.#drainRate.bytesPerMs(nowMs);
  }

  /** Fires at the lane's end. */
  get endSignal(): AbortSignal {
    return this.#endController.signal;
  }

  /** From now on frames go to `traffic`. */
  join(traffic: LaneTraffic): void {
    this.#traffic = traffic;
    this.#tellJoined();
  }

  /** The next greeting; rejects at the lane's end and when the peer says goodbye instead. */
  nextGreeting(): Promise<Greeting> {
    const held = this.#greetings.shift();
    if (held !== undefined) return Promise.resolve(held);
    if (!this.#isOpen) return Promise.reject(this.#endError());
    return new Promise((take, fail) => {
      this.#waiter = { take, fail };
    });
  }

  /** Sends one frame. Resolves when its memory may be reused; rejects when the lane is over. */
  send(parts: readonly Uint8Array[], urgent: boolean): Promise<void> {
    if (!this.#isOpen) return Promise.reject(this.#endError());
    const bytes = parts.reduce((sum, part) => sum + part.length, 0);
    this.queuedBytes += bytes;
    this.#drainRate.begin(this.clock.now());
    this.givenBytes += bytes;
    return new Promise((sent, lost) => {
      (urgent ? this.#urgent : this.#bulk).push({ parts, bytes, sent, lost });
      this.#pump();
    });
  }

  /** Sends a frame that nobody waits for; a lane that is over has its own way of telling. */
  post(frame: Uint8Array): void {
    this.send([frame], true).catch((error: unknown) => {
      this.abort(error as Error);
    });
  }

  abort(reason: Error): void {
    this.lane.abort(reason);
  }

  close(): Promise<void> {
    return this.lane.close();
  }

  /** When the peer was last heard; a lane that waits for our memory counts as heard. */
  heardMs(): number {
    const { bytesReceived } = this.lane.counters;
    if (bytesReceived !== this.#heardBytes || this.#isReserving) {
      this.#heardBytes = bytesReceived;
      this.lastHeardMs = this.clock.now();
    }
    return this.lastHeardMs;
  }

  reserve(bytes: number, head: Uint8Array): Uint8Array | Promise<Uint8Array> {
    const kind = frameKind(head, bytes);
    const traffic = this.#traffic;
    if (traffic === undefined) {
      if (this.#isGreeting(kind, head, bytes)) return new Uint8Array(bytes);
      const copy = Uint8Array.from(head);
      return this.#whileReserving(this.#joined.then(() => this.#reserveJoined(bytes, copy)));
    }
    if (kind !== 'record') return new Uint8Array(bytes);
    const buffer = traffic.reserve(this, recordKind(head, bytes), bytes);
    return buffer instanceof Uint8Array ? buffer : this.#whileReserving(buffer);
  }

  /** A lane that ended while it joined takes no memory: nobody would give it back. */
  #reserveJoined(bytes: number, head: Uint8Array): Uint8Array | Promise<Uint8Array> {
    if (!this.#isOpen) throw this.#endError();
    return this.reserve(bytes, head);
  }

  deliver(buffer: Uint8Array, bytes: number): void {
    try {
      this.#deliver(buffer, bytes);
    } catch (error) {
      this.abort(error as Error);
    }
  }

  ended(error: Error | undefined): void {
    this.#isOpen = false;
    const reason = error ?? this.#endError();
    this.#endController.abort(reason);
    this.#waiter?.fail(reason);
    this.#waiter = undefined;
    for (const outgoing of [...this.#urgent.splice(0), ...this.#bulk.splice(0)]) {
      outgoing.lost(reason);
    }
    this.#tellEnded(error);
  }

  #isGreeting(kind: string, head: Uint8Array, bytes: number): boolean {
    if (greetingKinds.has(kind)) return true;
    return kind === 'record' && recordKind(head, bytes) === 'lane';
  }

  async #whileReserving(buffer: Promise<Uint8Array>): Promise<Uint8Array> {
    this.#isReserving = true;
    try {
      return await buffer;
    } finally {
      this.#isReserving = false;
    }
  }

  #deliver(buffer: Uint8Array, bytes: number): void {
    const frame = buffer.subarray(0, bytes);
    const kind = frameKind(frame, bytes);
    if (this.#traffic === undefined) {
      this.#greeted(kind === 'record' ? { kind, bytes: frame } : decodeFrame(frame));
    } else if (kind === 'record') {
      this.#traffic.record(this, recordKind(frame, bytes), buffer, bytes);
    } else {
      this.#hear(decodeFrame(frame), this.#traffic);
    }
  }

  #greeted(greeting: Greeting): void {
    if (greeting.kind === 'goodbye') {
      this.#noteGoodbye(greeting.message.message);
      const waiter = this.#waiter;
      this.#waiter = undefined;
      if (waiter !== undefined) waiter.take(greeting);
      else this.#greetings.push(greeting);
      return;
    }
    const waiter = this.#waiter;
    this.#waiter = undefined;
    if (waiter !== undefined) waiter.take(greeting);
    else if (this.#greetings.length < GREETINGS_HELD_MAX) this.#greetings.push(greeting);
    else throw badField('greetings', `at most ${GREETINGS_HELD_MAX} unasked`, 'more');
  }

  /** A frame in the clear on a joined lane. */
  #hear(frame: ClearFrame, traffic: LaneTraffic): void {
    switch (frame.kind) {
      case 'ack':
        traffic.acknowledged(checkAck(frame.message));
        return;
      case 'ping':
        this.post(encodeFrame('pong', { value: frame.message.value }));
        return;
      case 'pong':
        return;
      case 'goodbye':
        this.#noteGoodbye(frame.message.message);
        return;
      default:
        throw badField('frame', 'one of a joined lane', frame.kind);
    }
  }

  #noteGoodbye(message: string): void {
    this.goodbye = printable(message, REASON_CHARACTERS_MAX);
  }

  #pump(): void {
    while (this.#inFlight < LANE_FRAMES_IN_FLIGHT) {
      const outgoing = this.#next();
      if (outgoing === undefined) return;
      this.#inFlight += 1;
      this.lane.send(outgoing.parts).then(
        () => {
          this.#settled(outgoing);
          outgoing.sent();
        },
        (error: unknown) => {
          // A lane that refuses a frame is over, whether or not it has said so yet.
          this.#isOpen = false;
          this.#settled(outgoing);
          outgoing.lost(error as Error);
          this.abort(error as Error);
        },
      );
    }
  }

  /** The next frame that may go now; where it has to wait for its turn, the pump runs again. */
  #next(): Outgoing | undefined {
    const queue = this.#urgent.length > 0 ? this.#urgent : this.#bulk;
    const [first] = queue;
    const pacer = this.#traffic?.pacer;
    if (first === undefined || pacer === undefined) return queue.shift();
    if (first.bytes <= UNPACED_FRAME_BYTES_MAX) {
      pacer.charge(first.bytes);
    } else if (!pacer.tryTake(first.bytes)) {
      if (!this.#isPaced) pacer.wait(first.bytes, this.#pumpAgain);
      this.#isPaced = true;
      return undefined;
    }
    return queue.shift();
  }

  readonly #pumpAgain = (): void => {
    this.#isPaced = false;
    this.#pump();
  };

  #settled(outgoing: Outgoing): void {
    this.#inFlight -= 1;
    this.queuedBytes -= outgoing.bytes;
    this.#drainRate.handedOn(outgoing.bytes, this.clock.now(), this.queuedBytes === 0);
    this.#pump();
  }

  #endError(): Error {
    const message = this.goodbye === undefined ? '' : `; it said: ${this.goodbye}`;
    const options = { phase: 'receive', retryable: true } as const;
    const text = `the peer closed the lane${message}`;
    return new TransportError('ERR_PAGEFERRY_LANE_CLOSED', text, options);
  }
}

/** For a lane that this side has no more use for. */
export function closingError(): AbortError {
  return new AbortError('ERR_PAGEFERRY_CLOSING', 'the session is over');
}

/** For a greeting that is not the one expected. */
export function unexpectedGreeting(expected: string, received: string): ProtocolError {
  return badField('greeting', expected, received);
}
