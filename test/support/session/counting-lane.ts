/** Counts what is given to a lane, and when, without touching it. */
import type { FrameSink, Lane, LaneCounters, LaneStatus } from '../../../src/transport/contract.js';

export interface Sent {
  readonly atMs: number;
  readonly bytes: number;
}

export class CountingLane implements Lane {
  constructor(
    private readonly inner: Lane,
    /** Shared by the lanes of one side, in the order of time. */
    private readonly sent: Sent[],
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
    this.inner.receive(sink);
  }

  send(parts: readonly Uint8Array[]): Promise<void> {
    const bytes = parts.reduce((sum, part) => sum + part.length, 0);
    this.sent.push({ atMs: performance.now(), bytes });
    return this.inner.send(parts);
  }

  close(): Promise<void> {
    return this.inner.close();
  }

  abort(reason?: Error): void {
    this.inner.abort(reason);
  }
}

/** Most bytes that were sent within any second. */
export function busiestSecond(sent: readonly Sent[]): number {
  let most = 0;
  let sum = 0;
  let from = 0;
  for (const { atMs, bytes } of sent) {
    sum += bytes;
    while ((sent[from]?.atMs ?? atMs) <= atMs - 1000) sum -= sent[from++]?.bytes ?? 0;
    most = Math.max(most, sum);
  }
  return most;
}
