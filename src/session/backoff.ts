/**
 * What: pauses between attempts to reach the peer: growing while attempts fail, with jitter, so
 * that lanes cut at once do not come back at once.
 */
import { REDIAL_PAUSE_MAX_MS, REDIAL_PAUSE_MIN_MS, REDIALS_PER_TIMEOUT } from './limits.js';

export class Backoff {
  #pauseMs = REDIAL_PAUSE_MIN_MS;
  readonly #longestMs: number;

  /** `random` gives numbers in [0, 1); `timeoutMs` is how long there may be no lane at all. */
  constructor(
    private readonly random: () => number,
    timeoutMs: number,
  ) {
    const shareMs = Math.max(REDIAL_PAUSE_MIN_MS, timeoutMs / REDIALS_PER_TIMEOUT);
    this.#longestMs = Math.min(REDIAL_PAUSE_MAX_MS, shareMs);
  }

  /** The next pause, in milliseconds: between half of the present step and all of it. */
  next(): number {
    const pauseMs = this.#pauseMs * (0.5 + this.random() / 2);
    this.#pauseMs = Math.min(this.#pauseMs * 2, this.#longestMs);
    return pauseMs;
  }

  /** An attempt succeeded. */
  reset(): void {
    this.#pauseMs = REDIAL_PAUSE_MIN_MS;
  }
}
