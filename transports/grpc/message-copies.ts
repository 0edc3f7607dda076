/**
 * What: the messages made of what a lane writes. Each is a copy, in memory that is used again once
 * HTTP/2 has taken the message.
 */
import { ReusedMemory } from '../../src/transport/base/index.js';
import { MESSAGE_BYTES_MAX } from './service.js';

/** As many as are under way at once with the largest records. */
const keptMax = 4;

export class MessageCopies {
  readonly #memory = new ReusedMemory(MESSAGE_BYTES_MAX, keptMax);

  /** `chunks`, one after the other, in messages of at most MESSAGE_BYTES_MAX bytes. */
  of(chunks: readonly Buffer[]): Buffer[] {
    const messages: Buffer[] = [];
    let leftBytes = chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
    let index = 0;
    let from = 0;
    while (leftBytes > 0) {
      const message = this.#memory.take(Math.min(leftBytes, MESSAGE_BYTES_MAX));
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
    this.#memory.giveBack(message);
  }
}
