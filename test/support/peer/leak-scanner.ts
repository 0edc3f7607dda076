/**
 * What: finds any 16 bytes of guest memory, from wherever in a page, anywhere in other bytes.
 * How: 16 bytes in a row hold at least one whole aligned 8-byte word of memory. All words are
 * indexed, with their two neighbours so that repeated text costs one entry; the other bytes are
 * looked up at every offset, and a word that is found is compared onwards to both sides.
 */
const RUN_BYTES = 16;
const WORD_BYTES = 8;
const BUCKET_BITS = 20;
const none = -1;

export interface Leak {
  /** Where it was found, and where in memory the same bytes lie. */
  readonly at: number;
  readonly ramAt: number;
  readonly bytes: string;
}

function bucketOf(low: number, high: number): number {
  const mixed = Math.imul(low, 0x9e3779b1) ^ Math.imul(high, 0x85ebca77);
  return (mixed ^ (mixed >>> 15)) >>> (32 - BUCKET_BITS);
}

export interface ScannerOptions {
  /** Leaves out words below 65536: counters and sizes are the same numbers everywhere. */
  readonly ignoresSmallNumbers?: boolean;
}

export class LeakScanner {
  /** Chains of words by their bytes, and of the same words by their neighbours as well. */
  readonly #heads = new Int32Array(1 << BUCKET_BITS).fill(none);
  readonly #next: Int32Array;
  readonly #placeHeads = new Int32Array(1 << BUCKET_BITS).fill(none);
  readonly #placeNext: Int32Array;
  readonly #words: Int32Array;

  /** `ram` is a multiple of 8 bytes, in memory aligned to 4. */
  constructor(
    private readonly ram: Buffer,
    private readonly options: ScannerOptions = {},
  ) {
    this.#words = new Int32Array(ram.buffer, ram.byteOffset, ram.length / 4);
    const count = ram.length / WORD_BYTES;
    this.#next = new Int32Array(count);
    this.#placeNext = new Int32Array(count);
    for (let word = 0; word < count; word += 1) this.#add(word);
  }

  /** The first run of memory in `bytes`; runs of one repeated byte do not count. */
  find(bytes: Buffer): Leak | undefined {
    let low = 0;
    let high = 0;
    for (let end = 0; end < bytes.length; end += 1) {
      low = (low >>> 8) | (high << 24);
      high = (high >>> 8) | (bytes[end]! << 24);
      if (end < WORD_BYTES - 1) continue;
      const at = end + 1 - WORD_BYTES;
      let word = this.#heads[bucketOf(low, high)]!;
      for (; word !== none; word = this.#next[word]!) {
        if (!this.#isWord(word, low, high)) continue;
        const leak = this.#extend(bytes, at, word * WORD_BYTES);
        if (leak !== undefined) return leak;
      }
    }
    return undefined;
  }

  #add(word: number): void {
    const low = this.#words[2 * word]!;
    const high = this.#words[2 * word + 1]!;
    if (this.options.ignoresSmallNumbers === true && high === 0 && low >>> 16 === 0) return;
    const place = this.#placeOf(word);
    for (let other = this.#placeHeads[place]!; other !== none; other = this.#placeNext[other]!) {
      if (this.#isAlike(word, other)) return;
    }
    this.#placeNext[word] = this.#placeHeads[place]!;
    this.#placeHeads[place] = word;
    const bucket = bucketOf(low, high);
    this.#next[word] = this.#heads[bucket]!;
    this.#heads[bucket] = word;
  }

  #placeOf(word: number): number {
    let mixed = 0;
    for (let at = -2; at < 4; at += 1) {
      mixed = Math.imul(mixed, 0x01000193) ^ (this.#words[2 * word + at] ?? 0);
      mixed ^= mixed >>> 13;
    }
    return bucketOf(mixed, 0);
  }

  #isWord(word: number, low: number, high: number): boolean {
    return this.#words[2 * word] === low && this.#words[2 * word + 1] === high;
  }

  /** The same word between the same neighbours. */
  #isAlike(word: number, other: number): boolean {
    for (let at = -2; at < 4; at += 1) {
      if (this.#words[2 * word + at] !== this.#words[2 * other + at]) return false;
    }
    return true;
  }

  #extend(bytes: Buffer, at: number, ramAt: number): Leak | undefined {
    let before = 0;
    while (before < WORD_BYTES && this.#isEqual(bytes, at - before - 1, ramAt - before - 1)) {
      before += 1;
    }
    let length = before + WORD_BYTES;
    while (length < before + 2 * WORD_BYTES) {
      if (!this.#isEqual(bytes, at - before + length, ramAt - before + length)) break;
      length += 1;
    }
    if (length < RUN_BYTES) return undefined;
    const found = bytes.subarray(at - before, at - before + length);
    if (found.every((byte) => byte === found[0])) return undefined;
    return { at: at - before, ramAt: ramAt - before, bytes: found.toString('latin1') };
  }

  #isEqual(bytes: Buffer, at: number, ramAt: number): boolean {
    return at >= 0 && ramAt >= 0 && at < bytes.length && bytes[at] === this.ram[ramAt];
  }
}
