/**
 * What: every sealed record that is on its way: which lane has it, whether the send has settled,
 * whether the peer has acknowledged it. A record is kept, as the same bytes in the same memory,
 * until both are so; when its lane is lost before, another lane carries it again.
 *
 *     waiting ──a lane──▶ sending ──settled──▶ sent ──acknowledged──▶ done
 *        ▲                   │ lane lost         │ lane lost
 *        └───────────────────┴───────────────────┘
 *
 * An acknowledgement before the send has settled counts, but the memory is the lane's until then.
 */
import { PF_CLASS_PAGES, PF_VCPUS_MAX } from '../native/abi.generated.js';
import type { AckSet } from '../wire/ack.js';
import type { Clock } from './clock.js';
import type { LaneSet } from './lane-set.js';
import type { SessionLane } from './session-lane.js';

export interface Shipment {
  readonly recordClass: number;
  readonly stream: number;
  readonly counter: number;
  readonly bytes: Uint8Array;
  /** Overtakes records of pages in the lane's queue. */
  readonly urgent: boolean;
  /** Called once: the memory is free again. `delivered` is false when the session ended first. */
  readonly done: (delivered: boolean) => void;
}

interface Entry {
  readonly shipment: Shipment;
  lane: SessionLane | undefined;
  isSending: boolean;
  isAcknowledged: boolean;
}

function streamKey(recordClass: number, stream: number): number {
  return recordClass * PF_VCPUS_MAX + stream;
}

export class Outbox {
  readonly #streams = new Map<number, Map<number, Entry>>();
  readonly #waiting = new Set<Entry>();
  readonly #emptyWaiters: (() => void)[] = [];
  #count = 0;
  #isClosed = false;
  #resentBytes = 0;

  constructor(
    private readonly lanes: LaneSet,
    /** An acknowledgement has taken something off. */
    private readonly onProgress: () => void,
    private readonly clock: Clock,
  ) {}

  get resentBytes(): number {
    return this.#resentBytes;
  }

  /** Records that are not done. */
  get count(): number {
    return this.#count;
  }

  /** Sends the record, now or when there is a lane, and until it is acknowledged. */
  ship(shipment: Shipment): void {
    if (this.#isClosed) {
      shipment.done(false);
      return;
    }
    const entry: Entry = { shipment, lane: undefined, isSending: false, isAcknowledged: false };
    const key = streamKey(shipment.recordClass, shipment.stream);
    const stream = this.#streams.get(key) ?? new Map<number, Entry>();
    this.#streams.set(key, stream);
    stream.set(shipment.counter, entry);
    this.#count += 1;
    this.#dispatch(entry);
  }

  /** Whether a record is not done. */
  has(recordClass: number, stream: number, counter: number): boolean {
    return this.#streams.get(streamKey(recordClass, stream))?.has(counter) ?? false;
  }

  acknowledge(sets: readonly AckSet[]): void {
    for (const { recordClass, stream, ranges } of sets) {
      const entries = this.#streams.get(streamKey(recordClass, stream));
      if (entries === undefined) continue;
      for (const { first, count } of ranges) {
        for (let counter = first; counter < first + count; counter += 1) {
          const entry = entries.get(counter);
          if (entry !== undefined) this.#acknowledged(entry);
        }
      }
    }
  }

  laneAdded(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const entry of waiting) this.#dispatch(entry);
  }

  /** What the lane carried and nobody acknowledged goes over another one. */
  laneLost(lane: SessionLane): void {
    for (const entries of this.#streams.values()) {
      for (const entry of entries.values()) {
        // One that is still being sent comes back by its own rejected promise.
        if (entry.lane === lane && !entry.isSending) this.#again(entry);
      }
    }
  }

  /** Resolves when everything is done: acknowledged, or given up. */
  empty(): Promise<void> {
    if (this.#count === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#emptyWaiters.push(resolve);
    });
  }

  /**
   * Gives up everything. Call when the lanes are over: no memory is a lane's any more then, so
   * every shipment is done.
   */
  close(): void {
    this.#isClosed = true;
    for (const entries of this.#streams.values()) {
      for (const entry of [...entries.values()]) this.#done(entry, entry.isAcknowledged);
    }
    this.#waiting.clear();
  }

  #dispatch(entry: Entry): void {
    const lane = this.lanes.pick(entry.shipment.bytes.length);
    if (lane === undefined) {
      entry.lane = undefined;
      this.#waiting.add(entry);
      return;
    }
    this.#assign(entry, lane);
    entry.isSending = true;
    lane.send([entry.shipment.bytes], entry.shipment.urgent).then(
      () => {
        this.#settled(entry, lane.isOpen);
      },
      () => {
        // Why is the lane's affair; what counts here is that it is lost.
        this.#settled(entry, false);
      },
    );
  }

  #assign(entry: Entry, lane: SessionLane): void {
    entry.lane = lane;
    if (entry.shipment.recordClass !== PF_CLASS_PAGES) return;
    if (lane.owedRecords === 0) lane.owedMs = this.clock.now();
    lane.owedRecords += 1;
  }

  #settled(entry: Entry, laneLives: boolean): void {
    entry.isSending = false;
    if (entry.isAcknowledged) this.#done(entry, true);
    else if (!laneLives) this.#again(entry);
  }

  #again(entry: Entry): void {
    if (this.#isClosed) return;
    this.#resentBytes += entry.shipment.bytes.length;
    this.#dispatch(entry);
  }

  #acknowledged(entry: Entry): void {
    if (entry.isAcknowledged) return;
    entry.isAcknowledged = true;
    if (entry.lane !== undefined && entry.shipment.recordClass === PF_CLASS_PAGES) {
      entry.lane.owedRecords -= 1;
      entry.lane.owedMs = entry.lane.acknowledgedMs = this.clock.now();
    }
    this.onProgress();
    this.#waiting.delete(entry);
    if (!entry.isSending) this.#done(entry, true);
  }

  #done(entry: Entry, delivered: boolean): void {
    const { recordClass, stream, counter } = entry.shipment;
    const entries = this.#streams.get(streamKey(recordClass, stream));
    if (entries?.get(counter) !== entry) return;
    entries.delete(counter);
    this.#count -= 1;
    entry.shipment.done(delivered);
    if (this.#count > 0) return;
    for (const tell of this.#emptyWaiters.splice(0)) tell();
  }
}
