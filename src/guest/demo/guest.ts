/**
 * What: the demo guest as a Guest: one RAM block, the native guest's thread, its dirty log.
 * Ownership: it owns its memory; close ends the thread first and then lets the memory go.
 */
import { ConfigurationError, StateError } from '../../errors.js';
import type { NativeDemoGuest, NativeMemory, NativePageSet } from '../../native/addon.js';
import type {
  DirtyTracker,
  Guest,
  GuestActivity,
  GuestLayout,
  GuestState,
  RamBlock,
  SelfCheck,
} from '../contract.js';
import type { DemoDescription } from './options.js';
import { DirtyFanOut } from './tracking.js';

/** As in native/demo/pacer.h. */
const throttlePercentMost = 99;

export interface DemoGuestParts {
  readonly native: NativeDemoGuest;
  readonly memory: NativeMemory;
  readonly scratch: NativePageSet;
  readonly description: DemoDescription;
  readonly blank: boolean;
}

export class DemoGuest implements Guest {
  readonly layout: GuestLayout;
  readonly blocks: readonly RamBlock[];
  private readonly dirty: DirtyFanOut;
  private now: GuestState;
  private closing: Promise<void> | undefined;

  constructor(private readonly parts: DemoGuestParts) {
    const { memory, blank } = parts;
    const block = { id: 0, name: 'ram', ramAddr: 0, bytes: memory.bytes };
    const description = JSON.stringify(parts.description);
    this.layout = { kind: 'demo', blocks: [block], description };
    this.blocks = [{ ...block, memory, memoryOffset: 0, blank }];
    this.dirty = new DirtyFanOut(parts.native, parts.scratch);
    this.now = blank ? 'paused' : 'running';
  }

  get state(): GuestState {
    return this.now;
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- failures become rejections
  async trackDirty(): Promise<DirtyTracker> {
    this.demandOpen();
    return this.dirty.open();
  }

  async pause(): Promise<void> {
    this.demandOpen();
    await this.typed(() => this.parts.native.pause());
    if (this.closing === undefined) this.now = 'paused';
  }

  async resume(): Promise<void> {
    this.demandOpen();
    await this.typed(() => {
      this.parts.native.resume();
    });
    this.now = 'running';
  }

  async saveDeviceState(): Promise<Uint8Array> {
    this.demandOpen();
    return this.typed(() => this.parts.native.saveState());
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- failures become rejections
  async loadDeviceState(state: Uint8Array): Promise<void> {
    this.demandOpen();
    try {
      this.parts.native.loadState(state);
    } catch (cause) {
      const message = 'the demo guest does not take this device state';
      throw new StateError('ERR_PAGEFERRY_GUEST_DEVICE_STATE', message, {
        state: this.now,
        cause,
      });
    }
  }

  activity(): GuestActivity | undefined {
    if (this.closing !== undefined) return undefined;
    const { ticks, longestGapMs, longestGapAtMs } = this.parts.native;
    return { ticks, longestGapMs, longestGapAtMs };
  }

  markActivity(): void {
    this.demandOpen();
    this.parts.native.markGap();
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- failures become rejections
  async throttle(percent: number): Promise<void> {
    this.demandOpen();
    if (!Number.isInteger(percent) || percent < 0 || percent > throttlePercentMost) {
      const message = `a throttle is 0 to ${throttlePercentMost} percent, not ${percent}`;
      throw new ConfigurationError('ERR_PAGEFERRY_GUEST_PARAMETER', message);
    }
    this.parts.native.throttle(percent);
  }

  async selfCheck(): Promise<SelfCheck | undefined> {
    this.demandOpen();
    return this.typed(() => this.parts.native.selfCheck());
  }

  close(): Promise<void> {
    this.closing ??= this.end();
    return this.closing;
  }

  private async end(): Promise<void> {
    this.now = 'closed';
    this.dirty.end();
    await this.parts.native.close();
    this.parts.memory.close();
  }

  /** The native guest refuses what does not belong to its state: so it is told. */
  private async typed<T>(call: () => T | Promise<T>): Promise<T> {
    const { now: state } = this;
    try {
      return await call();
    } catch (cause) {
      const message = `the ${state} demo guest refused`;
      throw new StateError('ERR_PAGEFERRY_GUEST_STATE', message, { state, cause });
    }
  }

  private demandOpen(): void {
    if (this.closing === undefined) return;
    const message = 'the demo guest is closed';
    throw new StateError('ERR_PAGEFERRY_GUEST_STATE', message, { state: 'closed' });
  }
}
