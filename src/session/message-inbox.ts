/**
 * What: takes in the records of class message (control and device state), which the helper opens
 * strictly in counter order, while lanes deliver them in any order.
 * The helper judges every record as soon as it comes: a counter that was changed on the way would
 * else be waited for in vain, while its sender takes the record for delivered. One that is
 * authentic
 * and early is kept, within limits an honest peer never reaches, and offered again in its turn.
 */
import type { Mirror, OpenedMessage } from '../mirror/contract.js';
import { PF_CLASS_MESSAGE } from '../native/abi.generated.js';
import { badField } from '../wire/problem.js';
import { recordCounter } from '../wire/record-head.js';
import { MESSAGES_HELD_BYTES_MAX, MESSAGES_HELD_MAX } from './limits.js';
import { verdictOn } from './refusal.js';
import type { SessionLane } from './session-lane.js';

export interface MessageInboxEvents {
  opened(message: Extract<OpenedMessage, { outcome: 'opened' }>): void;
  /** The peer asks for an answer it may have missed. */
  duplicate(counter: number): void;
  acknowledge(lane: SessionLane, recordClass: number, stream: number, counter: number): void;
  /** The session is over. */
  fail(error: Error): void;
}

interface Held {
  readonly lane: SessionLane;
  readonly record: Uint8Array;
  readonly counter: number;
  /** The helper has found it authentic, and early. */
  isJudged: boolean;
}

export class MessageInbox {
  readonly #held: Held[] = [];
  #heldBytes = 0;
  #expected = 1;
  #pumping: Promise<void> | undefined;

  constructor(
    private readonly mirror: Pick<Mirror, 'openMessage'>,
    private readonly events: MessageInboxEvents,
  ) {}

  /** Throws, which ends the lane, when more is held than an honest peer ever causes. */
  offer(lane: SessionLane, record: Uint8Array): void {
    this.#heldBytes += record.length;
    this.#held.push({ lane, record, counter: recordCounter(record), isJudged: false });
    if (this.#held.length > MESSAGES_HELD_MAX || this.#heldBytes > MESSAGES_HELD_BYTES_MAX) {
      this.#forget(lane);
      throw badField('messages held', `at most ${MESSAGES_HELD_MAX}`, 'more');
    }
    this.#pump();
  }

  /** Resolves when all that can be opened is opened. */
  async idle(): Promise<void> {
    while (this.#pumping !== undefined) await this.#pumping;
  }

  #pump(): void {
    if (this.#pumping !== undefined) return;
    const first = this.#takeNext();
    if (first !== undefined) this.#pumping = this.#openAll(first);
  }

  /** Nothing that comes while this ends is missed: it looks, and says that it is over, at once. */
  async #openAll(first: Held): Promise<void> {
    try {
      for (let next: Held | undefined = first; next !== undefined; next = this.#takeNext()) {
        await this.#open(next);
      }
    } finally {
      this.#pumping = undefined;
    }
  }

  #takeNext(): Held | undefined {
    const index = this.#held.findIndex(
      ({ counter, isJudged }) => !isJudged || counter <= this.#expected,
    );
    const [next] = index < 0 ? [] : this.#held.splice(index, 1);
    if (next !== undefined) this.#heldBytes -= next.record.length;
    return next;
  }

  async #open(held: Held): Promise<void> {
    let opened: OpenedMessage;
    try {
      opened = await this.mirror.openMessage(held.record);
    } catch (error) {
      if (verdictOn(error) === 'unauthentic') held.lane.abort(error as Error);
      else this.events.fail(error as Error);
      return;
    }
    if (opened.outcome === 'early') {
      // Ours was a guess: the helper knows which one is next.
      if (opened.expected > this.#expected) this.#expected = opened.expected;
      held.isJudged = true;
      this.#held.push(held);
      this.#heldBytes += held.record.length;
      return;
    }
    this.events.acknowledge(held.lane, PF_CLASS_MESSAGE, 0, opened.counter);
    if (opened.outcome === 'duplicate') {
      this.events.duplicate(opened.counter);
      return;
    }
    this.#expected = opened.counter + 1;
    this.events.opened(opened);
  }

  /** What a lane that broke the limits has brought. */
  #forget(lane: SessionLane): void {
    for (let index = this.#held.length - 1; index >= 0; index -= 1) {
      const held = this.#held[index];
      if (held?.lane !== lane) continue;
      this.#held.splice(index, 1);
      this.#heldBytes -= held.record.length;
    }
  }
}
