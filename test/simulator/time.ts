/**
 * Virtual time: a clock whose hours cost nothing. Alarms lie in a heap; the next one runs when
 * everything that the last one set off in promises is done. No timer of the system is involved,
 * so the same seed gives the same run.
 */
import type { Clock } from '../../src/session/clock.js';

/** Time moves on in steps of this, so that sums of times are exact, and every alarm takes some. */
const TICKS_PER_MS = 1024;

interface Alarm {
  readonly atTick: number;
  /** Alarms of the same moment run in the order they were set. */
  readonly order: number;
  run: (() => void) | undefined;
}

function isBefore(one: Alarm, other: Alarm): boolean {
  return one.atTick < other.atTick || (one.atTick === other.atTick && one.order < other.order);
}

/** How a run of virtual time ended; 'idle': nothing is left that could ever happen. */
export type RunEnd = 'done' | 'idle' | 'late';

export interface RunOptions {
  readonly isDone: () => boolean;
  /** Called after every step; what it throws ends the run. */
  readonly check: () => void;
  readonly limitMs: number;
  readonly limitSteps: number;
}

export class VirtualTime implements Clock {
  #tick = 0;
  #order = 0;
  #pending = 0;
  #steps = 0;
  readonly #heap: Alarm[] = [];

  /** Alarms that are set and neither cancelled nor over. */
  get pending(): number {
    return this.#pending;
  }

  get steps(): number {
    return this.#steps;
  }

  now(): number {
    return this.#tick / TICKS_PER_MS;
  }

  after(delayMs: number, run: () => void): () => void {
    const alarm = this.#set(Math.max(1, Math.ceil(delayMs * TICKS_PER_MS)), run);
    return () => {
      if (alarm.run === undefined) return;
      alarm.run = undefined;
      this.#pending -= 1;
    };
  }

  soon(run: () => void): void {
    this.#set(0, run);
  }

  /** Resolves after so many milliseconds. */
  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.after(delayMs, resolve);
    });
  }

  /** Lets time pass until it is done, nothing is left, or a limit is reached. */
  run({ isDone, check, limitMs, limitSteps }: RunOptions): Promise<RunEnd> {
    return new Promise((resolve, reject) => {
      // A tick comes when no promise has anything left to do, and is asked for out of one: two
      // ticks in a row would leave none of them time.
      const next = (): void => {
        process.nextTick(tick);
      };
      const tick = (): void => {
        try {
          check();
          const end = isDone() ? 'done' : this.#step(limitMs, limitSteps);
          if (end === undefined) queueMicrotask(next);
          else resolve(end);
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      };
      queueMicrotask(next);
    });
  }

  /** Runs the next alarm; gives the reason where there is none to run. */
  #step(limitMs: number, limitSteps: number): RunEnd | undefined {
    const alarm = this.#pop();
    if (alarm === undefined) return 'idle';
    if (alarm.atTick > limitMs * TICKS_PER_MS || this.#steps >= limitSteps) return 'late';
    this.#tick = alarm.atTick;
    this.#steps += 1;
    const { run } = alarm;
    alarm.run = undefined;
    this.#pending -= 1;
    run?.();
    return undefined;
  }

  #set(ticks: number, run: () => void): Alarm {
    this.#order += 1;
    const alarm: Alarm = { atTick: this.#tick + ticks, order: this.#order, run };
    this.#push(alarm);
    this.#pending += 1;
    return alarm;
  }

  #push(alarm: Alarm): void {
    const heap = this.#heap;
    let at = heap.length;
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = heap[above]!;
      if (isBefore(parent, alarm)) break;
      heap[at] = parent;
      at = above;
    }
    heap[at] = alarm;
  }

  /** The next alarm that was not cancelled. */
  #pop(): Alarm | undefined {
    for (;;) {
      const first = this.#heap[0];
      const last = this.#heap.pop();
      if (first === undefined || last === undefined) return undefined;
      if (first !== last) this.#sink(last);
      if (first.run !== undefined) return first;
    }
  }

  #sink(alarm: Alarm): void {
    const heap = this.#heap;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      const left = heap[below];
      const right = heap[below + 1];
      if (left === undefined) break;
      if (right !== undefined && isBefore(right, left)) below += 1;
      const child = heap[below]!;
      if (isBefore(alarm, child)) break;
      heap[at] = child;
      at = below;
    }
    heap[at] = alarm;
  }
}
