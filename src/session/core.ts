/**
 * What: what both roles share: the lanes and how they come, sealed messages out and in, the
 * peer's abort, and the end. The roles (source.ts, destination.ts) are flows on top of it.
 *
 *   lanes ─▶ message inbox ─▶ mailbox ─▶ the role's flow ─▶ seal ─▶ outbox ─▶ lanes
 *     └────▶ record traffic of the role (importer.ts)
 */
import { AbortError, errorMessage } from '../errors.js';
import type { Mirror, MessageKind, OpenedMessage, SealedMessage } from '../mirror/contract.js';
import { PF_CLASS_MESSAGE } from '../native/abi.generated.js';
import type { AckSet } from '../wire/ack.js';
import type { OutgoingControl, WireReason } from '../wire/control.js';
import { decodeControl, encodeControl } from '../wire/control.js';
import { badField } from '../wire/problem.js';
import type { RecordKind } from '../wire/record-head.js';
import { Acknowledger } from './acknowledger.js';
import type { Clock } from './clock.js';
import { Connection } from './connection.js';
import { Dialer } from './dialer.js';
import type { EventEmitter } from './events.js';
import { otherRole } from './greeting.js';
import { LaneSet } from './lane-set.js';
import type { WaitOptions } from './life.js';
import { Life, waitWithin } from './life.js';
import {
  FAREWELL_TIMEOUT_MS,
  RAM_WORK_BYTES_PER_SECOND,
  RECONNECT_PAUSED_MAX_MS,
  RECONNECT_TIMEOUT_MS_DEFAULT,
} from './limits.js';
import { LaneListener } from './listener.js';
import { abortBelongs, isHurried, isPastCommit, SessionMachine } from './machine.js';
import { Mailbox } from './mailbox.js';
import { MessageInbox } from './message-inbox.js';
import { Outbox } from './outbox.js';
import type { Pacer } from './pacing.js';
import type { RecordTraffic } from './record-traffic.js';
import type { LaneTraffic, SessionLane } from './session-lane.js';
import { closingError } from './session-lane.js';
import type { Role, SessionOptions, SessionState } from './types.js';

export interface CoreHooks {
  /** Undefined at a source, which takes no records of pages. */
  readonly records?: (core: SessionCore) => RecordTraffic;
  /** What this side's frames wait for. */
  readonly pacer?: Pacer;
  /** The peer has sent a message again that was taken in long ago. */
  readonly duplicate?: (counter: number) => void;
}

export class SessionCore implements LaneTraffic {
  readonly life: Life;
  readonly connection: Connection;
  readonly machine: SessionMachine;
  readonly mailbox: Mailbox;
  readonly lanes: LaneSet;
  readonly outbox: Outbox;
  readonly acknowledger: Acknowledger;
  readonly #inbox: MessageInbox;
  readonly #records: RecordTraffic | undefined;
  readonly #entry: Dialer | LaneListener;
  readonly #unlistenSignal: () => void;
  /** Lanes are opened and let in during its time: to the close, so that last words get through. */
  readonly #laneLife: Life;
  #isEstablished = false;
  #isAnswered = false;
  #isDeciding = false;
  #peerAbort: 'ended' | 'asked' | undefined;
  /**
   * Takes the user's wish to stop while it cannot simply end the session (a READY destination,
   * which has to ask the source). Unset: the session ends.
   */
  takeStop: ((error: AbortError) => void) | undefined;

  constructor(
    readonly role: Role,
    readonly options: SessionOptions,
    readonly mirror: Mirror,
    readonly clock: Clock,
    readonly events: EventEmitter,
    private readonly hooks: CoreHooks,
    random: () => number = Math.random,
  ) {
    const { laneSource, secret, peerTimeoutMs } = options;
    this.life = new Life(clock);
    this.#laneLife = new Life(clock);
    this.acknowledger = new Acknowledger(clock);
    this.connection = this.#makeConnection();
    this.machine = new SessionMachine(role, (state) => {
      events.emit({ type: 'state', role, state });
      this.connection.rearm();
      this.#endWhenDone();
    });
    this.mailbox = new Mailbox(this.machine, this.life);
    const laneEvents = {
      added: (lane: SessionLane) => {
        this.#laneAdded(lane);
      },
      lost: (lane: SessionLane) => {
        this.#laneLost(lane);
      },
    };
    this.lanes = new LaneSet(clock, peerTimeoutMs, this, laneEvents);
    this.outbox = new Outbox(
      this.lanes,
      () => {
        this.noteActivity();
      },
      clock,
    );
    this.#inbox = this.#makeInbox();
    this.#records = hooks.records?.(this);
    const { machine, lanes, reconnectTimeoutMs } = this;
    const life = this.#laneLife;
    const limits = { peerTimeoutMs, reconnectTimeoutMs };
    const entrance = { role, mirror, secret, life, machine, lanes, events, random, ...limits };
    this.#entry =
      laneSource.mode === 'dial'
        ? new Dialer(entrance, laneSource)
        : new LaneListener(entrance, laneSource);
    this.#unlistenSignal = this.#listenTo(options.signal);
    this.life.signal.addEventListener('abort', () => {
      if (!this.#isEstablished && this.life.failure !== undefined) life.fail(this.life.failure);
    });
    void mirror.died.then((error) => {
      this.life.fail(error);
      life.fail(error);
    });
  }

  get pacer(): Pacer | undefined {
    return this.hooks.pacer;
  }

  get isEstablished(): boolean {
    return this.#isEstablished;
  }

  /** Hex; empty before the session is established. */
  get sessionId(): string {
    return this.#isEstablished ? Buffer.from(this.mirror.sessionId).toString('hex') : '';
  }

  /** The secret is set, a lane has joined, keys are agreed. */
  async connect(): Promise<void> {
    this.life.check();
    await this.mirror.setSecret(this.options.secret);
    await this.#entry.open();
    this.life.check();
    this.#isEstablished = true;
    this.machine.fire('established');
  }

  /** How the peer has ended the session by a sealed message: for good, or asking us to. */
  get peerAbort(): 'ended' | 'asked' | undefined {
    return this.#peerAbort;
  }

  /**
   * COMMIT is about to be sealed, and what is sealed has to be sent: no later message gets past a
   * gap. So no abort is taken any more, as in the state that follows. Throws when there was one.
   */
  beginCommit(): void {
    this.life.check();
    this.#isDeciding = true;
  }

  /** Durable when it resolves; see SessionOptions.recordState. */
  async recordState(state: SessionState): Promise<void> {
    await this.options.recordState?.(this.sessionId, state);
  }

  /** The same for a state that is reached whether it can be recorded or not. */
  async recordDoubt(): Promise<void> {
    await this.recordState('undecided').catch((error: unknown) => {
      process.emitWarning(`pageferry: cannot record the doubt: ${errorMessage(error)}`);
    });
  }

  /** The peer got something done; waits count from here. */
  noteActivity(): void {
    this.connection.noteProgress();
  }

  /** A wait for the peer, which ends when it gets nothing done for the peer timeout. */
  peerWait(what: string): WaitOptions {
    const activity = (): number => this.connection.activityMs();
    return { what, timeoutMs: this.options.peerTimeoutMs, activity };
  }

  /** A wait that nothing prolongs but being without lanes. */
  strictWait(what: string): WaitOptions {
    const startedMs = this.clock.now();
    const activity = (): number => this.connection.startMs(startedMs);
    return { what, timeoutMs: this.options.peerTimeoutMs, activity };
  }

  /** The same where the peer works on all of RAM, and is silent meanwhile. */
  ramWait(what: string, ramBytes: number): WaitOptions {
    const workMs = (ramBytes / RAM_WORK_BYTES_PER_SECOND) * 1000;
    return { ...this.peerWait(what), timeoutMs: this.options.peerTimeoutMs + workMs };
  }

  /** Seals a control message; it has to be shipped, or later ones cannot be opened. */
  sealControl(message: OutgoingControl): Promise<SealedMessage> {
    return this.mirror.sealMessage('control', encodeControl(message));
  }

  /** Sends a sealed message until it is acknowledged; resolves then (false: the end came first). */
  shipMessage(sealed: SealedMessage, urgent = true): Promise<boolean> {
    return new Promise((done) => {
      const { counter, bytes } = sealed;
      this.outbox.ship({ recordClass: PF_CLASS_MESSAGE, stream: 0, counter, bytes, urgent, done });
    });
  }

  async sendControl(message: OutgoingControl): Promise<SealedMessage> {
    const sealed = await this.sealControl(message);
    void this.shipMessage(sealed);
    return sealed;
  }

  /** Seals and sends one message; the inner promise tells when it is acknowledged. */
  async sendMessage(kind: MessageKind, plain: Uint8Array): Promise<{ done: Promise<boolean> }> {
    const sealed = await this.mirror.sealMessage(kind, plain);
    return { done: this.shipMessage(sealed) };
  }

  /** Whether this message is still on its way. */
  hasMessage(counter: number): boolean {
    return this.outbox.has(PF_CLASS_MESSAGE, 0, counter);
  }

  /** The peer has this side's last word on the guest, and may go. */
  noteAnswered(): void {
    this.#isAnswered = true;
    this.#endWhenDone();
  }

  /** Ends lanes and mirror. Never rejects; idempotent is the mirror's part. */
  async close(): Promise<void> {
    this.#unlistenSignal();
    this.acknowledger.flush();
    this.life.fail(closingError());
    this.#laneLife.fail(closingError());
    this.connection.close();
    const wait = { what: 'did not close its lanes', timeoutMs: FAREWELL_TIMEOUT_MS };
    await Promise.allSettled([this.#entry.close()]);
    await Promise.allSettled([waitWithin(this.clock, this.lanes.end(true), wait)]);
    await this.lanes.end(false);
    // Imports under way end by themselves, or by the mirror's own stall limit.
    await Promise.all([this.#inbox.idle(), this.#records?.idle()]);
    // Only now no lane touches the window any more.
    this.outbox.close();
    await Promise.allSettled([this.mirror.close()]);
  }

  reserve(lane: SessionLane, kind: RecordKind, bytes: number): Uint8Array | Promise<Uint8Array> {
    if (kind === 'control' || (kind === 'device-state' && this.role === 'destination')) {
      return new Uint8Array(bytes);
    }
    if (this.#records === undefined) throw badField('record', 'a control record', kind);
    return this.#records.reserve(lane, kind, bytes);
  }

  record(lane: SessionLane, kind: RecordKind, buffer: Uint8Array, bytes: number): void {
    if (kind === 'control' || kind === 'device-state') {
      this.#inbox.offer(lane, buffer.subarray(0, bytes));
    } else {
      this.#records?.record(lane, kind, buffer, bytes);
    }
  }

  acknowledged(sets: readonly AckSet[]): void {
    this.outbox.acknowledge(sets);
  }

  #makeInbox(): MessageInbox {
    return new MessageInbox(this.mirror, {
      opened: (message) => {
        this.#opened(message);
      },
      duplicate: (counter) => this.hooks.duplicate?.(counter),
      acknowledge: (lane, recordClass, stream, counter) => {
        this.acknowledger.add(lane, recordClass, stream, counter);
      },
      fail: (error) => {
        this.life.fail(error);
      },
    });
  }

  #opened(message: Extract<OpenedMessage, { outcome: 'opened' }>): void {
    this.noteActivity();
    if (message.kind === 'device-state') {
      this.mailbox.put({ type: 'chunk', bytes: message.bytes }, message.counter);
      return;
    }
    try {
      const control = decodeControl(message.bytes);
      if (control.type === 'hold') {
        // It keeps waits from ending, as every message does, and asks for nothing.
        this.events.emit({ type: 'held', role: this.role, isPaused: control.isPaused });
        return;
      }
      const isDecision = control.type === 'aborted' && isPastCommit(this.machine.state);
      if (control.type === 'abort' || (control.type === 'aborted' && !isDecision)) {
        const isAsking = control.type === 'abort' && control.asks;
        this.#peerAborted(control, isAsking ? 'asked' : 'ended');
      } else {
        this.mailbox.put(control, message.counter);
      }
    } catch (error) {
      this.life.fail(error as Error);
    }
  }

  /** Where an abort does not belong, it is no answer: only COMMITTED and ABORTED are. */
  #peerAborted({ code, message }: WireReason, abort: 'ended' | 'asked'): void {
    if (this.#isDeciding || !abortBelongs(this.role, this.machine.state)) return;
    this.#peerAbort = abort;
    const text = `the ${otherRole(this.role)} stopped the migration: ${message} (${code})`;
    this.life.fail(new AbortError('ERR_PAGEFERRY_PEER_ABORTED', text));
  }

  #laneAdded(lane: SessionLane): void {
    this.events.emit({ type: 'lane', lane: lane.number, remote: lane.remote, open: true });
    this.connection.restored();
    this.outbox.laneAdded();
  }

  #laneLost(lane: SessionLane): void {
    this.events.emit({ type: 'lane', lane: lane.number, remote: lane.remote, open: false });
    this.#records?.laneLost(lane);
    this.outbox.laneLost(lane);
    if (this.lanes.count > 0 || this.#laneLife.failure !== undefined) return;
    this.connection.lost();
    this.#endWhenDone();
  }

  /**
   * The guest runs where it is to run, both know it, and the peer has closed: no lane will come
   * back. That its last lane was closed does not say so alone: it may have been one too many.
   */
  #endWhenDone(): void {
    const isKnown = this.role === 'source' || this.#isAnswered;
    const isDone = this.machine.state === 'committed' && this.connection.isLaneless;
    if (isDone && isKnown && this.lanes.endedGracefully) void this.#allLost();
  }

  /** What has arrived still counts: the peer may have closed after its last message. */
  async #allLost(): Promise<void> {
    await this.#inbox.idle();
    await this.#records?.idle();
    if (this.lanes.count === 0) this.life.fail(this.lanes.lossError());
  }

  /** How long there may be no lane, in milliseconds. */
  get reconnectTimeoutMs(): number {
    return this.options.reconnectTimeoutMs ?? RECONNECT_TIMEOUT_MS_DEFAULT;
  }

  #makeConnection(): Connection {
    const limitMs = (): number =>
      isHurried(this.role, this.machine.state)
        ? Math.min(this.reconnectTimeoutMs, RECONNECT_PAUSED_MAX_MS)
        : this.reconnectTimeoutMs;
    return new Connection(this.clock, limitMs, {
      lost: (leftMs) => {
        this.events.emit({ type: 'reconnecting', role: this.role, limitMs: leftMs });
      },
      restored: (outageMs) => {
        this.events.emit({ type: 'reconnected', role: this.role, outageMs });
      },
      expired: () => {
        void this.#allLost();
      },
    });
  }

  #listenTo(signal: AbortSignal | undefined): () => void {
    if (signal === undefined) return () => undefined;
    const onAbort = (): void => {
      if (this.#isDeciding || !this.machine.can('abort')) return;
      if (this.machine.state === 'committing') return;
      const cause: unknown = signal.reason;
      const message = 'the migration was stopped';
      const error = new AbortError('ERR_PAGEFERRY_ABORTED', message, { cause });
      if (this.takeStop === undefined) this.life.fail(error);
      else this.takeStop(error);
    };
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    return () => {
      signal.removeEventListener('abort', onAbort);
    };
  }
}
