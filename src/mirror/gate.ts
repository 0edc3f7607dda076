/**
 * What: many at a time, or one alone, in order of arrival. Commands that need the device to
 * themselves (native/abi/command.h, PF_STATUS_BUSY) pass alone, everything else together.
 */
interface Waiter {
  readonly isAlone: boolean;
  readonly enter: () => void;
}

export class Gate {
  readonly #waiters: Waiter[] = [];
  #inside = 0;
  #isAlone = false;

  /** Runs `work` together with others that share. */
  shared<Result>(work: () => Promise<Result>): Promise<Result> {
    return this.#pass(false, work);
  }

  /** Runs `work` when nobody else is inside, and lets nobody else in. */
  alone<Result>(work: () => Promise<Result>): Promise<Result> {
    return this.#pass(true, work);
  }

  async #pass<Result>(isAlone: boolean, work: () => Promise<Result>): Promise<Result> {
    if (this.#waiters.length === 0 && this.#hasRoom(isAlone)) {
      this.#take(isAlone);
    } else {
      await new Promise<void>((enter) => this.#waiters.push({ isAlone, enter }));
    }
    try {
      return await work();
    } finally {
      this.#inside -= 1;
      this.#isAlone = false;
      this.#admit();
    }
  }

  #hasRoom(isAlone: boolean): boolean {
    return isAlone ? this.#inside === 0 : !this.#isAlone;
  }

  #take(isAlone: boolean): void {
    this.#inside += 1;
    this.#isAlone = isAlone;
  }

  /** Whoever enters is counted here, before its promise runs on. */
  #admit(): void {
    for (let next = this.#waiters[0]; next !== undefined; next = this.#waiters[0]) {
      if (!this.#hasRoom(next.isAlone)) return;
      this.#waiters.shift();
      this.#take(next.isAlone);
      next.enter();
    }
  }
}
