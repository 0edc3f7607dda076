/**
 * What: the two lanes of a pipe within the process.
 *
 * A frame is copied once when the other side takes frames at that moment: from the sender's parts
 * into the memory the sink reserved. While it does not, frames are copied into a buffer of fixed
 * size first, as a system's socket buffer would hold them, and when that is full they stay with
 * the sender, whose send is then pending.
 */
import { BaseLane, headBytes, laneError } from '../../src/transport/base/index.js';
import type { LaneOptions, Outgoing } from '../../src/transport/base/index.js';
import type { OpenOptions } from '../../src/transport/contract.js';

/** What one direction holds for a side that does not take it; about what a socket would. */
const pipeBytesLimit = 256 * 1024;

/** A frame, or the goodbye, on its way; `taken` when its parts are no longer needed. */
interface Passing {
  readonly frame: Outgoing | 'goodbye';
  readonly taken: () => void;
}

function copyParts(parts: readonly Uint8Array[], target: Uint8Array): void {
  let at = 0;
  for (const part of parts) {
    target.set(part, at);
    at += part.byteLength;
  }
}

/** The first bytes of a frame, for the sink to look at. */
function headOf(frame: Outgoing): Uint8Array {
  const bytes = Math.min(frame.bytes, headBytes);
  const [first] = frame.parts;
  if (first !== undefined && first.byteLength >= bytes) return first.subarray(0, bytes);
  const head = new Uint8Array(bytes);
  let at = 0;
  for (const part of frame.parts) {
    const piece = part.subarray(0, bytes - at);
    head.set(piece, at);
    at += piece.byteLength;
  }
  return head;
}

class MemoryLane extends BaseLane {
  #peer: MemoryLane | undefined;
  /** What has come from the peer and waits for the sink. */
  readonly #arrived: Passing[] = [];
  #bufferedBytes = 0;
  #reading = false;
  #reserving = false;

  join(peer: MemoryLane): void {
    this.#peer = peer;
  }

  protected override transmit(frames: readonly Outgoing[], done: () => void): void {
    let left = frames.length;
    const taken = (): void => {
      left -= 1;
      if (left === 0) done();
    };
    for (const frame of frames) this.#peer?.arrive({ frame, taken });
  }

  protected override transmitGoodbye(done: () => void): void {
    this.#peer?.arrive({ frame: 'goodbye', taken: () => undefined });
    queueMicrotask(done);
  }

  protected override startReading(): void {
    this.#reading = true;
    this.#next();
  }

  protected override release(graceful: boolean): void {
    const peer = this.#peer;
    this.#peer = undefined;
    this.#arrived.length = 0;
    queueMicrotask(() => {
      if (!graceful) peer?.cut();
      this.released();
    });
  }

  /** The other lane is over without a goodbye. */
  cut(): void {
    const message = `${this.remote} is gone without a goodbye`;
    this.fail(laneError('PEER_GONE', message, { phase: 'receive', retryable: true }));
  }

  arrive(passing: Passing): void {
    if (this.status === 'closed') return;
    this.#arrived.push(this.#takesNow() ? passing : this.#buffered(passing));
    // Never inside the sender's call, as no system would.
    queueMicrotask(() => {
      this.#next();
    });
  }

  #takesNow(): boolean {
    return this.#reading && !this.#reserving && this.#arrived.length === 0;
  }

  /** The frame with a copy of its parts, when there is room for one. */
  #buffered(passing: Passing): Passing {
    const { frame, taken } = passing;
    if (frame === 'goodbye' || this.#bufferedBytes + frame.bytes > pipeBytesLimit) return passing;
    const copy = new Uint8Array(frame.bytes);
    copyParts(frame.parts, copy);
    this.#bufferedBytes += frame.bytes;
    queueMicrotask(taken);
    const leave = (): void => {
      this.#bufferedBytes -= frame.bytes;
    };
    return { frame: { parts: [copy], bytes: frame.bytes }, taken: leave };
  }

  #next(): void {
    while (this.#reading && !this.#reserving && this.status !== 'closed') {
      const passing = this.#arrived.shift();
      if (passing === undefined) return;
      if (passing.frame === 'goodbye') this.peerSaidGoodbye();
      else this.#reserve(passing.frame, passing.taken);
    }
  }

  #reserve(frame: Outgoing, taken: () => void): void {
    if (frame.bytes > this.maxFrameBytes) {
      const limit = this.maxFrameBytes;
      const message = `the peer sent a frame of ${frame.bytes} bytes; the limit is ${limit}`;
      this.fail(laneError('FRAME_TOO_LARGE', message, { phase: 'receive' }));
      return;
    }
    this.#reserving = true;
    const buffer = this.inbox.reserve(frame.bytes, headOf(frame), (later) => {
      this.#deliver(frame, later, taken);
      this.#next();
    });
    if (buffer !== undefined) this.#deliver(frame, buffer, taken);
  }

  #deliver(frame: Outgoing, buffer: Uint8Array, taken: () => void): void {
    this.#reserving = false;
    copyParts(frame.parts, buffer);
    this.inbox.complete();
    taken();
  }
}

/** Both ends of a new pipe: the dialing and the accepting one. */
export function openPair(
  name: string,
  dialing: OpenOptions,
  accepting: OpenOptions,
): readonly [MemoryLane, MemoryLane] {
  const options = ({ maxFrameBytes, signal }: OpenOptions, remote: string): LaneOptions => {
    return { maxFrameBytes, signal, remote };
  };
  const dialed = new MemoryLane(options(dialing, `memory://${name}`));
  const accepted = new MemoryLane(options(accepting, `memory://${name} (dialed)`));
  dialed.join(accepted);
  accepted.join(dialed);
  return [dialed, accepted];
}
