/**
 * What: rings of a mirror written by hand, as a hostile host would: nothing is checked on the way
 * in. On the way out everything is: the helper halts in time, returns every chain, and writes
 * nothing in the window but the used ring and what descriptors let it write.
 */
import { strict as assert } from 'node:assert';

import type { MirrorError } from '../../../src/errors.js';
import { RING_ENTRIES } from '../../../src/limits.js';
import type { WindowLayout } from '../../../src/mirror/layout.js';
import { eventError } from '../../../src/mirror/status.js';
import * as abi from '../../../src/native/abi.generated.js';
import type { NativeMirror, NativeMirrorEvent } from '../../../src/native/addon.js';
import { openNative, type BareOptions } from './bare-mirror.js';

/** Any honest run is some milliseconds; a helper that takes longer hangs. */
const haltDeadlineMs = 20_000;
/** Small, since all of it is compared after every run. */
const windowBytes = 256 * 1024;
const descriptorBytes = 16;
const usedHeadBytes = 4;
const indexMask = 0xffff;

export interface RawDescriptor {
  readonly address: bigint;
  readonly bytes: number;
  readonly flags: number;
  readonly next: number;
}

export interface UsedElement {
  readonly id: number;
  readonly bytes: number;
}

interface Waiter {
  readonly halted: () => void;
  readonly died: (error: MirrorError) => void;
}

export class RawMirror {
  readonly native: NativeMirror;
  readonly layout: WindowLayout;
  readonly view: DataView;
  readonly bytes: Buffer;
  readonly #waiters = new Map<number, Waiter>();
  #death: MirrorError | undefined;

  constructor(readonly options: BareOptions) {
    const { native, layout } = openNative({ windowBytes, ...options }, (vcpu, event) => {
      this.#onEvent(vcpu, event);
    });
    this.native = native;
    this.layout = layout;
    this.view = new DataView(native.window);
    this.bytes = Buffer.from(native.window);
  }

  /** Why the mirror is dead, if it is. */
  get death(): MirrorError | undefined {
    return this.#death;
  }

  ring(vcpu: number): RawRing {
    return new RawRing(this, vcpu);
  }

  /** Kicks, and waits for the halt; rejects with the MirrorError when the mirror dies instead. */
  async run(vcpu: number): Promise<void> {
    if (this.#death !== undefined) throw this.#death;
    let timer: NodeJS.Timeout | undefined;
    try {
      await new Promise<void>((halted, reject) => {
        this.#waiters.set(vcpu, { halted, died: reject });
        timer = setTimeout(() => {
          reject(new Error(`vCPU ${vcpu} has not halted in ${haltDeadlineMs} ms`));
        }, haltDeadlineMs);
        this.native.kick(vcpu);
      });
    } finally {
      clearTimeout(timer);
      this.#waiters.delete(vcpu);
    }
  }

  close(): Promise<void> {
    return this.native.close();
  }

  #onEvent(vcpu: number, event: NativeMirrorEvent | null): void {
    if (event === null) {
      this.#waiters.get(vcpu)?.halted();
      return;
    }
    this.#death ??= eventError(vcpu, event);
    for (const waiter of this.#waiters.values()) waiter.died(this.#death);
  }
}

export class RawRing {
  readonly offset: number;
  /** Chains made available, as the ring counts. */
  issued = 0;
  readonly #table = new Map<number, RawDescriptor>();

  constructor(
    private readonly mirror: RawMirror,
    readonly vcpu: number,
  ) {
    this.offset = mirror.layout.ring(vcpu);
  }

  get usedFlags(): number {
    return this.mirror.view.getUint16(this.offset + abi.PF_RING_USED_OFFSET, true);
  }

  get usedIndex(): number {
    return this.mirror.view.getUint16(this.offset + abi.PF_RING_USED_OFFSET + 2, true);
  }

  setDescriptor(index: number, descriptor: RawDescriptor): void {
    const { view } = this.mirror;
    const at = this.offset + abi.PF_RING_DESC_OFFSET + descriptorBytes * index;
    view.setBigUint64(at, descriptor.address, true);
    view.setUint32(at + 8, descriptor.bytes, true);
    view.setUint16(at + 12, descriptor.flags, true);
    view.setUint16(at + 14, descriptor.next, true);
    this.#table.set(index, descriptor);
  }

  /** Makes chains available; any numbers at all. */
  offer(heads: readonly number[]): void {
    for (const head of heads) {
      const entry = this.issued % RING_ENTRIES;
      const at = this.offset + abi.PF_RING_AVAIL_OFFSET + 4 + 2 * entry;
      this.mirror.view.setUint16(at, head, true);
      this.issued = (this.issued + 1) & indexMask;
    }
    this.setAvailIndex(this.issued);
  }

  setAvailIndex(index: number): void {
    const at = this.offset + abi.PF_RING_AVAIL_OFFSET + 2;
    this.mirror.view.setUint16(at, index & indexMask, true);
  }

  /** The last `count` elements of the used ring. */
  used(count: number): UsedElement[] {
    const { view } = this.mirror;
    return Array.from({ length: count }, (_, index) => {
      const entry = (this.usedIndex - count + index + 0x10000) % RING_ENTRIES;
      const at = this.offset + abi.PF_RING_USED_OFFSET + usedHeadBytes + 8 * entry;
      return { id: view.getUint32(at, true), bytes: view.getUint32(at + 4, true) };
    });
  }

  /**
   * Runs the chains offered since the last run, `heads`, and holds the helper to its limits.
   * Rejects with a MirrorError when the mirror died of it.
   */
  async runChecked(heads: readonly number[]): Promise<UsedElement[]> {
    const { bytes } = this.mirror;
    const before = Buffer.from(bytes);
    this.offer(heads);
    const avail = this.offset + abi.PF_RING_AVAIL_OFFSET;
    bytes.copy(before, avail, avail, avail + abi.PF_RING_USED_OFFSET - abi.PF_RING_AVAIL_OFFSET);
    await this.mirror.run(this.vcpu);
    assert.equal(this.usedIndex, this.issued, 'every chain comes back');
    assert.equal(this.usedFlags, 0);
    const elements = this.used(heads.length);
    assert.deepEqual(
      elements.map(({ id }) => id),
      heads,
      'chains come back by their heads, in order',
    );
    this.#assertOnlyWritable(before);
    return elements;
  }

  /** What differs from `before` is the used ring, or in a descriptor that the device may write. */
  #assertOnlyWritable(before: Buffer): void {
    const { bytes, native } = this.mirror;
    const usedRing = this.offset + abi.PF_RING_USED_OFFSET;
    bytes.copy(before, usedRing, usedRing, this.offset + abi.PF_RING_STRIDE);
    const queues = (this.mirror.options.vcpus ?? 1) * abi.PF_RING_STRIDE;
    for (const { address, bytes: length, flags } of this.#table.values()) {
      const offset = Number(address - native.windowGpa);
      const isWritable = (flags & abi.PF_DESC_F_WRITE) !== 0;
      if (!isWritable || offset < queues || offset + length > bytes.length) continue;
      bytes.copy(before, offset, offset, offset + length);
    }
    assert.ok(bytes.equals(before), 'the helper wrote where no descriptor let it');
  }
}
