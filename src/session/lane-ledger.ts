/**
 * What: what each lane of a session has carried, by its number: a lane that was lost and dialed
 * again goes on in the same row.
 */
import type { LaneCounters } from '../transport/contract.js';
import type { LaneReport } from './types.js';

/** What is counted of one connection. */
export interface CountedLane {
  readonly number: number;
  readonly remote: string;
  readonly counters: LaneCounters;
  /** Time in which it had something to send, in milliseconds. */
  readonly busyMs: number;
}

type Row = Omit<LaneReport, 'sendBytesPerSecond'> & { readonly busyMs: number };

function added(row: Row | undefined, { number, remote, counters, busyMs }: CountedLane): Row {
  return {
    lane: number,
    remote,
    connections: (row?.connections ?? 0) + 1,
    framesSent: (row?.framesSent ?? 0) + counters.framesSent,
    framesReceived: (row?.framesReceived ?? 0) + counters.framesReceived,
    bytesSent: (row?.bytesSent ?? 0) + counters.bytesSent,
    bytesReceived: (row?.bytesReceived ?? 0) + counters.bytesReceived,
    busyMs: (row?.busyMs ?? 0) + busyMs,
  };
}

function reportOf({ busyMs, ...row }: Row): LaneReport {
  const sendBytesPerSecond = busyMs > 0 ? (row.bytesSent / busyMs) * 1000 : 0;
  return { ...row, sendBytesPerSecond };
}

export class LaneLedger {
  readonly #ended = new Map<number, Row>();

  /** The lane is over; its counters stand. */
  end(lane: CountedLane): void {
    this.#ended.set(lane.number, added(this.#ended.get(lane.number), lane));
  }

  /** One row a lane, by number; `open` are those that live. */
  reports(open: Iterable<CountedLane>): LaneReport[] {
    const rows = new Map(this.#ended);
    for (const lane of open) rows.set(lane.number, added(rows.get(lane.number), lane));
    return [...rows.values()].sort((a, b) => a.lane - b.lane).map(reportOf);
  }
}
