/**
 * What: the dialing side's lanes, from the first one with the handshake to the session's end:
 * every lane that is wanted and not there is dialed, again and again, with growing pauses.
 * Before there is a session, whoever is not the rightful peer makes the attempt fail, clearly;
 * afterwards nothing that a lane meets ends the session but the limit on being without lanes.
 */
import { setMaxListeners } from 'node:events';

import { LANES_MAX } from '../wire/limits.js';
import { ConfigurationError } from '../errors.js';
import { Backoff } from './backoff.js';
import { DialAttempt, isBrokenLane } from './dial-attempt.js';
import type { Entrance } from './entrance.js';
import { resetHelper } from './entrance.js';
import { waitWithin } from './life.js';
import { FURTHER_LANES_MS, JOIN_TIMEOUT_MS } from './limits.js';
import { closingError } from './session-lane.js';
import type { SessionLane } from './session-lane.js';
import type { LaneSource } from './types.js';

type DialSource = Extract<LaneSource, { mode: 'dial' }>;

export class Dialer {
  readonly #closing = new AbortController();
  readonly #attempts = new Set<DialAttempt>();
  /** Lane numbers that somebody keeps open. */
  readonly #kept = new Set<number>();
  #wanted: number;
  /** There is a session, which further lanes can join. */
  #hasJoined = false;

  constructor(
    private readonly entrance: Entrance,
    private readonly source: DialSource,
  ) {
    // Every lane listens to it; ten is where Node.js begins to warn.
    setMaxListeners(0, this.#closing.signal);
    this.#wanted = source.lanes;
    source.onLanes?.((count) => {
      this.#setLanes(count);
    });
  }

  /**
   * The first lane joins; rejects when that fails. Then the others, as far as they do so soon: the
   * peer waits already, and one that gets no answer must not keep the session from beginning.
   */
  async open(): Promise<void> {
    const first = await this.#establish();
    this.#hasJoined = true;
    const keeping = [this.#keep(0, first)];
    for (let number = 1; number < this.#wanted; number += 1) keeping.push(this.#keep(number));
    const { life, peerTimeoutMs } = this.entrance;
    const timeoutMs = Math.min(FURTHER_LANES_MS, peerTimeoutMs / 4);
    const wait = { what: 'did not let all lanes join', timeoutMs };
    await Promise.allSettled([life.wait(Promise.all(keeping), wait)]);
  }

  /** From now on so many lanes; those above are closed, missing ones dialed. */
  #setLanes(count: number): void {
    if (!Number.isInteger(count) || count < 1 || count > LANES_MAX) {
      const message = `${count} lanes: 1 to ${LANES_MAX} are possible`;
      throw new ConfigurationError('ERR_PAGEFERRY_LANES', message);
    }
    this.#wanted = count;
    for (const lane of this.entrance.lanes.from(count)) void lane.close();
    if (!this.#hasJoined) return;
    for (let number = 0; number < count; number += 1) void this.#keep(number);
  }

  /** Ends dials and greetings that are under way; joined lanes are the session's affair. */
  close(): void {
    this.#closing.abort(closingError());
    for (const attempt of this.#attempts) attempt.abort();
  }

  /** Handshake and first lane. A lane that breaks on the way is replaced; a refusal is final. */
  async #establish(): Promise<SessionLane> {
    const { life, peerTimeoutMs } = this.entrance;
    const untilMs = life.clock.now() + peerTimeoutMs;
    const backoff = this.#backoff();
    let hasDialed = false;
    for (let mayBeJoined = false; ;) {
      const attempt: DialAttempt = new DialAttempt(this.entrance, 0, !mayBeJoined);
      try {
        return await this.#attempt(attempt, peerTimeoutMs);
      } catch (error) {
        const isUnknown: boolean = mayBeJoined && !isBrokenLane(error);
        mayBeJoined = !isUnknown && (mayBeJoined || attempt.mayBeJoined);
        // Whoever gives us the dial has its own patience with a peer that is not there yet.
        const isFirstDial = !hasDialed && !attempt.hasBegun;
        hasDialed = true;
        const isLate = isFirstDial || life.clock.now() > untilMs;
        if (isLate || this.#isOver() || !(isUnknown || isBrokenLane(error))) throw error;
        if (!mayBeJoined) await this.#startAgain();
      }
      await this.#pause(backoff);
    }
  }

  /** The helper and the machine are as before the first greeting. */
  async #startAgain(): Promise<void> {
    await resetHelper(this.entrance);
    this.entrance.life.check();
    if (this.entrance.machine.can('refused')) this.entrance.machine.fire('refused');
  }

  /**
   * Keeps the lane of this number open until it is not wanted any more. Resolves when it is open
   * for the first time, or the first attempt has failed; never rejects.
   */
  #keep(number: number, lane?: SessionLane): Promise<void> {
    if (this.#kept.has(number)) return Promise.resolve();
    this.#kept.add(number);
    return new Promise((tellFirst) => {
      void this.#keepOpen(number, lane, tellFirst).finally(() => {
        this.#kept.delete(number);
        tellFirst();
      });
    });
  }

  async #keepOpen(number: number, first: SessionLane | undefined, tell: () => void): Promise<void> {
    const backoff = this.#backoff();
    let lane = first;
    while (!this.#isOver() && number < this.#wanted) {
      try {
        lane ??= await this.#rejoin(number);
        backoff.reset();
        tell();
        await lane.over;
      } catch (error) {
        this.entrance.lanes.noteFailure(error as Error);
        tell();
      }
      lane = undefined;
      await this.#pause(backoff);
    }
  }

  #rejoin(number: number): Promise<SessionLane> {
    const limitMs = Math.min(JOIN_TIMEOUT_MS, this.entrance.peerTimeoutMs);
    return this.#attempt(new DialAttempt(this.entrance, number, false), limitMs);
  }

  async #attempt(attempt: DialAttempt, timeoutMs: number): Promise<SessionLane> {
    this.#attempts.add(attempt);
    try {
      const dialed = await this.#dial(attempt, timeoutMs);
      return await attempt.open(dialed, timeoutMs);
    } finally {
      this.#attempts.delete(attempt);
    }
  }

  async #dial(attempt: DialAttempt, timeoutMs: number): ReturnType<DialSource['dial']> {
    const dialing = this.source.dial(attempt.signal);
    try {
      return await this.entrance.life.wait(dialing, { what: 'did not answer', timeoutMs });
    } catch (error) {
      // The dial ends without us; what it brings all the same is not wanted any more.
      attempt.abort();
      dialing.then(
        (late) => {
          late.abort(closingError());
        },
        () => undefined,
      );
      throw error;
    }
  }

  #backoff(): Backoff {
    return new Backoff(this.entrance.random, this.entrance.reconnectTimeoutMs);
  }

  /** Ends early, without an error, at the close. */
  async #pause(backoff: Backoff): Promise<void> {
    const { clock } = this.entrance.life;
    let cancel = (): void => undefined;
    const over = new Promise<void>((resolve) => {
      cancel = clock.after(backoff.next(), resolve);
    });
    const wait = { what: 'was paused for', timeoutMs: undefined };
    await Promise.allSettled([waitWithin(clock, over, wait, this.#closing.signal)]);
    cancel();
  }

  #isOver(): boolean {
    return this.#closing.signal.aborted || this.entrance.life.failure !== undefined;
  }
}
