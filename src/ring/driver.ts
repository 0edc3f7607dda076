/**
 * What: the driver's half of a split virtqueue (virtio 1.2, 2.7) over memory shared with the
 * helper. Pure: no kicks, no promises, no I/O.
 *
 *   descriptor table   written by the driver only, never read back
 *   avail ring         written by the driver only; idx with release order
 *   used ring          written by the device; idx read once per poll, each element once
 *
 * The device is hostile. Everything it could change is kept in private copies: which descriptors
 * are free, which chains are outstanding and how many bytes each may be answered with. The first
 * violation poisons the queue for good.
 *
 * Ownership: the memory behind descriptors belongs to the device from `publish` until the chain
 * comes back from `poll`.
 */
import { assertDriver } from './assert.js';
import { ringPoisoned, ringViolation } from './errors.js';
import {
  PF_CHAIN_MAX,
  PF_DESC_F_NEXT,
  PF_DESC_F_WRITE,
  PF_RING_AVAIL_OFFSET,
  PF_RING_DESC_OFFSET,
  PF_RING_ENTRIES_MAX,
  PF_RING_STRIDE,
  PF_RING_USED_OFFSET,
} from '../native/abi.generated.js';

const descBytes = 16;
const usedElementBytes = 8;
/** Both rings start with flags and idx, 16 bits each. */
const ringHeadBytes = 4;
const indexMask = 0xffff;
const none = -1;

/** A chain to be queued. Offsets are into the window, in bytes; the object may be reused. */
export interface Chain {
  requestOffset: number;
  requestBytes: number;
  inputOffset: number;
  /** 0: the chain has no input descriptor. */
  inputBytes: number;
  responseOffset: number;
  responseBytes: number;
  outputOffset: number;
  /** 0: the chain has no output descriptor. */
  outputBytes: number;
}

/** Called for every chain that comes back: the caller's cookie and the bytes written into it. */
export type OnUsed = (cookie: number, bytes: number) => void;

export class RingDriver {
  readonly entries: number;

  private readonly window: DataView;
  private readonly windowGpa: number;
  private readonly descOffset: number;
  private readonly availOffset: number;
  private readonly usedOffset: number;
  /** Index 0: avail.flags, 1: avail.idx. */
  private readonly availHead: Uint16Array;
  /** Index 0: used.flags, 1: used.idx. */
  private readonly usedHead: Uint16Array;

  // Private: what the device must not decide.
  private readonly nextOf: Int16Array;
  private readonly cookies: Int32Array;
  /** By head descriptor; none while it is no head of an outstanding chain. */
  private readonly writableBytes: Float64Array;
  private readonly chainLength: Uint8Array;
  private firstFree = 0;
  private freeCount: number;
  private outstandingCount = 0;
  private availIndex = 0;
  private publishedIndex = 0;
  private usedIndex = 0;
  private violation: Error | undefined;

  /** `ringOffset` is where the queue lies in `window`; `windowGpa` where the window lies. */
  constructor(window: ArrayBuffer, ringOffset: number, entries: number, windowGpa: bigint) {
    assertDriver(
      Number.isInteger(Math.log2(entries)) && entries >= 2 && entries <= PF_RING_ENTRIES_MAX,
      'entries is a power of two within the limit',
    );
    assertDriver(ringOffset % PF_RING_STRIDE === 0, 'the ring is aligned');
    assertDriver(ringOffset + PF_RING_STRIDE <= window.byteLength, 'the ring is in the window');
    assertDriver(windowGpa < 2n ** 52n, 'descriptor addresses are exact in a double');
    this.entries = entries;
    this.window = new DataView(window);
    this.windowGpa = Number(windowGpa);
    this.descOffset = ringOffset + PF_RING_DESC_OFFSET;
    this.availOffset = ringOffset + PF_RING_AVAIL_OFFSET;
    this.usedOffset = ringOffset + PF_RING_USED_OFFSET;
    this.availHead = new Uint16Array(window, this.availOffset, 2);
    this.usedHead = new Uint16Array(window, this.usedOffset, 2);
    this.nextOf = new Int16Array(entries);
    for (let index = 0; index < entries; index += 1) this.nextOf[index] = index + 1;
    this.nextOf[entries - 1] = none;
    this.cookies = new Int32Array(entries);
    this.writableBytes = new Float64Array(entries).fill(none);
    this.chainLength = new Uint8Array(entries);
    this.freeCount = entries;
    new Uint8Array(window, ringOffset, PF_RING_STRIDE).fill(0);
  }

  /** Chains queued or published and not yet used. */
  get outstanding(): number {
    return this.outstandingCount;
  }

  /** Whether a chain of any form finds descriptors. */
  get hasRoom(): boolean {
    return this.freeCount >= PF_CHAIN_MAX;
  }

  /** Queues a chain; the device sees it after `publish`. The caller has checked `hasRoom`. */
  add(chain: Chain, cookie: number): void {
    this.assertSound();
    assertDriver(this.hasRoom, 'a free chain');
    const head = this.firstFree;
    const hasOutput = chain.outputBytes > 0;
    let length = 2;
    this.write(chain.requestOffset, chain.requestBytes, PF_DESC_F_NEXT);
    if (chain.inputBytes > 0) {
      this.write(chain.inputOffset, chain.inputBytes, PF_DESC_F_NEXT);
      length += 1;
    }
    const responseFlags = hasOutput ? PF_DESC_F_WRITE | PF_DESC_F_NEXT : PF_DESC_F_WRITE;
    this.write(chain.responseOffset, chain.responseBytes, responseFlags);
    if (hasOutput) {
      this.write(chain.outputOffset, chain.outputBytes, PF_DESC_F_WRITE);
      length += 1;
    }
    this.cookies[head] = cookie;
    this.writableBytes[head] = chain.responseBytes + chain.outputBytes;
    this.chainLength[head] = length;
    const entry = this.availIndex & (this.entries - 1);
    this.window.setUint16(this.availOffset + ringHeadBytes + 2 * entry, head, true);
    this.availIndex = (this.availIndex + 1) & indexMask;
    this.outstandingCount += 1;
  }

  /** Makes everything queued visible to the device: descriptors first, then avail.idx. */
  publish(): void {
    if (this.availIndex === this.publishedIndex) return;
    this.assertSound();
    // Sequentially consistent, hence a release: what was written before it is seen before it.
    Atomics.store(this.availHead, 1, this.availIndex);
    this.publishedIndex = this.availIndex;
  }

  /** Takes back what the device has used; returns how many chains. Throws RingError. */
  poll(onUsed: OnUsed): number {
    this.assertSound();
    const deviceIndex = Atomics.load(this.usedHead, 1);
    const advance = (deviceIndex - this.usedIndex) & indexMask;
    if (advance > this.outstandingCount) {
      const of = `${this.outstandingCount} outstanding`;
      throw this.poison(ringViolation('advance', `used.idx went on by ${advance}, ${of}`));
    }
    for (let count = 0; count < advance; count += 1) this.takeOne(onUsed);
    return advance;
  }

  private takeOne(onUsed: OnUsed): void {
    const entry = this.usedIndex & (this.entries - 1);
    const at = this.usedOffset + ringHeadBytes + usedElementBytes * entry;
    const id = this.window.getUint32(at, true);
    const bytes = this.window.getUint32(at + 4, true);
    if (id >= this.entries) {
      throw this.poison(ringViolation('id', `used id ${id}, the ring has ${this.entries}`));
    }
    const writable = this.writableBytes[id] ?? none;
    if (writable === none) {
      throw this.poison(ringViolation('unknown', `used id ${id} is not outstanding`));
    }
    if (bytes > writable) {
      const limit = `${writable} are writable`;
      throw this.poison(ringViolation('bytes', `used length ${bytes}, ${limit}`));
    }
    const cookie = this.cookies[id] ?? none;
    this.free(id);
    this.usedIndex = (this.usedIndex + 1) & indexMask;
    onUsed(cookie, bytes);
  }

  /** Fills the first free descriptor and takes it off the list; it links to the next free one. */
  private write(offset: number, bytes: number, flags: number): void {
    const at = this.descOffset + descBytes * this.firstFree;
    const next = this.nextOf[this.firstFree] ?? none;
    const address = this.windowGpa + offset;
    this.window.setUint32(at, address % 2 ** 32, true);
    this.window.setUint32(at + 4, Math.floor(address / 2 ** 32), true);
    this.window.setUint32(at + 8, bytes, true);
    this.window.setUint16(at + 12, flags, true);
    this.window.setUint16(at + 14, (flags & PF_DESC_F_NEXT) !== 0 ? next : 0, true);
    this.firstFree = next;
    this.freeCount -= 1;
  }

  /** Gives a chain's descriptors back, along the private links. */
  private free(head: number): void {
    const length = this.chainLength[head] ?? 0;
    let tail = head;
    for (let count = 1; count < length; count += 1) tail = this.nextOf[tail] ?? none;
    this.nextOf[tail] = this.firstFree;
    this.firstFree = head;
    this.freeCount += length;
    this.writableBytes[head] = none;
    this.outstandingCount -= 1;
  }

  private assertSound(): void {
    if (this.violation !== undefined) throw ringPoisoned(this.violation);
  }

  private poison(violation: Error): Error {
    this.violation = violation;
    return violation;
  }
}
