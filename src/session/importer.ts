/**
 * What: the destination's record traffic: page records go from a lane straight into a slot of the
 * window and from there into guest RAM, as many at once as there are slots; tokens are kept until
 * their records are in.
 * A slot belongs to a lane from reserve to record (or the lane's end), then to the import.
 */
import type { ImportedRecord, Mirror, Slot } from '../mirror/contract.js';
import { PF_CLASS_PAGES, PF_CLASS_TOKEN } from '../native/abi.generated.js';
import { badField } from '../wire/problem.js';
import type { RecordKind } from '../wire/record-head.js';
import { recordCounter } from '../wire/record-head.js';
import type { SessionCore } from './core.js';
import { TOKENS_HELD_MAX } from './limits.js';
import type { RecordTraffic } from './record-traffic.js';
import { verdictOn } from './refusal.js';
import type { SessionLane } from './session-lane.js';

export interface ImporterEvents {
  /** Records are taken only between the layout's acceptance and the start token. */
  isOpen(): boolean;
  imported(record: ImportedRecord, wireBytes: number): void;
  /** A token was accepted: the epoch is complete. Awaited before the next one is looked at. */
  epochComplete(epoch: number, start: boolean): Promise<void>;
}

interface HeldToken {
  readonly lane: SessionLane;
  readonly record: Uint8Array;
  readonly counter: number;
  /** Looked at again when so many records are in. */
  dueAtImports: number;
}

export class Importer implements RecordTraffic {
  readonly #reserved = new Map<SessionLane, Map<Uint8Array, Slot>>();
  readonly #tokens = new Map<number, HeldToken>();
  readonly #idleWaiters: (() => void)[] = [];
  #working = 0;
  #importing = 0;
  /** Records that came in for the first time; what a token's missing count is measured by. */
  #imports = 0;

  constructor(
    private readonly core: SessionCore,
    private readonly mirror: Pick<Mirror, 'slots' | 'importRecord' | 'checkToken'>,
    private readonly events: ImporterEvents,
  ) {}

  reserve(lane: SessionLane, kind: RecordKind, bytes: number): Uint8Array | Promise<Uint8Array> {
    if (kind === 'token') return new Uint8Array(bytes);
    if (kind !== 'pages') throw badField('record', 'one for a joined lane', kind);
    if (!this.events.isOpen())
      throw badField('page record', 'none in this state', `${bytes} bytes`);
    const slot = this.mirror.slots.tryAcquire();
    return slot === undefined ? this.#acquire(lane) : this.#lend(lane, slot);
  }

  record(lane: SessionLane, kind: RecordKind, buffer: Uint8Array, bytes: number): void {
    if (kind === 'token') {
      void this.#work(this.#check({ lane, record: buffer.subarray(0, bytes) }));
      return;
    }
    const slots = this.#reserved.get(lane);
    const slot = slots?.get(buffer);
    if (slot === undefined) throw badField('page record buffer', 'a slot', 'another buffer');
    slots?.delete(buffer);
    void this.#work(this.#import(lane, slot, bytes));
  }

  /** The lane is over: what it had reserved and not filled is free again. */
  laneLost(lane: SessionLane): void {
    for (const slot of this.#reserved.get(lane)?.values() ?? []) slot.release();
    this.#reserved.delete(lane);
  }

  idle(): Promise<void> {
    if (this.#working === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#idleWaiters.push(resolve);
    });
  }

  async #acquire(lane: SessionLane): Promise<Uint8Array> {
    const slot = await this.mirror.slots.acquire(lane.endSignal);
    if (lane.isOpen) return this.#lend(lane, slot);
    slot.release();
    throw lane.endSignal.reason as Error;
  }

  #lend(lane: SessionLane, slot: Slot): Uint8Array {
    const slots = this.#reserved.get(lane) ?? new Map<Uint8Array, Slot>();
    this.#reserved.set(lane, slots);
    const { buffer } = slot;
    slots.set(buffer, slot);
    return buffer;
  }

  async #work(step: Promise<void>): Promise<void> {
    this.#working += 1;
    try {
      await step;
    } catch (error) {
      this.core.life.fail(error as Error);
    }
    this.#working -= 1;
    if (this.#working > 0) return;
    for (const tell of this.#idleWaiters.splice(0)) tell();
  }

  async #import(lane: SessionLane, slot: Slot, bytes: number): Promise<void> {
    this.#importing += 1;
    try {
      const imported = await this.mirror.importRecord(slot, bytes);
      this.core.noteActivity();
      this.core.acknowledger.add(lane, PF_CLASS_PAGES, imported.stream, imported.counter);
      if (imported.outcome === 'imported') {
        this.#imports += 1;
        this.events.imported(imported, bytes);
      }
    } catch (error) {
      this.#refused(lane, error);
    } finally {
      this.#importing -= 1;
      slot.release();
    }
    await this.#checkHeld();
  }

  async #checkHeld(): Promise<void> {
    const due = [...this.#tokens.values()].find(
      (token) => this.#imports >= token.dueAtImports || this.#importing === 0,
    );
    if (due === undefined) return;
    this.#tokens.delete(due.counter);
    await this.#check(due);
  }

  async #check({ lane, record }: Pick<HeldToken, 'lane' | 'record'>): Promise<void> {
    const importsBefore = this.#imports;
    try {
      const checked = await this.mirror.checkToken(record);
      const counter = recordCounter(record);
      if (checked.outcome === 'early') {
        // At least one more: where the token before it is missing, no record is counted.
        const dueAtImports = importsBefore + Math.max(1, checked.missing);
        if (this.#tokens.size >= TOKENS_HELD_MAX) {
          throw badField('tokens held', `at most ${TOKENS_HELD_MAX}`, 'more');
        }
        this.#tokens.set(counter, { lane, record, counter, dueAtImports });
        // Those it missed may have come in while it was being looked at.
        if (this.#imports >= dueAtImports) await this.#checkHeld();
        return;
      }
      this.core.noteActivity();
      this.core.acknowledger.add(lane, PF_CLASS_TOKEN, 0, counter);
      if (checked.outcome === 'accepted') {
        await this.events.epochComplete(checked.epoch, checked.start);
      }
    } catch (error) {
      this.#refused(lane, error);
    }
  }

  /** Not authentic: nothing has changed but the trust in the lane it came on. */
  #refused(lane: SessionLane, error: unknown): void {
    if (verdictOn(error) === 'unauthentic') lane.abort(error as Error);
    else this.core.life.fail(error as Error);
  }
}
