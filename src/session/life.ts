/**
 * What: one session's life: it lasts until the first failure, and every wait ends with it, with
 * its deadline, or with what was waited for.
 */
import { setMaxListeners } from 'node:events';

import { TransportError } from '../errors.js';
import type { Clock } from './clock.js';

export interface WaitOptions {
  /** Ends the sentence "the peer ...": "did not answer the layout". */
  readonly what: string;
  /** Undefined: no limit of its own; said where that is so. */
  readonly timeoutMs: number | undefined;
  /** When the peer last got something done (by the clock): the limit counts from there. */
  readonly activity?: () => number;
}

/** The peer kept us waiting for too long. */
export function timeoutError(what: string, timeoutMs: number): TransportError {
  return new TransportError(
    'ERR_PAGEFERRY_PEER_TIMEOUT',
    `the peer ${what} within ${Math.round(timeoutMs)} ms`,
    { phase: 'receive', retryable: true },
  );
}

export class Life {
  readonly #controller = new AbortController();
  #failure: Error | undefined;

  constructor(readonly clock: Clock) {
    // One listener per wait, and waits are bounded by lanes and slots, not by Node's 10.
    setMaxListeners(0, this.#controller.signal);
  }

  /** Fires at the failure. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Ends the life; the first reason counts. */
  fail(error: Error): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#controller.abort(error);
  }

  check(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** The promise's outcome, unless the life or the time ends first. */
  wait<Value>(promise: Promise<Value>, options: WaitOptions): Promise<Value> {
    return waitWithin(this.clock, promise, options, this.signal);
  }
}

/** The promise's outcome, unless the signal fires (rejects with its reason) or the time ends. */
export function waitWithin<Value>(
  clock: Clock,
  promise: Promise<Value>,
  options: WaitOptions,
  signal?: AbortSignal,
): Promise<Value> {
  return new Promise((resolve, reject) => {
    let cancelTimer: (() => void) | undefined;
    const startedMs = clock.now();
    const finish = (): void => {
      cancelTimer?.();
      signal?.removeEventListener('abort', onAbort);
    };
    const onAbort = (): void => {
      finish();
      reject(signal?.reason as Error);
    };
    const arm = (limitMs: number): void => {
      const sinceMs = Math.max(startedMs, options.activity?.() ?? startedMs);
      const leftMs = sinceMs + limitMs - clock.now();
      if (leftMs > 0) {
        cancelTimer = clock.after(leftMs, () => {
          arm(limitMs);
        });
        return;
      }
      finish();
      reject(timeoutError(options.what, limitMs));
    };
    // Handlers first: they take the promise's outcome also when nobody waits any more.
    promise.then(
      (value) => {
        finish();
        resolve(value);
      },
      (error: unknown) => {
        finish();
        reject(error instanceof Error ? error : new Error(String(error)));
      },
    );
    if (signal?.aborted) {
      onAbort();
      return;
    }
    signal?.addEventListener('abort', onAbort, { once: true });
    if (options.timeoutMs !== undefined) arm(options.timeoutMs);
  });
}
