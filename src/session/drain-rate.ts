/**
 * What: how fast a lane hands on what it is given. The estimate is the best of its last frames: a
 * pause of this process or of the peer makes one frame slow, a slow line makes all of them slow.
 * While a frame waits for longer than that, its wait counts, so a lane that stands still is known
 * for it before it is lost. Pure.
 */

/** Smaller frames cost a lane time, not bytes: they would make a rate of none. */
const measuredBytesMin = 64 * 1024;
/** Frames that count; fewer say nothing yet. */
const framesCounted = 4;
/** An estimate is forgotten when nothing was handed on for so long: the line may be another now. */
const forgetMs = 1000;
/** The clock's own grain: nothing takes less. */
const leastMs = 0.01;

export class DrainRate {
  /** Bytes per millisecond of the last frames, the latest last. */
  #rates: number[] = [];
  #lastBytes = 0;
  /** While there is something to hand on: since when, or when it got on last. */
  #sinceMs: number | undefined;
  #measuredAtMs = -Infinity;
  #busyMs = 0;

  /** Time in which there was something to hand on, in milliseconds. */
  busyMs(nowMs: number): number {
    return this.#busyMs + this.#waitingMs(nowMs);
  }

  /** There is something to hand on. */
  begin(nowMs: number): void {
    this.#sinceMs ??= nowMs;
  }

  /** A frame of `bytes` has been handed on; `isIdle`: it was the last. */
  handedOn(bytes: number, nowMs: number, isIdle: boolean): void {
    const tookMs = this.#waitingMs(nowMs);
    this.#busyMs += tookMs;
    this.#sinceMs = isIdle ? undefined : nowMs;
    if (bytes < measuredBytesMin) return;
    this.#rates = [...this.#rates.slice(1 - framesCounted), bytes / Math.max(tookMs, leastMs)];
    this.#lastBytes = bytes;
    this.#measuredAtMs = nowMs;
  }

  /** Undefined: not known. */
  bytesPerMs(nowMs: number): number | undefined {
    if (this.#rates.length < framesCounted) return undefined;
    const isIdle = this.#sinceMs === undefined;
    if (isIdle && nowMs - this.#measuredAtMs > forgetMs) return undefined;
    const waiting = this.#lastBytes / Math.max(this.#waitingMs(nowMs), leastMs);
    return Math.min(Math.max(...this.#rates), waiting);
  }

  #waitingMs(nowMs: number): number {
    return this.#sinceMs === undefined ? 0 : nowMs - this.#sinceMs;
  }
}
