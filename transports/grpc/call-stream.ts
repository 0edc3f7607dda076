/**
 * What: a gRPC call as a byte stream (Duplex), and the lane over it. What the lane writes together
 * becomes one message, or several of at most MESSAGE_BYTES_MAX; a message received is a chunk.
 *
 * Backpressure, both ways: writing waits while more than PENDING_BYTES_MAX are under way (stricter
 * than write() === false), and HTTP/2 takes them as far as the peer's window reaches; what comes is
 * read only as far as the lane reads, so the window is given back no sooner.
 *
 * Writing copies (message-copies.ts): grpc-js serializes at a message's turn, long after the
 * lane would have its memory back. Waiting for that instead costs more: nothing would be queued.
 */
import { Duplex } from 'node:stream';

import type { ClientDuplexStream, ServerDuplexStream } from '@grpc/grpc-js';

import { StreamLane } from '../../src/transport/base/index.js';
import type { LaneOptions } from '../../src/transport/base/index.js';
import { MessageCopies } from './message-copies.js';
import { PENDING_BYTES_MAX } from './service.js';

export type Call = ClientDuplexStream<Buffer, Buffer> | ServerDuplexStream<Buffer, Buffer>;

/** How a call ends; what client and server do differently. */
export interface CallEnd {
  /** This side sends nothing more. A server cannot say so without ending the other direction. */
  halfClose(): void;
  /** Both directions are complete: ends the call; resolves when nothing of it is left. */
  complete(): Promise<void>;
  /** Ends the call at once, with whatever is under way. */
  cut(): Promise<void>;
}

interface Chunk {
  readonly chunk: Buffer;
}

export class CallStream extends Duplex {
  /** Whether the lane ended gracefully; set before `destroy`. */
  isComplete = false;
  readonly #call: Call;
  readonly #end: CallEnd;
  readonly #copies = new MessageCopies();
  #pendingBytes = 0;
  #done: (() => void) | undefined;

  constructor(call: Call, end: CallEnd) {
    super({ allowHalfOpen: true, decodeStrings: true });
    this.#call = call;
    this.#end = end;
    call.on('data', (message: Buffer) => {
      if (!this.push(message)) call.pause();
    });
    call.on('end', () => this.push(null));
    // Why a call ended early, the lane cannot do anything about: it is cut either way.
    call.on('error', () => this.destroy());
    call.on('close', () => this.destroy());
    call.pause();
  }

  override _read(): void {
    this.#call.resume();
  }

  override _write(chunk: Buffer, _encoding: unknown, done: (error?: Error | null) => void): void {
    this._writev([{ chunk }], done);
  }

  override _writev(chunks: readonly Chunk[], done: (error?: Error | null) => void): void {
    for (const message of this.#copies.of(chunks.map(({ chunk }) => chunk))) {
      this.#pendingBytes += message.byteLength;
      // A failed write also ends the call.
      this.#call.write(message, () => {
        this.#pendingBytes -= message.byteLength;
        this.#copies.giveBack(message);
        this.#goOn();
      });
    }
    this.#done = done;
    this.#goOn();
  }

  #goOn(): void {
    if (this.#pendingBytes > PENDING_BYTES_MAX) return;
    const done = this.#done;
    this.#done = undefined;
    done?.();
  }

  override _final(done: () => void): void {
    this.#end.halfClose();
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    const ended = this.isComplete ? this.#end.complete() : this.#end.cut();
    void ended.then(() => {
      done(error);
    });
  }
}

export class CallLane extends StreamLane {
  readonly #stream: CallStream;

  constructor(stream: CallStream, options: LaneOptions) {
    super({ ...options, socket: stream });
    this.#stream = stream;
  }

  protected override release(graceful: boolean): void {
    this.#stream.isComplete = graceful;
    super.release(graceful);
  }
}

/** How long the end of a complete call may take when the peer takes no notice of it. */
const endLimitMs = 10_000;

/** Resolves when `emitter` tells `event`; after a while calls `giveUp` and resolves without. */
export function endedBy(
  emitter: { once(event: string, listener: () => void): unknown },
  event: string,
  giveUp: () => void,
): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      giveUp();
      resolve();
    }, endLimitMs);
    emitter.once(event, () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
