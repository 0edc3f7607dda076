/**
 * A lane of the simulated network: the base that every transport's lane is built on, above two
 * links of the network. The peer reads only while its sink has memory; what it does not read fills
 * the link, and then sends wait.
 */
import { BaseLane, headBytes, laneError } from '../../src/transport/base/index.js';
import type { LaneOptions, Outgoing } from '../../src/transport/base/index.js';

/** One direction of a lane, as its sender sees it. */
export interface Link {
  /** A copy of a frame, or the goodbye; `taken` when the link has room for more. */
  send(frame: Buffer | 'goodbye', taken: () => void): void;
  /** The reader has taken so many bytes out of the link. */
  read(bytes: number): void;
  /** The sender is gone; without `graceful` the peer finds its lane cut. */
  end(graceful: boolean): void;
}

/** What the network does for a lane. */
export interface LaneHost {
  /** Everything of this end is free. */
  released(): void;
  /** Calls `complete` when the rest of a frame has come as well, at once or later. */
  receiveRest(complete: () => void): void;
}

function joined({ parts, bytes }: Outgoing): Buffer {
  const frame = Buffer.allocUnsafe(bytes);
  let at = 0;
  for (const part of parts) {
    frame.set(part, at);
    at += part.length;
  }
  return frame;
}

export class SimLane extends BaseLane {
  #out: Link | undefined;
  /** The link that what arrives has come by. */
  #in: Link | undefined;
  readonly #arrived: (Buffer | 'goodbye')[] = [];
  #isReading = false;
  #isReserving = false;

  constructor(
    options: LaneOptions,
    private readonly host: LaneHost,
  ) {
    super(options);
  }

  join(out: Link, into: Link): void {
    this.#out = out;
    this.#in = into;
  }

  /** What has arrived and was not taken yet. */
  get unread(): number {
    return this.#arrived.length;
  }

  arrive(frame: Buffer | 'goodbye'): void {
    if (this.status === 'closed') return;
    this.#arrived.push(frame);
    this.#next();
  }

  /** The lane is cut: by the network, or because the peer's end is gone. */
  cut(why: string): void {
    this.fail(laneError('PEER_GONE', why, { phase: 'receive', retryable: true }));
  }

  protected override transmit(frames: readonly Outgoing[], done: () => void): void {
    let left = frames.length;
    const taken = (): void => {
      left -= 1;
      if (left === 0) done();
    };
    for (const frame of frames) this.#out?.send(joined(frame), taken);
  }

  protected override transmitGoodbye(done: () => void): void {
    this.#out?.send('goodbye', done);
  }

  protected override startReading(): void {
    this.#isReading = true;
    this.#next();
  }

  protected override release(graceful: boolean): void {
    this.#arrived.length = 0;
    this.#out?.end(graceful);
    queueMicrotask(() => {
      this.released();
      this.host.released();
    });
  }

  #next(): void {
    while (this.#isReading && !this.#isReserving && this.status !== 'closed') {
      const frame = this.#arrived.shift();
      if (frame === undefined) return;
      if (frame === 'goodbye') this.peerSaidGoodbye();
      else this.#reserve(frame);
    }
  }

  #reserve(frame: Buffer): void {
    this.#isReserving = true;
    const head = frame.subarray(0, headBytes);
    const buffer = this.inbox.reserve(frame.length, head, (later) => {
      this.#fill(frame, later);
    });
    if (buffer !== undefined) this.#fill(frame, buffer);
  }

  /** The lane may be over before the rest is there: then the buffer is its owner's again. */
  #fill(frame: Buffer, buffer: Uint8Array): void {
    this.host.receiveRest(() => {
      if (this.status === 'closed') return;
      this.#isReserving = false;
      buffer.set(frame);
      this.inbox.complete();
      this.#in?.read(frame.length);
      this.#next();
    });
  }
}
