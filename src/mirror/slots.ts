/**
 * What: the window's record slots, handed out first come first served.
 * Ownership: a slot belongs to whoever acquired it until `release`, exactly once.
 */
import { StateError } from '../errors.js';
import { SLOT_BYTES } from '../limits.js';
import type { Slot, SlotPool } from './contract.js';

interface Waiter {
  readonly resolve: (slot: Slot) => void;
  readonly reject: (error: Error) => void;
}

export class WindowSlots implements SlotPool {
  readonly slotBytes = SLOT_BYTES;
  readonly #buffers: Uint8Array[];
  readonly #free: number[];
  /** In order of arrival; a Set so that an abort takes its waiter out at once. */
  readonly #waiters = new Set<Waiter>();
  #end: Error | undefined;

  /** `total` slots from `offset` on. */
  constructor(
    window: ArrayBuffer,
    offset: number,
    readonly total: number,
  ) {
    const indexes = Array.from({ length: total }, (_, index) => index);
    this.#buffers = indexes.map((i) => Buffer.from(window, offset + i * SLOT_BYTES, SLOT_BYTES));
    this.#free = indexes;
  }

  get free(): number {
    return this.#free.length;
  }

  tryAcquire(): Slot | undefined {
    if (this.#end !== undefined) return undefined;
    const index = this.#free.shift();
    return index === undefined ? undefined : this.#slot(index);
  }

  acquire(signal?: AbortSignal): Promise<Slot> {
    if (signal?.aborted === true) return Promise.reject(reasonOf(signal));
    if (this.#end !== undefined) return Promise.reject(this.#end);
    const slot = this.tryAcquire();
    if (slot !== undefined) return Promise.resolve(slot);
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        this.#waiters.delete(waiter);
        if (signal !== undefined) reject(reasonOf(signal));
      };
      const settled = (): void => signal?.removeEventListener('abort', abort);
      const waiter: Waiter = {
        resolve: (granted) => {
          settled();
          resolve(granted);
        },
        reject: (error) => {
          settled();
          reject(error);
        },
      };
      this.#waiters.add(waiter);
      signal?.addEventListener('abort', abort, { once: true });
    });
  }

  /** Nothing is handed out any more; whoever waits is told why. */
  end(error: Error): void {
    this.#end ??= error;
    for (const waiter of this.#waiters) waiter.reject(this.#end);
    this.#waiters.clear();
  }

  #slot(index: number): Slot {
    const buffer = this.#buffers[index];
    if (buffer === undefined) throw new Error(`there is no slot ${index}`);
    let isReleased = false;
    const release = (): void => {
      if (isReleased) {
        const message = `slot ${index} has been released before`;
        throw new StateError('ERR_PAGEFERRY_SLOT_RELEASED', message, { state: 'released' });
      }
      isReleased = true;
      this.#giveBack(index);
    };
    return { index, buffer, release };
  }

  #giveBack(index: number): void {
    const [waiter] = this.#waiters;
    if (waiter === undefined) {
      this.#free.push(index);
      return;
    }
    this.#waiters.delete(waiter);
    waiter.resolve(this.#slot(index));
  }
}

function reasonOf(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new Error(String(signal.reason));
}
