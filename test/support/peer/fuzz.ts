/**
 * How long a fuzz goes on, in milliseconds: PAGEFERRY_FUZZ_MS, or long enough to meet what a change
 * breaks. PAGEFERRY_SEED repeats a run (test/support/random.ts).
 */
import type { Random } from '../random.js';

export const FUZZ_MS = Number(process.env['PAGEFERRY_FUZZ_MS'] ?? 2500);

const edges = [
  0n,
  1n,
  63n,
  64n,
  80n,
  96n,
  4095n,
  4096n,
  4097n,
  2n ** 31n,
  2n ** 32n - 1n,
  2n ** 32n,
  2n ** 39n,
  2n ** 52n,
  2n ** 63n,
  2n ** 64n - 4096n,
  2n ** 64n - 1n,
];

/** Mostly small, sometimes on an edge, sometimes anything of 64 bits. */
export function oddNumber(random: Random): bigint {
  switch (random.below(4)) {
    case 0:
      return random.pick(edges);
    case 1:
      return (BigInt(random.word()) << 32n) | BigInt(random.word());
    default:
      return BigInt(random.below(16));
  }
}
