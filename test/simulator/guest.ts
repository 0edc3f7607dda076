/**
 * A guest of a few pages. A page is one word: what the guest wrote there last, made of the page's
 * number and a count of writes. It writes as time passes, but only when somebody looks: an idle
 * guest costs nothing. The device state is the table of counts, so that a check finds every page
 * that is wrong, old or lost.
 */
import type {
  DirtyTracker,
  Guest,
  GuestActivity,
  GuestLayout,
  GuestState,
  RamBlock,
  SelfCheck,
} from '../../src/guest/contract.js';
import type { NativeMemory, NativeRun } from '../../src/native/addon.js';
import { PF_PAGE_BYTES } from '../../src/native/abi.generated.js';
import type { Random } from '../support/random.js';
import { DirtyPages } from '../support/session/dirty-pages.js';
import type { VirtualTime } from './time.js';

function refused(): never {
  throw new Error('memory of the simulator is read as words');
}

/** Guest RAM; `words` has one for each page. */
export class SimMemory implements NativeMemory {
  readonly fd = -1;
  readonly backing = 'small';
  /** As the guest has left it when somebody looked last. */
  readonly content: Uint32Array;
  /** Brings it up to the present. */
  refresh: () => void = () => undefined;
  isFreed = false;

  constructor(readonly pages: number) {
    this.content = new Uint32Array(pages);
  }

  get bytes(): number {
    return this.pages * PF_PAGE_BYTES;
  }

  get words(): Uint32Array {
    this.refresh();
    return this.content;
  }

  read = refused;
  write = refused;
  prefault = refused;
  allocatedBytes = refused;
  hugeBytes = refused;

  /** None: a guest of the simulator is smaller than a piece. */
  filledPieces(): NativeRun[] {
    return [];
  }

  close(): void {
    this.isFreed = true;
    this.content.fill(0xdead);
  }
}

/** What a page holds after so many writes; never written: zero. */
export function contentOf(page: number, count: number): number {
  return count === 0 ? 0 : (Math.imul(page + 1, 0x9e3779b1) ^ Math.imul(count, 0x85ebca6b)) | 1;
}

/** A step of the guest that takes time, or fails. */
export type GuestStep = 'pause' | 'resume' | 'save' | 'load' | 'close';

export interface SimGuestOptions {
  readonly pages: number;
  /** Pages in each RAM block; the last one takes the rest. */
  readonly blockPages: number;
  readonly writesPerMs: number;
  readonly deviceStateBytes: number;
  readonly failing?: GuestStep | undefined;
  /** Longest that one of its steps takes. */
  readonly slowMs: number;
}

/** At the most so many writes per page are made up for at once: more change nothing. */
const CATCH_UP_WRITES = 2;

export class SimGuest implements Guest {
  readonly layout: GuestLayout;
  readonly blocks: readonly RamBlock[];
  readonly memory: SimMemory;
  state: GuestState = 'paused';
  #counts: Uint32Array;
  #seenMs = 0;
  #ticks = 0;
  #owedWrites = 0;
  #slowdown = 0;
  readonly #dirtyPages = new DirtyPages();

  constructor(
    readonly options: SimGuestOptions,
    private readonly time: VirtualTime,
    private readonly random: Random,
  ) {
    const { pages, blockPages } = options;
    this.memory = new SimMemory(pages);
    this.#counts = new Uint32Array(pages);
    this.memory.refresh = () => {
      this.#catchUp();
    };
    const blocks: RamBlock[] = [];
    for (let first = 0; first < pages; first += blockPages) {
      const id = blocks.length;
      const bytes = Math.min(blockPages, pages - first) * PF_PAGE_BYTES;
      const offset = first * PF_PAGE_BYTES;
      const place = { id, name: `ram${id}`, ramAddr: offset, bytes };
      blocks.push({ ...place, memory: this.memory, memoryOffset: offset, blank: false });
    }
    this.blocks = blocks;
    const plain = blocks.map(({ id, name, ramAddr, bytes }) => ({ id, name, ramAddr, bytes }));
    this.layout = { kind: 'sim', blocks: plain, description: '{}' };
  }

  /** It runs, and most of its pages have content. */
  start(): void {
    for (let page = 0; page < this.options.pages; page += 1) {
      if (page % 5 !== 4) this.#write(page);
    }
    this.#run();
  }

  trackDirty(): Promise<DirtyTracker> {
    return Promise.resolve(
      this.#dirtyPages.track(() => {
        this.#catchUp();
      }),
    );
  }

  async pause(): Promise<void> {
    await this.#step('pause');
    this.#catchUp();
    if (this.state === 'running') this.state = 'paused';
  }

  async resume(): Promise<void> {
    await this.#step('resume');
    if (this.state === 'paused') this.#run();
  }

  async saveDeviceState(): Promise<Uint8Array> {
    await this.#step('save');
    const counts = this.#counts;
    const bytes = Math.max(this.options.deviceStateBytes, counts.byteLength + 4);
    const state = Buffer.alloc(bytes);
    state.writeUInt32LE(this.#ticks);
    state.set(new Uint8Array(counts.buffer, counts.byteOffset, counts.byteLength), 4);
    return state;
  }

  async loadDeviceState(state: Uint8Array): Promise<void> {
    await this.#step('load');
    this.#ticks = Buffer.from(state.buffer, state.byteOffset).readUInt32LE();
    const counts = Uint8Array.from(state.subarray(4, 4 + this.#counts.byteLength));
    this.#counts = new Uint32Array(counts.buffer);
  }

  activity(): GuestActivity {
    this.#catchUp();
    return { ticks: this.#ticks, longestGapMs: 0 };
  }

  selfCheck(): Promise<SelfCheck> {
    const badPages = this.badPages();
    const ok = badPages === 0;
    return Promise.resolve({ ok, pagesChecked: this.options.pages, badPages });
  }

  throttle(percent: number): Promise<void> {
    this.#catchUp();
    this.#slowdown = percent;
    return Promise.resolve();
  }

  async close(): Promise<void> {
    await this.#step('close');
    this.#catchUp();
    this.state = 'closed';
    this.memory.close();
  }

  /** Pages that do not hold what the device state says. */
  badPages(): number {
    const { words } = this.memory;
    let bad = 0;
    for (const [page, count] of this.#counts.entries()) {
      if (words[page] !== contentOf(page, count) >>> 0) bad += 1;
    }
    return bad;
  }

  async #step(step: GuestStep): Promise<void> {
    const { slowMs, failing } = this.options;
    if (slowMs > 0) await this.time.sleep(this.random.below(slowMs * 8) / 8);
    if (failing === step) throw new Error(`the guest failed to ${step}`);
  }

  #run(): void {
    this.#seenMs = this.time.now();
    this.state = 'running';
  }

  /** What the guest did since somebody looked last. */
  #catchUp(): void {
    if (this.state !== 'running') return;
    const elapsedMs = this.time.now() - this.#seenMs;
    const ticks = Math.floor(elapsedMs);
    if (ticks === 0) return;
    this.#seenMs += ticks;
    this.#ticks += ticks;
    const { pages, writesPerMs } = this.options;
    this.#owedWrites += ticks * writesPerMs * (1 - this.#slowdown / 100);
    let writes = Math.floor(this.#owedWrites);
    this.#owedWrites -= writes;
    writes = Math.min(writes, pages * CATCH_UP_WRITES);
    for (; writes > 0; writes -= 1) this.#write(this.random.below(pages));
  }

  #write(page: number): void {
    const count = (this.#counts[page] ?? 0) + 1;
    this.#counts[page] = count;
    this.memory.content[page] = contentOf(page, count);
    this.#dirtyPages.note(page);
  }
}
