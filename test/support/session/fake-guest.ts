/**
 * A guest in a Buffer for tests of the session: pages carry their number and a version, the device
 * state is the table of versions, and the self-check compares the two.
 */
import type {
  DirtyTracker,
  Guest,
  GuestActivity,
  GuestLayout,
  GuestState,
  RamBlock,
  SelfCheck,
} from '../../../src/guest/contract.js';
import type { NativeMemory, NativePageSet, NativeRun } from '../../../src/native/addon.js';
import { DirtyPages } from './dirty-pages.js';

export const pageBytes = 4096;

export class FakeMemory implements NativeMemory {
  readonly buffer: Buffer;
  readonly fd = -1;
  readonly backing = 'small';

  constructor(readonly bytes: number) {
    this.buffer = Buffer.alloc(bytes);
  }

  read(offset: number, length: number): Buffer {
    return Buffer.from(this.buffer.subarray(offset, offset + length));
  }

  write(offset: number, data: Uint8Array): void {
    this.buffer.set(data, offset);
  }

  prefault(): Promise<void> {
    return Promise.resolve();
  }

  filledPieces(): NativeRun[] {
    return [];
  }

  allocatedBytes(): number {
    return this.bytes;
  }

  hugeBytes(): number {
    return 0;
  }

  close(): void {
    this.buffer.fill(0);
  }
}

/** Pages in ascending order; nothing is a hole. */
export class FakePageSet implements NativePageSet {
  readonly pages = new Set<number>();
  readonly holes = 0;
  lastDataPages = 0;
  lastPages = 0;

  get count(): number {
    return this.pages.size;
  }

  addRange(firstPage: number, pages: number): void {
    for (let page = firstPage; page < firstPage + pages; page += 1) this.pages.add(page);
  }

  addMemory(_memory: NativeMemory, _offset: number, firstPage: number, pages: number): void {
    this.addRange(firstPage, pages);
  }

  clear(): void {
    this.pages.clear();
  }

  take(limit: number): number[] {
    const taken = [...this.pages].sort((left, right) => left - right).slice(0, limit);
    for (const page of taken) this.pages.delete(page);
    return taken;
  }

  fill(): number {
    throw new Error('the fake mirror takes pages itself');
  }

  fillChunks(): number {
    throw new Error('the fake mirror takes pages itself');
  }
}

export interface FakeGuestOptions {
  readonly bytes: number;
  /** Pages written per millisecond while it runs. */
  readonly dirtyPagesPerMs?: number;
  readonly deviceStateBytes?: number;
  readonly failResume?: boolean;
  /** It can be slowed down. */
  readonly canThrottle?: boolean;
}

export class FakeGuest implements Guest {
  readonly layout: GuestLayout;
  readonly blocks: readonly RamBlock[];
  readonly memory: FakeMemory;
  state: GuestState = 'paused';
  resumes = 0;
  #versions: Uint32Array;
  #ticks = 0;
  #timer: NodeJS.Timeout | undefined;
  readonly #dirtyPages = new DirtyPages();
  /** What it was slowed down by, in order. */
  readonly throttled: number[] = [];
  throttle?: (percent: number) => Promise<void>;

  constructor(private readonly options: FakeGuestOptions) {
    this.memory = new FakeMemory(options.bytes);
    const id = { id: 0, name: 'ram', ramAddr: 0, bytes: options.bytes };
    this.blocks = [{ ...id, memory: this.memory, memoryOffset: 0, blank: false }];
    this.layout = { kind: 'fake', blocks: [id], description: '{}' };
    this.#versions = new Uint32Array(options.bytes / pageBytes);
    if (options.canThrottle !== true) return;
    this.throttle = (percent) => {
      this.throttled.push(percent);
      return Promise.resolve();
    };
  }

  /** A guest that runs and has content. */
  static async started(options: FakeGuestOptions): Promise<FakeGuest> {
    const guest = new FakeGuest(options);
    for (let page = 0; page < guest.#versions.length; page += 1) {
      if (page % 4 !== 3) guest.#write(page);
    }
    await guest.resume();
    return guest;
  }

  trackDirty(): Promise<DirtyTracker> {
    return Promise.resolve(this.#dirtyPages.track());
  }

  pause(): Promise<void> {
    clearInterval(this.#timer);
    if (this.state === 'running') this.state = 'paused';
    return Promise.resolve();
  }

  resume(): Promise<void> {
    if (this.options.failResume === true) return Promise.reject(new Error('no resume today'));
    if (this.state !== 'paused') return Promise.resolve();
    this.state = 'running';
    this.resumes += 1;
    this.#timer = setInterval(() => {
      this.#step();
    }, 1);
    return Promise.resolve();
  }

  saveDeviceState(): Promise<Uint8Array> {
    const versions = Buffer.from(this.#versions.buffer.slice(0));
    const state = Buffer.alloc(Math.max(this.options.deviceStateBytes ?? 0, versions.length + 4));
    state.writeUInt32LE(this.#ticks);
    state.set(versions, 4);
    return Promise.resolve(state);
  }

  loadDeviceState(state: Uint8Array): Promise<void> {
    const bytes = Buffer.from(state);
    this.#ticks = bytes.readUInt32LE();
    const versions = bytes.subarray(4, 4 + this.#versions.byteLength);
    this.#versions = new Uint32Array(Uint8Array.from(versions).buffer);
    return Promise.resolve();
  }

  activity(): GuestActivity {
    return { ticks: this.#ticks, longestGapMs: 0 };
  }

  selfCheck(): Promise<SelfCheck> {
    let badPages = 0;
    for (const [page, version] of this.#versions.entries()) {
      const at = page * pageBytes;
      if (this.memory.buffer.readUInt32LE(at + 4) !== version) badPages += 1;
      else if (version > 0 && this.memory.buffer.readUInt32LE(at) !== page) badPages += 1;
    }
    const pagesChecked = this.#versions.length;
    return Promise.resolve({ ok: badPages === 0, pagesChecked, badPages });
  }

  async close(): Promise<void> {
    await this.pause();
    this.state = 'closed';
  }

  #step(): void {
    this.#ticks += 1;
    // Deterministic: of 100 steps as many do nothing.
    if (this.#ticks % 100 < (this.throttled.at(-1) ?? 0)) return;
    for (let write = 0; write < (this.options.dirtyPagesPerMs ?? 2); write += 1) {
      this.#write(Math.floor(Math.random() * this.#versions.length));
    }
  }

  #write(page: number): void {
    const version = (this.#versions[page] ?? 0) + 1;
    this.#versions[page] = version;
    this.memory.buffer.writeUInt32LE(page, page * pageBytes);
    this.memory.buffer.writeUInt32LE(version, page * pageBytes + 4);
    this.memory.buffer.fill(version & 0xff, page * pageBytes + 8, page * pageBytes + 512);
    this.#dirtyPages.note(page);
  }
}
