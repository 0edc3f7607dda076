/** A hand on one lane: sees and may swallow what is sent on it, may put frames in, may cut it. */
import type { FrameSink, Lane, LaneCounters, LaneStatus } from '../../../src/transport/contract.js';

export class LaneTap implements Lane {
  sentFrames = 0;
  sentBytes = 0;
  /** Why this side gave the lane up. */
  readonly aborts: (Error | undefined)[] = [];
  #sink: FrameSink | undefined;

  constructor(
    private readonly inner: Lane,
    /** Called before a frame goes out; false swallows it. */
    private readonly onSend: (tap: LaneTap, frame: Buffer) => boolean | Promise<boolean> = () =>
      true,
  ) {}

  get remote(): string {
    return this.inner.remote;
  }

  get status(): LaneStatus {
    return this.inner.status;
  }

  get counters(): LaneCounters {
    return this.inner.counters;
  }

  receive(sink: FrameSink): void {
    this.#sink = sink;
    this.inner.receive(sink);
  }

  async send(parts: readonly Uint8Array[]): Promise<void> {
    const frame = Buffer.concat(parts);
    this.sentFrames += 1;
    this.sentBytes += frame.length;
    if (await this.onSend(this, frame)) await this.inner.send([frame]);
  }

  close(): Promise<void> {
    return this.inner.close();
  }

  abort(reason?: Error): void {
    this.aborts.push(reason);
    this.inner.abort(reason);
  }

  /** Hands a frame to this side as if the peer had sent it. */
  async inject(frame: Uint8Array): Promise<void> {
    const sink = this.#sink;
    if (sink === undefined) throw new Error('nobody receives yet');
    try {
      const buffer = await sink.reserve(frame.length, frame.subarray(0, 16));
      buffer.set(frame);
      sink.deliver(buffer, frame.length);
    } catch (error) {
      this.abort(error as Error);
    }
  }
}

/** The kind byte of a sealed record, or 0 for another frame. */
export function kindOf(frame: Buffer): number {
  return frame.toString('latin1', 0, 4) === 'PFR1' ? frame.readUInt8(5) : 0;
}
