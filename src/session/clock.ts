/**
 * What: the session's only source of time, so that a simulator can run both sides on a clock of
 * its own.
 */

export interface Clock {
  /** Milliseconds on a scale that never goes back. */
  now(): number;
  /** Calls `run` once after `delayMs`; the returned function prevents it. */
  after(delayMs: number, run: () => void): () => void;
  /** Calls `run` once at the end of this turn of the event loop, after what has come in it. */
  soon(run: () => void): void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  after(delayMs, run) {
    const timer = setTimeout(run, delayMs);
    return () => {
      clearTimeout(timer);
    };
  },
  soon(run) {
    setImmediate(run);
  },
};
