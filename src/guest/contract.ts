/**
 * What: the contract between the session and a guest plugin: RAM blocks, pause and resume, device
 * state, dirty pages. Built in: demo, qemu, image.
 * Ownership: a Guest owns its memory and its VM until `close`; the session owns neither and never
 * closes a guest it was given.
 */
import type { NativeMemory, NativePageSet } from '../native/addon.js';

export interface RamBlock {
  /** Small number, unique in the guest, the same on both sides: the memory slot's and helper's. */
  readonly id: number;
  readonly name: string;
  /** First ram_addr_t, a multiple of the page size. */
  readonly ramAddr: number;
  /** Size in bytes, a multiple of the page size. */
  readonly bytes: number;
  readonly memory: NativeMemory;
  /** Where the block starts in `memory`, in bytes. */
  readonly memoryOffset: number;
  /** All zero and never written: zero pages can be left as holes. */
  readonly blank: boolean;
}

/** What a destination needs to build a guest that the source's state fits into. */
export interface GuestLayout {
  /** The provider's scheme, such as "demo". */
  readonly kind: string;
  readonly blocks: readonly Pick<RamBlock, 'id' | 'name' | 'ramAddr' | 'bytes'>[];
  /** The provider's own description, JSON; comes from a peer, so it is validated before use. */
  readonly description: string;
}

/** Reports pages that were written. One consumer each; several trackers each get every change. */
export interface DirtyTracker {
  /** Adds to `into` (by ram_addr_t page) all pages changed since the last committed collect. */
  collect(into: NativePageSet): Promise<void>;
  /** What the last collect reported has been taken over; only now does the state advance. */
  commit(): void;
  close(): Promise<void>;
}

export interface GuestActivity {
  /** Steps of the guest's workload, as the guest itself counts them. */
  readonly ticks: number;
  /**
   * Longest gap between two ticks since the last mark, by the host's clock, in milliseconds. What
   * the guest measured before a migration counts, and so does the gap that the migration made;
   * NaN when it came from another host's clock since then, so that nobody can tell.
   */
  readonly longestGapMs: number;
  /** When that gap ended, in milliseconds of the host's monotonic clock (process.hrtime). */
  readonly longestGapAtMs?: number;
}

export interface SelfCheck {
  readonly ok: boolean;
  readonly pagesChecked: number;
  readonly badPages: number;
}

export type GuestState = 'running' | 'paused' | 'closed';

export interface Guest {
  readonly layout: GuestLayout;
  readonly blocks: readonly RamBlock[];
  readonly state: GuestState;
  /** Starts tracking; everything written from the moment it resolves is reported. */
  trackDirty(): Promise<DirtyTracker>;
  /** Stops the vCPUs; resolves when nothing writes guest RAM any more. Idempotent. */
  pause(): Promise<void>;
  /** Lets the vCPUs run. Idempotent. */
  resume(): Promise<void>;
  /** Only while paused. */
  saveDeviceState(): Promise<Uint8Array>;
  /** Only while paused and before the first resume; hostile input is refused, typed. */
  loadDeviceState(state: Uint8Array): Promise<void>;
  /** Undefined where the guest cannot say. */
  activity(): GuestActivity | undefined;
  /** From now on gaps between ticks count anew, wherever the guest runs. */
  markActivity?(): void;
  /** Asks the guest to check every page it ever wrote; undefined where it cannot. */
  selfCheck(): Promise<SelfCheck | undefined>;
  /**
   * Lets the vCPUs stand still for `percent` (0 to 99) of the time until told otherwise; 0 lets
   * them run freely. May be called while the guest runs; it ends with the guest on this side.
   * Missing where the guest cannot be slowed.
   */
  throttle?(percent: number): Promise<void>;
  /** Ends the VM and frees its memory. Idempotent. */
  close(): Promise<void>;
}

export interface GuestProvider {
  /** URL scheme without colon. */
  readonly scheme: string;
  /** Opens (demo: starts) the guest that is to be sent; it is running unless it says otherwise. */
  openSource(url: URL): Promise<Guest>;
  /** Opens a paused guest with blank RAM for `layout`, which comes from an authenticated peer. */
  openDestination(url: URL, layout: GuestLayout): Promise<Guest>;
}
