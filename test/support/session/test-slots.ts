/** The window of a mirror that has none: slots of ordinary memory. */
import type { Slot, SlotPool } from '../../../src/mirror/contract.js';

interface Waiter {
  readonly give: (slot: Slot) => void;
  isOver: boolean;
}

export class TestSlots implements SlotPool {
  readonly #free: number[];
  readonly #buffers: Uint8Array[];
  readonly #waiters: Waiter[] = [];

  constructor(
    readonly total: number,
    readonly slotBytes: number,
  ) {
    this.#free = Array.from({ length: total }, (_, index) => index);
    this.#buffers = this.#free.map(() => new Uint8Array(slotBytes));
  }

  get free(): number {
    return this.#free.length;
  }

  tryAcquire(): Slot | undefined {
    const index = this.#free.pop();
    if (index === undefined) return undefined;
    let isReleased = false;
    const release = (): void => {
      if (isReleased) throw new Error(`slot ${index} was released twice`);
      isReleased = true;
      this.#free.push(index);
      this.#serve();
    };
    return { index, buffer: this.#buffers[index]!, release };
  }

  acquire(signal?: AbortSignal): Promise<Slot> {
    if (signal?.aborted) return Promise.reject(signal.reason as Error);
    const slot = this.tryAcquire();
    if (slot !== undefined) return Promise.resolve(slot);
    return new Promise((give, reject) => {
      const waiter: Waiter = { give, isOver: false };
      this.#waiters.push(waiter);
      signal?.addEventListener(
        'abort',
        () => {
          if (waiter.isOver) return;
          waiter.isOver = true;
          reject(signal.reason as Error);
        },
        { once: true },
      );
    });
  }

  #serve(): void {
    for (;;) {
      const waiter = this.#waiters.shift();
      if (waiter === undefined) return;
      if (waiter.isOver) continue;
      const slot = this.tryAcquire();
      if (slot === undefined) {
        this.#waiters.unshift(waiter);
        return;
      }
      waiter.isOver = true;
      waiter.give(slot);
      return;
    }
  }
}
