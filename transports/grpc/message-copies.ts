/**
 * What: the messages made of what a lane writes. Each is a copy in memory that is used again once
 * HTTP/2 has taken the message: fresh memory for every message would cost the system as much time
 * as the copy (its pages are touched for the first time), and the collector as much again.
 */
import { MESSAGE_BYTES_MAX } from './service.js';

/** Below this a message has memory of its own: many small ones may wait at a time. */
const sharedBytesMin = 64 * 1024;
/** Kept for the next messages: as many as are under way at once with the largest records. */
const keptMax = 4;

export class MessageCopies {
  readonly #free: Buffer[] = [];

  /** `chunks`, one after the other, in messages of at most MESSAGE_BYTES_MAX bytes. */
  of(chunks: readonly Buffer[]): Buffer[] {
    const messages: Buffer[] = [];
    let leftBytes = chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
    let index = 0;
    let from = 0;
    while (leftBytes > 0) {
      const message = this.#take(Math.min(leftBytes, MESSAGE_BYTES_MAX));
      leftBytes -= message.byteLength;
      for (let at = 0; at < message.byteLength;) {
        const chunk = chunks[index];
        if (chunk === undefined) throw new Error('fewer bytes than were counted');
        const bytes = chunk.copy(message, at, from);
        at += bytes;
        from += bytes;
        if (from < chunk.byteLength) continue;
        index += 1;
        from = 0;
      }
      messages.push(message);
    }
    return messages;
  }

  /** HTTP/2 has taken `message`: its memory may be used again. */
  giveBack(message: Buffer): void {
    if (message.byteLength < sharedBytesMin || this.#free.length >= keptMax) return;
    this.#free.push(Buffer.from(message.buffer));
  }

  #take(bytes: number): Buffer {
    if (bytes < sharedBytesMin) return Buffer.allocUnsafe(bytes);
    const memory = this.#free.pop() ?? Buffer.allocUnsafeSlow(MESSAGE_BYTES_MAX);
    return memory.subarray(0, bytes);
  }
}
