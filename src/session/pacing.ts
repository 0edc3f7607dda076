/**
 * What: how fast a session may send: one token bucket over all its lanes.
 *
 * The bucket fills at the limit and holds at most BURST_SHARE of a second's worth. A frame goes
 * when the bucket covers it, or is full where the frame is larger than the bucket; then the bucket
 * is in debt until that is paid. So the bytes of any second are at most
 *
 *     limit x 1 s + max(bucket, largest frame)
 *
 * and BURST_SHARE keeps that below 5 % as long as frames are no larger than the bucket, which
 * recordPages sees to. What the bucket holds also makes up for timers that are late.
 */
import { PF_PAGE_BYTES, PF_RECORD_DATA_PAGES_MAX } from '../native/abi.generated.js';
import type { Clock } from './clock.js';

/** 4 %: a late timer of 40 ms costs nothing, and a second stays within 5 %. */
const BURST_SHARE = 0.04;

/** A timer fires late rather than early; below a millisecond it is not worth one. */
const WAIT_MS_MIN = 1;

/** Least limit, in bytes per second: a record of one page then is half a bucket. */
export const BANDWIDTH_LIMIT_MIN = 256 * 1024;
/** Most: 1 TB/s is no limit on anything there is. */
export const BANDWIDTH_LIMIT_MAX = 1e12;

export class Pacer {
  #limit: number | undefined;
  /** Bytes that may go now; negative: in debt. */
  #tokens = 0;
  #filledMs: number;
  readonly #waiters: (() => void)[] = [];
  #cancelTimer: (() => void) | undefined;

  /** `limit` in bytes per second; undefined: none. */
  constructor(
    private readonly clock: Clock,
    limit?: number,
  ) {
    this.#filledMs = clock.now();
    this.set(limit);
  }

  /** Bytes per second; undefined: as fast as the lanes are. */
  get limit(): number | undefined {
    return this.#limit;
  }

  /** Pages with content that a record may hold: it has to fit into half the bucket. */
  get recordPages(): number {
    if (this.#limit === undefined) return PF_RECORD_DATA_PAGES_MAX;
    const pages = Math.floor((this.#limit * BURST_SHARE) / 2 / PF_PAGE_BYTES);
    return Math.min(PF_RECORD_DATA_PAGES_MAX, Math.max(1, pages));
  }

  /** Changes the limit from now on; those that wait are looked at again. */
  set(limit: number | undefined): void {
    this.#fill();
    this.#limit = limit;
    this.#tokens = limit === undefined ? 0 : Math.min(this.#tokens, limit * BURST_SHARE);
    this.#wake();
  }

  /** Takes what a frame needs; false when it has to wait. */
  tryTake(bytes: number): boolean {
    if (this.#limit === undefined) return true;
    this.#fill();
    if (this.#tokens < Math.min(bytes, this.#limit * BURST_SHARE)) return false;
    this.#tokens -= bytes;
    return true;
  }

  /** For a frame that does not wait: those that do wait for longer. */
  charge(bytes: number): void {
    if (this.#limit === undefined) return;
    this.#fill();
    this.#tokens -= bytes;
  }

  /** Calls `again` once, when `bytes` may be there; it tries then, and may have to wait again. */
  wait(bytes: number, again: () => void): void {
    this.#waiters.push(again);
    if (this.#limit === undefined) {
      this.#wake();
      return;
    }
    if (this.#cancelTimer !== undefined) return;
    const missing = Math.min(bytes, this.#limit * BURST_SHARE) - this.#tokens;
    const delayMs = Math.max(WAIT_MS_MIN, (missing / this.#limit) * 1000);
    this.#cancelTimer = this.clock.after(delayMs, () => {
      this.#wake();
    });
  }

  /** Ends the timer; nobody who waits is called any more. */
  close(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#waiters.length = 0;
  }

  #wake(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    for (const again of this.#waiters.splice(0)) again();
  }

  #fill(): void {
    const nowMs = this.clock.now();
    const sinceMs = nowMs - this.#filledMs;
    this.#filledMs = nowMs;
    if (this.#limit === undefined) return;
    const most = this.#limit * BURST_SHARE;
    this.#tokens = Math.min(most, this.#tokens + (this.#limit * sinceMs) / 1000);
  }
}
