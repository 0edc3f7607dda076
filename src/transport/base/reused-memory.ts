/**
 * What: memory for copies of frames that is used again: fresh memory for every record would cost
 * the system as much time as the copy (its pages are touched for the first time), and the collector
 * as much again.
 */

/** Below this a copy has memory of its own: many small ones may wait at a time. */
const sharedBytesMin = 64 * 1024;

export class ReusedMemory {
  readonly #free: Buffer[] = [];

  /** `slotBytes`: what is used again; `keptMax`: how many slots are kept for later. */
  constructor(
    private readonly slotBytes: number,
    private readonly keptMax: number,
  ) {}

  /** Exactly `bytes` bytes of unknown content. */
  take(bytes: number): Buffer {
    if (bytes < sharedBytesMin || bytes > this.slotBytes) return Buffer.allocUnsafe(bytes);
    const memory = this.#free.pop() ?? Buffer.allocUnsafeSlow(this.slotBytes);
    return memory.subarray(0, bytes);
  }

  /** Nobody reads `taken` any more; call once. */
  giveBack(taken: Buffer): void {
    const { buffer } = taken;
    if (buffer.byteLength !== this.slotBytes || taken.byteLength < sharedBytesMin) return;
    if (this.#free.length < this.keptMax) this.#free.push(Buffer.from(buffer));
  }
}
