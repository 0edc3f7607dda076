/**
 * What: a lane over any Duplex stream of Node. Prefix and parts are written together without a
 * copy; reading goes through net.Socket's `onread` where the socket was made with
 * `reader.onread` (bytes go from the system into the sink's memory), and through `data` events,
 * one copy each, where it was not.
 */
import type { Duplex } from 'node:stream';

import { laneError, systemError } from './errors.js';
import { FrameReader, goodbyeMark, prefixBytes } from './framing.js';
import { BaseLane, closeLimitMs } from './lane.js';
import type { LaneOptions } from './lane.js';
import { batchFramesLimit } from './send-queue.js';
import type { Outgoing } from './send-queue.js';

export interface StreamLaneOptions extends LaneOptions {
  /**
   * Open, paused, with `allowHalfOpen`. The lane owns it from here on. Half-open matters: a socket
   * that ends by itself when the peer does would cut what is still to be sent.
   */
  readonly socket: Duplex;
  /** The reader whose `onread` the socket was made with; without it `data` events are used. */
  readonly reader?: FrameReader | undefined;
  /**
   * Whether the layer below says something of its own after our goodbye, as TLS does. Then a
   * graceful end reads to the stream's end first: a connection closed with bytes unread is reset
   * by the system, and what the peer was sent would be lost with it.
   */
  readonly readsToEnd?: boolean;
  /** Cuts the stream harder than `socket.destroy()` does: for TCP, a reset. Called once. */
  readonly reset?: (() => void) | undefined;
}

export class StreamLane extends BaseLane {
  readonly #socket: Duplex;
  readonly #reader: FrameReader;
  readonly #readsDirectly: boolean;
  readonly #readsToEnd: boolean;
  readonly #reset: (() => void) | undefined;
  #hasEnded = false;
  #lingerTimer: NodeJS.Timeout | undefined;
  /** A prefix per frame of a batch; reused, since one batch is under way at a time. */
  readonly #prefixes = Buffer.allocUnsafeSlow(prefixBytes * batchFramesLimit);
  /** What a `data` event brought while the reader was waiting. */
  #leftover: Buffer | undefined;

  constructor(options: StreamLaneOptions) {
    super(options);
    this.#socket = options.socket;
    this.#readsDirectly = options.reader !== undefined;
    this.#reader = options.reader ?? new FrameReader(options.maxFrameBytes);
    this.#readsToEnd = options.readsToEnd ?? false;
    this.#reset = options.reset;
    this.#socket.on('error', (error: NodeJS.ErrnoException) => {
      const [phase, doing] =
        error.syscall === 'read'
          ? (['receive', 'receive from'] as const)
          : (['send', 'send to'] as const);
      this.fail(systemError(error, phase, `${doing} ${this.remote}`));
    });
    this.#socket.on('end', () => {
      this.#hasEnded = true;
      if (this.#lingerTimer !== undefined) this.#socket.destroy();
      else if (!this.peerClosed) this.#streamCut();
    });
    this.#socket.on('close', () => {
      clearTimeout(this.#lingerTimer);
      this.#streamCut();
      this.released();
    });
  }

  protected override startReading(): void {
    this.#reader.start({
      inbox: this.inbox,
      goodbye: () => {
        this.peerSaidGoodbye();
      },
      resume: () => {
        this.#resume();
      },
      fail: (error) => {
        this.fail(error);
      },
    });
    if (!this.#readsDirectly) {
      this.#socket.on('data', (chunk: Buffer) => {
        this.#take(chunk);
      });
    }
    if (this.#reader.wantsBytes) this.#socket.resume();
  }

  protected override transmit(frames: readonly Outgoing[], done: () => void): void {
    const chunks: Uint8Array[] = [];
    for (const [index, frame] of frames.entries()) {
      const at = index * prefixBytes;
      this.#prefixes.writeUInt32LE(frame.bytes, at);
      chunks.push(this.#prefixes.subarray(at, at + prefixBytes));
      for (const part of frame.parts) if (part.byteLength > 0) chunks.push(part);
    }
    const last = chunks.pop();
    this.#socket.cork();
    for (const chunk of chunks) this.#socket.write(chunk);
    // An error also comes as an event, which ends the lane.
    this.#socket.write(last, (error) => {
      if (!error) done();
    });
    this.#socket.uncork();
  }

  protected override transmitGoodbye(done: () => void): void {
    const mark = Buffer.alloc(prefixBytes);
    mark.writeUInt32LE(goodbyeMark);
    this.#socket.once('finish', done);
    this.#socket.end(mark);
  }

  protected override release(graceful: boolean): void {
    this.#reader.stop();
    this.#leftover = undefined;
    // Once the stream is being ended it can no longer be reset.
    if (!graceful && this.#reset !== undefined && this.localGoodbye === 'unsaid') {
      this.#reset();
    } else if (graceful && this.peerClosed && this.#readsToEnd && !this.#hasEnded) {
      this.#linger();
    } else {
      this.#socket.destroy();
    }
  }

  protected override hurry(): void {
    if (this.#lingerTimer !== undefined) this.#socket.destroy();
  }

  /** Waits for the end of the peer's stream, not for ever, before the socket is closed. */
  #linger(): void {
    this.#lingerTimer = setTimeout(() => {
      this.#socket.destroy();
    }, closeLimitMs);
    this.#reader.discard();
    this.#socket.resume();
  }

  #resume(): void {
    const chunk = this.#leftover;
    this.#leftover = undefined;
    if (chunk !== undefined) this.#take(chunk);
    if (this.#reader.wantsBytes && this.status !== 'closed') this.#socket.resume();
  }

  /** One `data` event's bytes: copied to where they belong, or kept while the reader waits. */
  #take(chunk: Buffer): void {
    if (this.#isOver()) return;
    let from = 0;
    while (from < chunk.byteLength && this.#reader.wantsBytes) {
      const target = this.#reader.target();
      const bytes = chunk.copy(target, 0, from);
      from += bytes;
      this.#reader.filled(bytes);
    }
    if (this.#isOver()) return;
    if (from < chunk.byteLength) this.#leftover = chunk.subarray(from);
    if (!this.#reader.wantsBytes) this.#socket.pause();
  }

  /** By a call, so that an earlier answer does not stand: the reader may end the lane. */
  #isOver(): boolean {
    return this.status === 'closed';
  }

  /** The byte stream is over before the lane is. */
  #streamCut(): void {
    if (this.status === 'closed') return;
    const missing = this.#reader.missingBytes();
    if (missing > 0) {
      const message = `${this.remote} ended inside a frame: ${missing} bytes are missing`;
      this.fail(laneError('FRAME_TRUNCATED', message, { phase: 'receive', retryable: true }));
    } else {
      const message = `${this.remote} is gone without a goodbye`;
      this.fail(laneError('PEER_GONE', message, { phase: 'receive', retryable: true }));
    }
  }
}
