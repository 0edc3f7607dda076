/**
 * What: whether there is a lane to the peer at all, and how long there may be none. Without lanes
 * the session pauses: nothing is lost, records wait, and the time does not count against the
 * waits for the peer. It goes on when a lane joins, and ends when the limit is used up.
 *
 *     connected ──last lane lost──▶ laneless ──a lane joins──▶ connected
 *                                       └────limit used up────▶ expired
 *
 * The limit is one of laneless time since the peer last got something done, so that lanes that
 * come and break again and again do not keep a session alive without end.
 */
import type { Clock } from './clock.js';

export interface ConnectionEvents {
  /** The last lane is lost; one has `limitMs` to come back. */
  lost(limitMs: number): void;
  restored(outageMs: number): void;
  expired(): void;
}

export class Connection {
  #progressMs: number;
  /** Since the last progress, without the present outage. */
  #lanelessMs = 0;
  #lostAtMs: number | undefined;
  #cancelTimer: (() => void) | undefined;
  #waiters: (() => void)[] = [];

  constructor(
    private readonly clock: Clock,
    /** The limit now: it depends on the state. In milliseconds. */
    private readonly limitMs: () => number,
    private readonly events: ConnectionEvents,
  ) {
    this.#progressMs = clock.now();
  }

  get isLaneless(): boolean {
    return this.#lostAtMs !== undefined;
  }

  /** Where waits for the peer count from: its last progress, laneless time left out. */
  activityMs(): number {
    return this.isLaneless ? this.clock.now() : this.#progressMs + this.#lanelessMs;
  }

  /** Where a wait that progress does not prolong counts from, when it began at `startedMs`. */
  startMs(startedMs: number): number {
    return this.isLaneless ? this.clock.now() : startedMs + this.#lanelessMs;
  }

  /** The peer got something done. */
  noteProgress(): void {
    this.#progressMs = this.clock.now();
    this.#lanelessMs = 0;
    if (this.isLaneless) this.#lostAtMs = this.#progressMs;
  }

  lost(): void {
    if (this.isLaneless) return;
    this.#lostAtMs = this.clock.now();
    this.events.lost(Math.max(0, this.limitMs() - this.#lanelessMs));
    this.rearm();
  }

  restored(): void {
    if (this.#lostAtMs === undefined) return;
    const outageMs = this.clock.now() - this.#lostAtMs;
    this.#lanelessMs += outageMs;
    this.#lostAtMs = undefined;
    this.#cancelTimer?.();
    this.events.restored(outageMs);
    for (const tell of this.#waiters.splice(0)) tell();
  }

  /** Resolves when there is a lane. Its end is the session's: wait for it with the life's wait. */
  connected(): Promise<void> {
    if (!this.isLaneless) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiters.push(resolve);
    });
  }

  /** The limit may have changed. */
  rearm(): void {
    this.#cancelTimer?.();
    if (this.#lostAtMs === undefined) return;
    const leftMs = this.#lostAtMs + this.limitMs() - this.#lanelessMs - this.clock.now();
    this.#cancelTimer = this.clock.after(Math.max(0, leftMs), () => {
      const now = this.clock.now();
      if (this.#lostAtMs === undefined) return;
      if (now - this.#lostAtMs + this.#lanelessMs < this.limitMs()) this.rearm();
      else this.events.expired();
    });
  }

  /** Nobody waits for lanes any more. */
  close(): void {
    this.#cancelTimer?.();
    this.#lostAtMs = undefined;
  }
}
