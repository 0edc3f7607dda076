/**
 * What: how frames lie in a byte stream, and the reader that takes them out of it without copying.
 *
 *     frame    u32 length, little endian, then that many bytes
 *     goodbye  u32 0xffff_ffff, nothing after it: a graceful end. A stream that ends without it
 *              was cut, whether by a crash, by an abort or by the network.
 *
 * The reader tells where the next bytes of the stream belong (`target`) and is told how many have
 * been put there (`filled`). Lengths and small frames go through a scratch buffer of fixed size;
 * the rest of a large frame goes straight into the buffer the sink reserved. A length is compared
 * with the limit before the sink is asked for anything.
 */
import type { TransportError } from '../../errors.js';
import { laneError } from './errors.js';
import type { Inbox } from './inbox.js';

export const prefixBytes = 4;
export const goodbyeMark = 0xffff_ffff;
/** The sink sees at least this much of a frame, or all of it, when it is asked for memory. */
export const headBytes = 16;

/**
 * How much of the stream one read may bring into scratch. At most this much of a frame is copied
 * (about 1 µs), however large it is; a larger value would copy more, a smaller one would cost small
 * frames more reads.
 */
const scratchReadBytes = 12 * 1024;
/**
 * Room behind it for the one read after a pause, whose target the system has learnt before the
 * sink gave memory (net.Socket takes a new target only together with a read).
 */
const parkingBytes = 4 * 1024;
/**
 * Largest such read. With the beginning of a frame in front of it, it fits into scratchReadBytes,
 * so scratch never holds more than those when a pause begins, and parkingBytes are always free.
 */
const parkedReadBytes = scratchReadBytes - prefixBytes - headBytes;
/**
 * Largest read into a sink's buffer. While the system copies one, the peer cannot send into the
 * room it frees, and the copy outgrows the cache: on loopback, with frames of 1 MiB, 96 KiB were
 * mostly 1.2 to 1.4 times as fast as bare sockets in the same minute, 256 KiB and more 0.9 to 1.1
 * times. Smaller ones cost calls.
 */
const bodyReadBytes = 96 * 1024;

export interface ReaderEvents {
  readonly inbox: Inbox;
  /** The peer closes gracefully; nothing more comes. */
  goodbye(): void;
  /** Reading can go on. */
  resume(): void;
  fail(error: TransportError): void;
}

export class FrameReader {
  readonly #maxFrameBytes: number;
  readonly #readAheadBytes: number;
  readonly #scratch: Buffer;
  readonly #emptyScratch: Buffer;
  #start = 0;
  #end = 0;
  #events: ReaderEvents | undefined;
  /** True while there is nobody to ask for memory, or the answer is pending. */
  #waiting = true;
  #stopped = false;
  #isDiscarding = false;
  #isParkingFull = false;
  /** Where in scratch the last target began; undefined when it was in the body. */
  #scratchTargetAt: number | undefined;
  #body: Uint8Array | undefined;
  #bodyBytes = 0;
  #bodyFilled = 0;
  /** Length of the frame for which memory was asked but not given yet. */
  #pendingBytes: number | undefined;

  /** For net.Socket's `onread`: the system reads straight into what `buffer` returns. */
  readonly onread = {
    buffer: (): Uint8Array => this.target(),
    callback: (bytes: number): boolean => this.filled(bytes),
  };

  /**
   * `readAheadBytes`: how much the layer below may still hand over after it was told to stop; 0 for
   * sockets of the system, more where that layer decrypts what it has read already.
   */
  constructor(maxFrameBytes: number, readAheadBytes = 0) {
    this.#maxFrameBytes = maxFrameBytes;
    this.#readAheadBytes = readAheadBytes;
    this.#scratch = Buffer.allocUnsafeSlow(scratchReadBytes + parkingBytes + readAheadBytes);
    this.#emptyScratch = this.#scratch.subarray(0, scratchReadBytes);
  }

  /** Whether bytes should be read. */
  get wantsBytes(): boolean {
    return !this.#waiting && !this.#stopped;
  }

  /** Starts handing frames to `events`; until then the reader takes what fits into scratch. */
  start(events: ReaderEvents): void {
    this.#events = events;
    this.#waiting = false;
    this.#parse();
  }

  /** Nothing more is taken or handed over. */
  stop(): void {
    this.#stopped = true;
    this.#body = undefined;
  }

  /** After `stop`: what still comes is read and dropped. */
  discard(): void {
    this.#isDiscarding = true;
  }

  /** Where the next bytes of the stream belong; they may come after more has been decided. */
  target(): Uint8Array {
    if (this.#isDiscarding) return this.#scratch;
    this.#scratchTargetAt = this.#body === undefined ? this.#end : undefined;
    if (this.#body !== undefined) {
      const until = Math.min(this.#bodyBytes, this.#bodyFilled + bodyReadBytes);
      return this.#body.subarray(this.#bodyFilled, until);
    }
    if (this.#waiting || this.#stopped) return this.#parking();
    return this.#end === 0
      ? this.#emptyScratch
      : this.#scratch.subarray(this.#end, scratchReadBytes);
  }

  /** Room for what comes although reading has stopped; never empty. */
  #parking(): Uint8Array {
    const isFull = this.#end === this.#scratch.length;
    // What comes into a full scratch ends the lane, so nothing of it is lost that counts.
    this.#isParkingFull = isFull;
    if (isFull) return this.#scratch;
    return this.#readAheadBytes > 0
      ? this.#scratch.subarray(this.#end)
      : this.#scratch.subarray(this.#end, this.#end + parkedReadBytes);
  }

  /** `bytes` bytes are in the last target. Returns false when reading must stop for now. */
  filled(bytes: number): boolean {
    if (this.#stopped) return this.#isDiscarding;
    if (this.#isParkingFull) {
      const message = 'more came than can be held while the reader waits';
      this.#fail(laneError('FAILED', message, { phase: 'receive' }));
      return false;
    }
    const at = this.#scratchTargetAt;
    if (at === undefined) this.#bodyFilled += bytes;
    else if (this.#body === undefined) this.#append(at, at + bytes);
    else this.#unpark(this.#body, at, at + bytes);
    if (this.#body !== undefined) {
      if (this.#bodyFilled < this.#bodyBytes) return true;
      this.#body = undefined;
      this.#events?.inbox.complete();
    }
    this.#parse();
    // A goodbye just read may have ended the lane, which then reads on to the stream's end.
    return this.wantsBytes || this.#isDiscarding;
  }

  /** Bytes came into scratch, perhaps further back than what it holds ends by now. */
  #append(from: number, until: number): void {
    if (from !== this.#end) this.#scratch.copyWithin(this.#end, from, until);
    this.#end += until - from;
  }

  /** Bytes came into scratch after a pause, but belong into the body that was given meanwhile. */
  #unpark(body: Uint8Array, from: number, until: number): void {
    const bytes = Math.min(until - from, this.#bodyBytes - this.#bodyFilled);
    this.#scratch.copy(body, this.#bodyFilled, from, from + bytes);
    this.#bodyFilled += bytes;
    this.#append(from + bytes, until);
  }

  /** How many bytes of a begun frame have not come; 0 between frames. */
  missingBytes(): number {
    if (this.#body !== undefined) return this.#bodyBytes - this.#bodyFilled;
    const available = this.#end - this.#start;
    if (available === 0) return 0;
    if (available < prefixBytes) return prefixBytes - available;
    const bytes = this.#pendingBytes ?? this.#scratch.readUInt32LE(this.#start);
    return Math.max(0, prefixBytes + bytes - available);
  }

  #parse(): void {
    while (this.wantsBytes && this.#body === undefined && this.#parseOne());
    if (this.#start > 0) {
      this.#scratch.copyWithin(0, this.#start, this.#end);
      this.#end -= this.#start;
      this.#start = 0;
    }
  }

  /** Takes one frame, or its beginning, out of scratch; false when more bytes are needed. */
  #parseOne(): boolean {
    const events = this.#events;
    const available = this.#end - this.#start;
    if (available < prefixBytes || events === undefined) return false;
    const bytes = this.#scratch.readUInt32LE(this.#start);
    if (bytes === goodbyeMark) {
      this.#takeGoodbye(events, available);
      return false;
    }
    if (bytes > this.#maxFrameBytes) {
      this.#fail(
        laneError(
          'FRAME_TOO_LARGE',
          `the peer announced a frame of ${bytes} bytes; the limit is ${this.#maxFrameBytes}`,
          { phase: 'receive' },
        ),
      );
      return false;
    }
    if (available < prefixBytes + Math.min(bytes, headBytes)) return false;
    const from = this.#start + prefixBytes;
    const head = this.#scratch.subarray(from, Math.min(this.#end, from + bytes));
    this.#waiting = true;
    this.#pendingBytes = bytes;
    const buffer = events.inbox.reserve(bytes, head, (later) => {
      this.#resume(later);
    });
    if (buffer === undefined || this.#stopped) return false;
    this.#fill(buffer, bytes);
    return true;
  }

  #resume(buffer: Uint8Array): void {
    if (this.#stopped || this.#pendingBytes === undefined) return;
    this.#fill(buffer, this.#pendingBytes);
    this.#parse();
    if (this.wantsBytes) this.#events?.resume();
  }

  /** Moves what scratch has of the frame; the rest will be read into `buffer` itself. */
  #fill(buffer: Uint8Array, bytes: number): void {
    this.#waiting = false;
    this.#pendingBytes = undefined;
    const from = this.#start + prefixBytes;
    const until = Math.min(this.#end, from + bytes);
    this.#scratch.copy(buffer, 0, from, until);
    this.#start = until;
    if (until - from === bytes) {
      this.#events?.inbox.complete();
      return;
    }
    this.#body = buffer;
    this.#bodyBytes = bytes;
    this.#bodyFilled = until - from;
  }

  #takeGoodbye(events: ReaderEvents, available: number): void {
    if (available > prefixBytes) {
      const rest = available - prefixBytes;
      const message = `the peer sent ${rest} bytes after its goodbye`;
      this.#fail(laneError('GARBAGE', message, { phase: 'receive' }));
      return;
    }
    this.#end = this.#start;
    this.stop();
    events.goodbye();
  }

  #fail(error: TransportError): void {
    this.stop();
    this.#events?.fail(error);
  }
}
