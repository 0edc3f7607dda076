/**
 * What: Ctrl-C, SIGTERM and SIGHUP. The first asks for a clean end (an AbortSignal), the second
 * ends the process at once. One per process; `dispose` gives the signals back.
 */
import { AbortError } from '../errors.js';
import { EXIT } from './exit-codes.js';

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
export type StopSignal = (typeof signals)[number];

export class Interruption {
  private readonly controller = new AbortController();
  private readonly listeners: ((signal: StopSignal) => void)[] = [];

  constructor() {
    for (const name of signals) process.on(name, this.onSignal);
  }

  /** Fires at the first signal, with an AbortError. */
  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /** Called at the first signal, in order. */
  onStop(listener: (signal: StopSignal) => void): void {
    this.listeners.push(listener);
  }

  /** The same as a signal, for other reasons to stop. */
  stop(reason: string): void {
    if (this.signal.aborted) return;
    this.controller.abort(new AbortError('ERR_PAGEFERRY_INTERRUPTED', reason));
  }

  dispose(): void {
    for (const name of signals) process.off(name, this.onSignal);
  }

  private readonly onSignal = (name: StopSignal): void => {
    if (this.signal.aborted) process.exit(EXIT.interrupted);
    this.stop(`stopped by ${name}`);
    for (const listener of this.listeners) listener(name);
  };
}

/** Resolves when the signal has fired. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else
      signal.addEventListener(
        'abort',
        () => {
          resolve();
        },
        { once: true },
      );
  });
}

/** Waits; ends early, without an error, when the signal fires. */
export function delay(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) {
      resolve();
      return;
    }
    const end = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    signal?.addEventListener('abort', end, { once: true });
  });
}
