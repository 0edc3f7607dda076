/**
 * What a simulated helper remembers of a session: counters given and seen, pages of the epoch,
 * tokens; and the rules it judges records by.
 */
import { HelperError } from '../../src/errors.js';
import type { CheckedToken } from '../../src/mirror/contract.js';
import * as abi from '../../src/native/abi.generated.js';
import { EPOCH_FIRST } from '../../src/wire/limits.js';

/** Rules that a planted bug leaves out. */
export type MirrorFault =
  /** A token ends its epoch although records of it are missing. */
  | 'early-token'
  /** A record that was opened before is opened again. */
  | 'opens-twice'
  /** Records of any epoch are taken. */
  | 'any-epoch';

export function refuse(status: number, detail = 0): HelperError {
  const name = abi.PF_STATUS_NAMES[status] ?? 'status';
  return new HelperError('ERR_PAGEFERRY_HELPER', name, { status, detail });
}

function violation(detail: number): HelperError {
  return refuse(abi.PF_STATUS_VIOLATION, detail);
}

export class MirrorBook {
  #epoch = EPOCH_FIRST;
  #isStarted = false;
  readonly #pagesOfEpoch = new Set<number>();
  readonly #pagesEver = new Set<number>();
  readonly #counters = new Map<number, number>();
  /** Counters of page records that were opened, by stream. */
  readonly #seen = new Map<number, Set<number>>();
  readonly #lanesSeen = new Set<number>();
  #messagesOpened = 0;
  #tokensSeen = 0;

  constructor(private readonly fault: MirrorFault | undefined) {}

  get messages(): { readonly sealed: number; readonly opened: number } {
    return {
      sealed: this.#counters.get(abi.PF_CLASS_MESSAGE * 100) ?? 0,
      opened: this.#messagesOpened,
    };
  }

  clear(): void {
    this.#epoch = EPOCH_FIRST;
    this.#isStarted = false;
    this.#pagesOfEpoch.clear();
    this.#pagesEver.clear();
    this.#counters.clear();
    this.#seen.clear();
    this.#lanesSeen.clear();
    this.#messagesOpened = 0;
    this.#tokensSeen = 0;
  }

  nextCounter(kind: number, stream: number): number {
    const key = classOf(kind) * 100 + stream;
    const counter = (this.#counters.get(key) ?? 0) + 1;
    this.#counters.set(key, counter);
    return counter;
  }

  exportPages(epoch: number, pages: readonly number[]): void {
    if (epoch !== this.#epoch || this.#isStarted) throw refuse(abi.PF_STATUS_EPOCH);
    for (const page of pages) {
      if (this.#pagesOfEpoch.has(page)) throw refuse(abi.PF_STATUS_PAGE_TWICE);
      this.#pagesOfEpoch.add(page);
    }
  }

  isDuplicate(stream: number, counter: number): boolean {
    if (this.fault === 'opens-twice') return false;
    return this.#seen.get(stream)?.has(counter) ?? false;
  }

  importPages(epoch: number, stream: number, counter: number, pages: readonly number[]): void {
    const isLax = this.fault === 'opens-twice' || this.fault === 'any-epoch';
    if (this.#isStarted && !isLax) throw violation(abi.PF_VIOLATION_AFTER_START);
    if (epoch !== this.#epoch && !isLax) throw violation(abi.PF_VIOLATION_EPOCH);
    for (const page of pages) {
      if (this.#pagesOfEpoch.has(page) && !isLax) throw violation(abi.PF_VIOLATION_PAGE_TWICE);
      this.#pagesOfEpoch.add(page);
      this.#pagesEver.add(page);
    }
    const seen = this.#seen.get(stream) ?? new Set<number>();
    this.#seen.set(stream, seen);
    seen.add(counter);
  }

  openMessage(isLane: boolean, counter: number): 'opened' | 'early' | 'duplicate' {
    if (isLane) {
      if (this.#lanesSeen.has(counter)) return 'duplicate';
      this.#lanesSeen.add(counter);
      return 'opened';
    }
    if (counter <= this.#messagesOpened) return 'duplicate';
    if (counter > this.#messagesOpened + 1) return 'early';
    this.#messagesOpened = counter;
    return 'opened';
  }

  /** The token's body: its flags, and how many records every stream has had so far. */
  makeToken(epoch: number, start: boolean, streams: number): Buffer {
    if (epoch !== this.#epoch || this.#isStarted) throw refuse(abi.PF_STATUS_EPOCH);
    const body = Buffer.alloc(4 + streams * 4);
    body.writeUInt32LE(start ? abi.PF_TOKEN_F_START : 0);
    for (let stream = 0; stream < streams; stream += 1) {
      const count = this.#counters.get(abi.PF_CLASS_PAGES * 100 + stream) ?? 0;
      body.writeUInt32LE(count, 4 + stream * 4);
    }
    this.#nextEpoch(start);
    return body;
  }

  checkToken(counter: number, epoch: number, body: Buffer, ramPages: number): CheckedToken {
    if (counter <= this.#tokensSeen) return { outcome: 'duplicate' };
    if (counter > this.#tokensSeen + 1) return { outcome: 'early', missing: 0 };
    let missing = 0;
    for (let stream = 0; 4 + stream * 4 < body.length; stream += 1) {
      const lacks = body.readUInt32LE(4 + stream * 4) - (this.#seen.get(stream)?.size ?? 0);
      if (lacks < 0) throw violation(abi.PF_VIOLATION_TOKEN);
      missing += lacks;
    }
    if (missing > 0 && this.fault !== 'early-token') return { outcome: 'early', missing };
    if (epoch !== this.#epoch) throw violation(abi.PF_VIOLATION_TOKEN);
    const start = (body.readUInt32LE() & abi.PF_TOKEN_F_START) !== 0;
    const isComplete = this.#pagesEver.size === ramPages || this.fault === 'early-token';
    if (start && !isComplete) throw violation(abi.PF_VIOLATION_INCOMPLETE);
    this.#tokensSeen = counter;
    this.#nextEpoch(start);
    return { outcome: 'accepted', epoch, start };
  }

  #nextEpoch(start: boolean): void {
    this.#epoch += 1;
    this.#isStarted = start;
    this.#pagesOfEpoch.clear();
  }
}

function classOf(kind: number): number {
  switch (kind) {
    case abi.PF_KIND_PAGES:
      return abi.PF_CLASS_PAGES;
    case abi.PF_KIND_TOKEN:
      return abi.PF_CLASS_TOKEN;
    case abi.PF_KIND_LANE:
      return abi.PF_CLASS_LANE;
    default:
      return abi.PF_CLASS_MESSAGE;
  }
}
