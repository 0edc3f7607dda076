/**
 * Seeded randomness for tests: the same seed gives the same run. A failing test prints its seed;
 * PAGEFERRY_SEED=N runs it again.
 */

/** xorshift128 seeded by splitmix32: small, fast, good enough to shuffle a test. */
export class Random {
  readonly seed: number;
  private readonly state = new Uint32Array(4);

  constructor(seed: number) {
    this.seed = seed;
    let mixed = seed >>> 0;
    for (let index = 0; index < 4; index += 1) {
      mixed = (mixed + 0x9e3779b9) >>> 0;
      let word = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad);
      word = Math.imul(word ^ (word >>> 15), 0x735a2d97);
      this.state[index] = (word ^ (word >>> 15)) >>> 0;
    }
  }

  /** A 32-bit number. */
  word(): number {
    const [a, b, c, d] = this.state as unknown as [number, number, number, number];
    let mixed = a ^ (a << 11);
    mixed ^= mixed >>> 8;
    const word = (d ^ (d >>> 19) ^ mixed) >>> 0;
    this.state.set([b, c, d, word]);
    return word;
  }

  /** A number in [0, limit). */
  below(limit: number): number {
    return Math.floor((this.word() / 2 ** 32) * limit);
  }

  /** True once in `times` calls on average. */
  once(times: number): boolean {
    return this.below(times) === 0;
  }

  pick<T>(choices: readonly T[]): T {
    const choice = choices[this.below(choices.length)];
    if (choice === undefined) throw new Error('nothing to pick from');
    return choice;
  }

  bytes(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let index = 0; index < length; index += 1) bytes[index] = this.word() >>> 24;
    return bytes;
  }
}

/** The seed of this run: PAGEFERRY_SEED, or a new one each time. */
function chooseSeed(): number {
  const given = process.env['PAGEFERRY_SEED'];
  return given === undefined ? Math.floor(Math.random() * 2 ** 32) : Number(given) >>> 0;
}

/** Runs `body` with seeded randomness; a failure names the seed. */
export async function withSeed(body: (random: Random) => void | Promise<void>): Promise<void> {
  const random = new Random(chooseSeed());
  try {
    await body(random);
  } catch (error) {
    console.error(`PAGEFERRY_SEED=${random.seed} repeats this failure`);
    throw error;
  }
}
