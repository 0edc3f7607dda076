/**
 * What: acknowledgements: which counters of which class and stream have been taken in, collected
 * into ranges, one Ack frame for many. Pure.
 * An Ack is an unauthenticated hint. A forged one can only make the source forget a record that
 * never arrived: the epoch token then never becomes complete, and the session ends by its deadline.
 */
import {
  PF_CLASS_LANE,
  PF_CLASS_PAGES,
  PF_STREAM_WINDOW,
  PF_VCPUS_MAX,
} from '../native/abi.generated.js';
import type { Ack } from './generated/frames_pb.js';
import { encodeFrame } from './frames.js';
import { ACK_RANGES_MAX } from './limits.js';
import { badField, safeNumber } from './problem.js';

export interface CounterRange {
  readonly first: number;
  readonly count: number;
}

export interface AckSet {
  readonly recordClass: number;
  readonly stream: number;
  readonly ranges: readonly CounterRange[];
}

/** Ascending, disjoint ranges that cover exactly `counters`, which may repeat. */
export function toRanges(counters: readonly number[]): CounterRange[] {
  const sorted = [...counters].sort((left, right) => left - right);
  const ranges: { first: number; count: number }[] = [];
  for (const counter of sorted) {
    const last = ranges.at(-1);
    const next = last === undefined ? undefined : last.first + last.count;
    if (last !== undefined && next !== undefined && counter < next) continue;
    if (last !== undefined && counter === next && last.count < PF_STREAM_WINDOW) last.count += 1;
    else ranges.push({ first: counter, count: 1 });
  }
  return ranges;
}

/** Collects acknowledgements until they are taken as frames. */
export class AckCollector {
  private readonly counters = new Map<number, number[]>();

  add(recordClass: number, stream: number, counter: number): void {
    const key = recordClass * PF_VCPUS_MAX + stream;
    const known = this.counters.get(key);
    if (known === undefined) this.counters.set(key, [counter]);
    else known.push(counter);
  }

  get isEmpty(): boolean {
    return this.counters.size === 0;
  }

  /** All that was collected since the last call, as frames within the limits. */
  takeFrames(): Uint8Array[] {
    const frames: Uint8Array[] = [];
    for (const [key, counters] of this.counters) {
      const recordClass = Math.floor(key / PF_VCPUS_MAX);
      const stream = key % PF_VCPUS_MAX;
      const ranges = toRanges(counters);
      for (let at = 0; at < ranges.length; at += ACK_RANGES_MAX) {
        frames.push(
          encodeAck([{ recordClass, stream, ranges: ranges.slice(at, at + ACK_RANGES_MAX) }]),
        );
      }
    }
    this.counters.clear();
    return frames;
  }
}

export function encodeAck(sets: readonly AckSet[]): Uint8Array {
  return encodeFrame('ack', {
    sets: sets.map(({ recordClass, stream, ranges }) => ({
      recordClass,
      stream,
      ranges: ranges.map(({ first, count }) => ({ first: BigInt(first), count })),
    })),
  });
}

/** Validates a decoded Ack, whose ranges may claim anything. */
export function checkAck(message: Ack): AckSet[] {
  let total = 0;
  return message.sets.map(({ recordClass, stream, ranges }) => {
    if (recordClass < PF_CLASS_PAGES || recordClass > PF_CLASS_LANE) {
      throw badField('ack class', '1 to 4', recordClass);
    }
    if (stream >= PF_VCPUS_MAX) throw badField('ack stream', `below ${PF_VCPUS_MAX}`, stream);
    total += ranges.length;
    if (total > ACK_RANGES_MAX) throw badField('ack ranges', `at most ${ACK_RANGES_MAX}`, total);
    const checked = ranges.map((range) => {
      if (range.count < 1 || range.count > PF_STREAM_WINDOW) {
        throw badField('ack range count', `1 to ${PF_STREAM_WINDOW}`, range.count);
      }
      return { first: safeNumber('ack counter', range.first), count: range.count };
    });
    return { recordClass, stream, ranges: checked };
  });
}
