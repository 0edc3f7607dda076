/**
 * What: how fast a lane hands on what it is given, while it has something to hand on. What counts
 * most is lately: each frame weighs less with every one after it. A frame that is not handed on
 * slows the estimate while it waits, so a lane that stands still is known for it before it is lost.
 * Pure.
 */

/** Smaller frames cost a lane time, not bytes: they would make a rate of none. */
const measuredBytesMin = 64 * 1024;
/** What a frame keeps of its weight with the next one: about the last ten count. */
const keep = 0.9;
/** An estimate is forgotten when nothing was handed on for so long: the line may be another now. */
const forgetMs = 2000;
/** The clock's own grain: nothing takes less. */
const leastMs = 0.01;

export class DrainRate {
  #bytes = 0;
  #ms = 0;
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
    this.#bytes = this.#bytes * keep + bytes;
    this.#ms = this.#ms * keep + Math.max(tookMs, leastMs);
    this.#measuredAtMs = nowMs;
  }

  /** Undefined: not known. */
  bytesPerMs(nowMs: number): number | undefined {
    if (this.#bytes === 0) return undefined;
    const isIdle = this.#sinceMs === undefined;
    if (isIdle && nowMs - this.#measuredAtMs > forgetMs) return undefined;
    return this.#bytes / (this.#ms + this.#waitingMs(nowMs));
  }

  #waitingMs(nowMs: number): number {
    return this.#sinceMs === undefined ? 0 : nowMs - this.#sinceMs;
  }
}
