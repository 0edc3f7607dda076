/**
 * What: a lane's side of its FrameSink: asks for memory, hands frames over, ends once.
 * Keeps the rules of the contract so that no transport has to: nothing is delivered after the end,
 * `ended` comes exactly once and never from inside a call of the sink's owner, a buffer that never
 * became a frame goes back with it, and a promise of memory that settles too late gives nothing.
 */
import { StateError } from '../../errors.js';
import type { TransportError } from '../../errors.js';
import type { FrameSink } from '../contract.js';
import { laneError } from './errors.js';

export class Inbox {
  readonly #fail: (error: TransportError) => void;
  #sink: FrameSink | undefined;
  #buffer: Uint8Array | undefined;
  #frameBytes = 0;
  #over = false;
  #error: Error | undefined;
  #bytesReceived = 0;
  #framesReceived = 0;

  /** `fail` ends the lane; it is called when the sink refuses a frame. */
  constructor(fail: (error: TransportError) => void) {
    this.#fail = fail;
  }

  get bytesReceived(): number {
    return this.#bytesReceived;
  }

  get framesReceived(): number {
    return this.#framesReceived;
  }

  /** Whether frames have somewhere to go. */
  get attached(): boolean {
    return this.#sink !== undefined && !this.#over;
  }

  /** Throws StateError when there is a sink already. */
  attach(sink: FrameSink): void {
    if (this.#sink !== undefined) {
      throw new StateError('ERR_PAGEFERRY_TRANSPORT_STATE', 'the lane receives already', {
        state: 'receiving',
      });
    }
    this.#sink = sink;
    if (this.#over) this.#tellEnd(sink, undefined);
  }

  /**
   * Memory for a frame of `bytes`, or undefined: then either `ready` is called with it later, or
   * the lane has failed. One frame at a time: `complete` comes before the next `reserve`.
   */
  reserve(
    bytes: number,
    head: Uint8Array,
    ready: (buffer: Uint8Array) => void,
  ): Uint8Array | undefined {
    const sink = this.#sink;
    if (sink === undefined || this.#over) return undefined;
    let reserved: Uint8Array | Promise<Uint8Array>;
    try {
      reserved = sink.reserve(bytes, head);
    } catch (error) {
      this.#refused(error);
      return undefined;
    }
    if (reserved instanceof Uint8Array) {
      // The sink may have ended the lane meanwhile: then the memory is still its own.
      return this.attached ? this.#take(reserved, bytes) : undefined;
    }
    Promise.resolve(reserved).then(
      (buffer) => {
        if (this.#over) return;
        const taken = this.#take(buffer, bytes);
        if (taken !== undefined) ready(taken);
      },
      (error: unknown) => {
        this.#refused(error);
      },
    );
    return undefined;
  }

  /** The reserved buffer holds its frame. */
  complete(): void {
    const buffer = this.#buffer;
    const sink = this.#sink;
    if (buffer === undefined || sink === undefined || this.#over) return;
    this.#buffer = undefined;
    this.#bytesReceived += this.#frameBytes;
    this.#framesReceived += 1;
    try {
      sink.deliver(buffer, this.#frameBytes);
    } catch (error) {
      this.#fail(laneError('SINK', 'deliver threw', { phase: 'receive', cause: error }));
    }
  }

  /** The lane is over. Idempotent. */
  end(error: Error | undefined): void {
    if (this.#over) return;
    this.#over = true;
    this.#error = error;
    const unused = this.#buffer;
    this.#buffer = undefined;
    if (this.#sink !== undefined) this.#tellEnd(this.#sink, unused);
  }

  #take(buffer: Uint8Array, bytes: number): Uint8Array | undefined {
    this.#buffer = buffer;
    this.#frameBytes = bytes;
    if (buffer.byteLength >= bytes) return buffer;
    const message = `reserve gave ${buffer.byteLength} bytes for a frame of ${bytes}`;
    this.#fail(laneError('SINK', message, { phase: 'receive' }));
    return undefined;
  }

  #refused(error: unknown): void {
    if (this.#over) return;
    this.#fail(laneError('SINK', 'the frame was refused', { phase: 'receive', cause: error }));
  }

  #tellEnd(sink: FrameSink, unused: Uint8Array | undefined): void {
    queueMicrotask(() => {
      sink.ended(this.#error, unused);
    });
  }
}
