/**
 * What: the exact types of the native addon, and (in loader.ts) its only loader.
 * Nothing outside src/native loads it; other files import types from here.
 */

export interface NativeRun {
  readonly first: number;
  readonly count: number;
}

export interface NativeMemory {
  readonly bytes: number;
  readonly fd: number;
  readonly backing: 'huge' | 'transparent' | 'small';
  /** Copies out; for tests and small metadata, never for migration. */
  read(offset: number, length: number): Buffer;
  write(offset: number, data: Uint8Array): void;
  /** Allocates every page of the range (default: all) now, as 2 MiB pages where there are some. */
  prefault(offset?: number, length?: number): Promise<void>;
  /** The 2 MiB pieces, counted from `offset`, that have no hole, as at most `runs` runs. */
  filledPieces(offset: number, length: number, runs: number): NativeRun[];
  allocatedBytes(): number;
  /** Bytes that this process has mapped with huge pages now. Milliseconds; for reports. */
  hugeBytes(): number;
  close(): void;
}

export interface NativePageSet {
  /** Pages to be looked at (not holes). */
  readonly count: number;
  /** Pages known to be holes. */
  readonly holes: number;
  addRange(firstPage: number, pages: number): void;
  /** Allocated extents become pages, holes become holes (SEEK_DATA, SEEK_HOLE). */
  addMemory(memory: NativeMemory, memoryOffset: number, firstPage: number, pages: number): void;
  clear(): void;
  /** Takes the next pages in ascending order, as runs (native/abi/record.h); returns runs. */
  fill(target: ArrayBuffer, byteOffset: number, maxDataPages: number, maxRuns: number): number;
  /** The same in whole 1 MiB-aligned chunks, for DIGEST. */
  fillChunks(
    target: ArrayBuffer,
    byteOffset: number,
    maxDataPages: number,
    maxRuns: number,
  ): number;
  readonly lastDataPages: number;
  readonly lastPages: number;
}

export type NativeMirrorEvent =
  | { readonly kind: 'fault'; vector: number; errorCode: bigint; rip: bigint; address: bigint }
  | {
      readonly kind: 'exit';
      reason: number;
      name: string;
      /** Guest-physical, of an MMIO exit; the port, of an I/O exit; else 0. */
      address: bigint;
      suberror: number;
      rip: bigint;
    }
  | { readonly kind: 'stall'; milliseconds: number }
  | { readonly kind: 'error'; operation: string; errno: number };

export interface NativeMirrorOptions {
  readonly engine: 'kvm' | 'in-process';
  /** The helper's image; engine kvm only. */
  readonly image?: Buffer;
  readonly vcpus: number;
  readonly ringEntries: number;
  readonly windowBytes: number;
  /** Upper bound of the ram_addr_t space this mirror will see. */
  readonly ramLimitBytes: number;
  readonly stallTimeoutMs: number;
  readonly aesVariant?: number;
}

export interface NativeBlock {
  readonly id: number;
  readonly memory: NativeMemory;
  readonly memoryOffset: number;
  readonly ramAddr: number;
  readonly bytes: number;
}

export interface NativeMirror {
  readonly engine: 'kvm' | 'in-process';
  /**
   * Shared with the helper. Rings lie at its start. After close it is all zero and nobody's, but
   * stays attached: a socket may still hold the address of what it was given to write.
   */
  readonly window: ArrayBuffer;
  /** What descriptor addresses are relative to. */
  readonly windowGpa: bigint;
  kick(vcpu: number): void;
  /** Adds or replaces; to be settled before the next change. */
  setBlock(block: NativeBlock): void;
  /** Whether the helper has taken the last setBlock. If not, what was there before comes back. */
  settleBlock(isKept: boolean): void;
  removeBlock(id: number): void;
  close(): Promise<void>;
}

export interface NativeDemoGuestOptions {
  readonly backend: 'kvm' | 'in-process';
  readonly memory: NativeMemory;
  /** Pages written per second. */
  readonly dirtyRate: number;
  readonly workingSetBytes: number;
  readonly fillBytes: number;
  readonly content: 'mixed' | 'random' | 'text' | 'marker';
  readonly seed: number;
  /** The guest is built to receive state: nothing is initialised. */
  readonly blank: boolean;
}

export interface NativeDemoGuest {
  start(): Promise<void>;
  pause(): Promise<void>;
  resume(): void;
  readonly ticks: number;
  /**
   * Longest gap between ticks since the last mark, whichever process the guest ran in, by the
   * host's CLOCK_MONOTONIC, in milliseconds; a gap that is still open counts. NaN when
   * the guest has come from a host with another clock since the mark.
   */
  readonly longestGapMs: number;
  /** When that gap ended, on the same clock (process.hrtime); an open one: now. */
  readonly longestGapAtMs: number;
  /** From the next tick on, gaps count anew; the mark moves with the guest. */
  markGap(): void;
  /** 0 to 99 percent of the time the vCPU stands still. */
  throttle(percent: number): void;
  startDirtyLog(): void;
  /** Merges and clears the dirty log into `into`, at ram page `firstPage`. */
  collectDirty(into: NativePageSet, firstPage: number): void;
  stopDirtyLog(): void;
  saveState(): Buffer;
  loadState(state: Uint8Array): void;
  selfCheck(): Promise<{ ok: boolean; pagesChecked: number; badPages: number }>;
  close(): Promise<void>;
}

/** What the machine offers, for `pageferry doctor`. */
export interface NativeProbe {
  readonly kvm: {
    readonly present: boolean;
    readonly usable: boolean;
    readonly errno: number;
    readonly apiVersion: number;
    /** How far the trial came: a VM, a vCPU, a few instructions in ring 3 up to an HLT. */
    readonly tried: string;
    readonly capabilities: Readonly<Record<string, number>>;
  };
  readonly cpu: Readonly<Record<string, boolean>>;
  readonly physicalBits: number;
  readonly hugePages: { readonly total: number; readonly free: number; readonly bytes: number };
  readonly shmemHugePages: string;
}

export interface NativeAddon {
  readonly Mirror: new (
    options: NativeMirrorOptions,
    /** event null: the vCPU has halted, look at its used ring. */
    onEvent: (vcpu: number, event: NativeMirrorEvent | null) => void,
  ) => NativeMirror;
  readonly Memory: {
    create(options: {
      name: string;
      bytes: number;
      hugePages: 'auto' | 'never' | 'require';
    }): NativeMemory;
    open(options: { path?: string; fd?: number; bytes: number; offset?: number }): NativeMemory;
  };
  readonly PageSet: new (pages: number) => NativePageSet;
  readonly DemoGuest: new (options: NativeDemoGuestOptions) => NativeDemoGuest;
  probe(): NativeProbe;
}
