/**
 * What: the life of a lane, shared by all transports: status, ordered sends out of a bounded queue,
 * graceful close, immediate abort, counters, AbortSignal.
 *
 *     open ──close() or the peer's goodbye──▶ closing ──both said goodbye──▶ closed
 *       └───────────abort(), a failure, a cut stream──────┴───────────────────▶ closed
 *
 * A transport extends BaseLane with four methods (transmit, transmitGoodbye, startReading, release)
 * and calls back: `inbox` and `peerSaidGoodbye` for what arrives, `fail` when something breaks,
 * `released` when its resources are free. Everything runs on the main thread.
 */
import { AbortError, TransportError } from '../../errors.js';
import type { FrameSink, Lane, LaneCounters, LaneStatus } from '../contract.js';
import { abortError, laneError } from './errors.js';
import { Inbox } from './inbox.js';
import { SendQueue } from './send-queue.js';
import type { Outgoing } from './send-queue.js';

export interface LaneOptions {
  /** For people: where the other end is. */
  readonly remote: string;
  /** Frames above this are refused in both directions. */
  readonly maxFrameBytes: number;
  /** Aborts the lane. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * How long the end of a graceful close may take once everything is sent and the peer makes no
 * progress. Shorter cuts slow peers off, longer keeps descriptors of dead ones.
 */
export const closeLimitMs = 10_000;

export abstract class BaseLane implements Lane {
  readonly remote: string;
  protected readonly maxFrameBytes: number;
  protected readonly inbox: Inbox;
  readonly #queue: SendQueue;
  #status: LaneStatus = 'open';
  #goodbye: 'unsaid' | 'sending' | 'said' = 'unsaid';
  #peerSaidGoodbye = false;
  #endError: Error | undefined;
  #closeTimer: NodeJS.Timeout | undefined;
  #bytesReceivedAtTimer = 0;
  readonly #released: Promise<void>;
  #tellReleased: () => void = () => undefined;
  readonly #unlistenSignal: () => void;

  constructor(options: LaneOptions) {
    this.remote = options.remote;
    this.maxFrameBytes = options.maxFrameBytes;
    this.inbox = new Inbox((error) => {
      this.fail(error);
    });
    this.#queue = new SendQueue(options.maxFrameBytes);
    this.#released = new Promise((resolve) => {
      this.#tellReleased = resolve;
    });
    this.#unlistenSignal = this.#listenTo(options.signal);
  }

  get status(): LaneStatus {
    return this.#status;
  }

  /** A snapshot. Bytes are those of frames, without what the transport puts around them. */
  get counters(): LaneCounters {
    return {
      bytesSent: this.#queue.bytesSent,
      bytesReceived: this.inbox.bytesReceived,
      framesSent: this.#queue.framesSent,
      framesReceived: this.inbox.framesReceived,
      bytesQueued: this.#queue.bytesQueued,
    };
  }

  receive(sink: FrameSink): void {
    this.inbox.attach(sink);
    if (this.#status !== 'closed') this.startReading();
  }

  send(parts: readonly Uint8Array[]): Promise<void> {
    if (this.#status !== 'open') return Promise.reject(this.#closedError());
    const sent = this.#queue.add(parts);
    this.#pump();
    return sent;
  }

  close(): Promise<void> {
    if (this.#status === 'open') {
      this.#status = 'closing';
      this.#pump();
    }
    return this.#released;
  }

  abort(reason?: Error): void {
    this.finish(reason ?? new AbortError('ERR_PAGEFERRY_ABORTED', 'the lane was aborted'));
    this.hurry();
  }

  /**
   * Hands `frames` on, in order; called again only after `done`. Call `done` once, when the parts
   * may be reused; it ignores calls after the lane's end.
   */
  protected abstract transmit(frames: readonly Outgoing[], done: () => void): void;

  /** Tells the peer that nothing more comes; `done` when that is on its way. */
  protected abstract transmitGoodbye(done: () => void): void;

  /** There is a sink now. Called once at most. */
  protected abstract startReading(): void;

  /**
   * Frees everything at once, without touching memory of frames afterwards; then calls `released`,
   * not before the present call is over. `graceful`: what the system has taken may still go out.
   */
  protected abstract release(graceful: boolean): void;

  /** The lane is over and nobody wants to wait for what a graceful `release` still does. */
  protected hurry(): void {
    // Most have nothing left to do.
  }

  /** Whatever `release` frees is free. */
  protected released(): void {
    this.#tellReleased();
  }

  protected fail(error: Error): void {
    this.finish(error);
  }

  /** Whether the peer has said goodbye. */
  protected get peerClosed(): boolean {
    return this.#peerSaidGoodbye;
  }

  /** How far this side's goodbye is. */
  protected get localGoodbye(): 'unsaid' | 'sending' | 'said' {
    return this.#goodbye;
  }

  /** The peer closes: what was sent drains, then this side closes too. */
  protected peerSaidGoodbye(): void {
    this.#peerSaidGoodbye = true;
    if (this.#status === 'open') this.#status = 'closing';
    this.#finishWhenBothSaid();
    this.#pump();
  }

  /** Ends the lane for good; idempotent. Pending sends reject with `error`. */
  protected finish(error: Error | undefined, graceful = error === undefined): void {
    if (this.#status === 'closed') return;
    this.#status = 'closed';
    this.#endError = error;
    this.#unlistenSignal();
    clearTimeout(this.#closeTimer);
    this.release(graceful);
    this.#queue.rejectAll(error ?? this.#closedError());
    this.inbox.end(error);
  }

  #pump(): void {
    if (this.#status === 'closed' || this.#queue.inFlight) return;
    const frames = this.#queue.take();
    if (frames.length > 0) {
      this.transmit(frames, () => {
        this.#transmitted();
      });
    } else if (this.#status === 'closing' && this.#goodbye === 'unsaid') {
      this.#sayGoodbye();
    }
  }

  #transmitted(): void {
    if (this.#status === 'closed' || !this.#queue.inFlight) return;
    this.#queue.settle();
    this.#pump();
  }

  #sayGoodbye(): void {
    this.#goodbye = 'sending';
    this.#startCloseTimer();
    this.transmitGoodbye(() => {
      this.#goodbye = 'said';
      this.#finishWhenBothSaid();
    });
  }

  #finishWhenBothSaid(): void {
    if (this.#peerSaidGoodbye && this.#goodbye === 'said') this.finish(undefined);
  }

  #startCloseTimer(): void {
    this.#bytesReceivedAtTimer = this.inbox.bytesReceived;
    this.#closeTimer = setTimeout(() => {
      if (this.inbox.bytesReceived > this.#bytesReceivedAtTimer) {
        this.#startCloseTimer();
        return;
      }
      const message = `the peer did not close within ${closeLimitMs} ms`;
      // Gently: the peer may be slow, and then still gets what it was sent.
      this.finish(laneError('TIMEOUT', message, { phase: 'close' }), true);
    }, closeLimitMs);
  }

  #listenTo(signal: AbortSignal | undefined): () => void {
    if (signal === undefined) return () => undefined;
    const onAbort = (): void => {
      this.abort(abortError(signal));
    };
    // Not at once: the constructor of the extending class has not run yet.
    if (signal.aborted) queueMicrotask(onAbort);
    signal.addEventListener('abort', onAbort, { once: true });
    return () => {
      signal.removeEventListener('abort', onAbort);
    };
  }

  #closedError(): Error {
    const cause = this.#endError;
    // What made the lane end says whether another one can do better.
    const retryable = cause instanceof TransportError && cause.retryable;
    return laneError('CLOSED', `the lane is ${this.#status}`, { phase: 'send', retryable, cause });
  }
}
