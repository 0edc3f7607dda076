/**
 * What: the frames a lane has accepted and not yet handed on, in order, and the promises of their
 * senders. Frames are not copied: what is bounded here is memory of the callers that waits.
 */
import { laneError } from './errors.js';

export interface Outgoing {
  readonly parts: readonly Uint8Array[];
  readonly bytes: number;
}

interface Entry extends Outgoing {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** Frames that wait in one lane; a caller who awaits every send has one. */
const queuedFramesLimit = 4096;
/** Bytes that wait in one lane: this, or four of the largest frames when that is more. */
const queuedBytesLimit = 64 * 1024 * 1024;

/** Small frames go out together, up to this size, so that each does not cost a system call. */
const batchBytesLimit = 64 * 1024;
export const batchFramesLimit = 64;

export class SendQueue {
  readonly #maxFrameBytes: number;
  readonly #bytesLimit: number;
  #waiting: Entry[] = [];
  /** Index of the first entry of #waiting that has not been taken. */
  #first = 0;
  #taken: Entry[] = [];
  #bytesQueued = 0;
  #bytesSent = 0;
  #framesSent = 0;

  constructor(maxFrameBytes: number) {
    this.#maxFrameBytes = maxFrameBytes;
    this.#bytesLimit = Math.max(queuedBytesLimit, 4 * maxFrameBytes);
  }

  get bytesQueued(): number {
    return this.#bytesQueued;
  }

  get bytesSent(): number {
    return this.#bytesSent;
  }

  get framesSent(): number {
    return this.#framesSent;
  }

  /** Whether frames were taken and not settled yet. */
  get inFlight(): boolean {
    return this.#taken.length > 0;
  }

  /** Rejects, leaving the lane as it was, when the frame is too large or the queue is full. */
  add(parts: readonly Uint8Array[]): Promise<void> {
    let bytes = 0;
    for (const part of parts) bytes += part.byteLength;
    if (bytes > this.#maxFrameBytes) {
      const message = `a frame of ${bytes} bytes is over the limit of ${this.#maxFrameBytes}`;
      return Promise.reject(laneError('FRAME_TOO_LARGE', message, { phase: 'send' }));
    }
    const frames = this.#waiting.length - this.#first + this.#taken.length;
    const fits = frames < queuedFramesLimit && this.#bytesQueued + bytes <= this.#bytesLimit;
    if (!fits) {
      const message = `${frames} frames, ${this.#bytesQueued} bytes wait already: await send`;
      return Promise.reject(laneError('QUEUE_FULL', message, { phase: 'send', retryable: true }));
    }
    this.#bytesQueued += bytes;
    return new Promise((resolve, reject) => {
      this.#waiting.push({ parts, bytes, resolve, reject });
    });
  }

  /** The next frames to hand on together; `settle` comes before the next call. */
  take(): readonly Outgoing[] {
    let bytes = 0;
    for (let entry = this.#waiting[this.#first]; entry; entry = this.#waiting[this.#first]) {
      if (this.#taken.length === batchFramesLimit) break;
      if (this.#taken.length > 0 && bytes + entry.bytes > batchBytesLimit) break;
      bytes += entry.bytes;
      this.#taken.push(entry);
      this.#first += 1;
    }
    if (this.#first === this.#waiting.length || this.#first >= batchFramesLimit * 8) {
      this.#waiting.splice(0, this.#first);
      this.#first = 0;
    }
    return this.#taken;
  }

  /** The frames taken last have been handed on: their parts may be reused. */
  settle(): void {
    const sent = this.#taken;
    this.#taken = [];
    for (const entry of sent) {
      this.#bytesQueued -= entry.bytes;
      this.#bytesSent += entry.bytes;
      this.#framesSent += 1;
      entry.resolve();
    }
  }

  /** The lane is over. */
  rejectAll(error: Error): void {
    const entries = [...this.#taken, ...this.#waiting.slice(this.#first)];
    this.#taken = [];
    this.#waiting = [];
    this.#first = 0;
    this.#bytesQueued = 0;
    for (const entry of entries) entry.reject(error);
  }
}
