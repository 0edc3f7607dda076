/**
 * A virtqueue device for tests of the driver: well-behaved unless a test lies through `used`.
 * It reads the rings as virtio 1.2 lays them out, with no code of the driver.
 */
import { strict as assert } from 'node:assert';

export interface FakeDescriptor {
  readonly address: bigint;
  readonly bytes: number;
  readonly writable: boolean;
}

export interface FakeChain {
  readonly head: number;
  readonly descriptors: readonly FakeDescriptor[];
  readonly writableBytes: number;
}

export class FakeDevice {
  private readonly view: DataView;
  private readonly ringOffset: number;
  private readonly entries: number;
  private availIndex = 0;
  private usedIndex = 0;

  constructor(window: ArrayBuffer, ringOffset: number, entries: number) {
    this.view = new DataView(window);
    this.ringOffset = ringOffset;
    this.entries = entries;
  }

  /** Takes every chain that has been published since the last call. */
  take(): FakeChain[] {
    const published = this.view.getUint16(this.ringOffset + 4096 + 2, true);
    const chains: FakeChain[] = [];
    while (this.availIndex !== published) {
      const entry = this.availIndex % this.entries;
      chains.push(this.chain(this.view.getUint16(this.ringOffset + 4096 + 4 + 2 * entry, true)));
      this.availIndex = (this.availIndex + 1) % 65536;
    }
    return chains;
  }

  /** Puts one element into the used ring; what it says need not be true. */
  push(id: number, bytes: number): void {
    const at = this.ringOffset + 8192 + 4 + 8 * (this.usedIndex % this.entries);
    this.view.setUint32(at, id, true);
    this.view.setUint32(at + 4, bytes, true);
    this.usedIndex = (this.usedIndex + 1) % 65536;
  }

  /** Shows the driver what was pushed, or any other index. */
  publish(index = this.usedIndex): void {
    this.view.setUint16(this.ringOffset + 8192 + 2, index, true);
  }

  get used(): number {
    return this.usedIndex;
  }

  private chain(head: number): FakeChain {
    const descriptors: FakeDescriptor[] = [];
    let at = head;
    let writableBytes = 0;
    while (at >= 0) {
      assert.ok(at < this.entries, 'a descriptor of the table');
      assert.ok(descriptors.length < 4, 'a chain of at most four');
      const place = this.ringOffset + 16 * at;
      const flags = this.view.getUint16(place + 12, true);
      assert.equal(flags & ~3, 0, 'no flags but NEXT and WRITE');
      const bytes = this.view.getUint32(place + 8, true);
      const writable = (flags & 2) !== 0;
      descriptors.push({ address: this.view.getBigUint64(place, true), bytes, writable });
      if (writable) writableBytes += bytes;
      at = (flags & 1) !== 0 ? this.view.getUint16(place + 14, true) : -1;
    }
    return { head, descriptors, writableBytes };
  }
}
