/** Bytes changed at random, for tests of decoders. */
import type { Random } from '../random.js';

/** The bytes with some flipped, cut off, doubled or replaced. */
export function mutate(random: Random, bytes: Uint8Array): Uint8Array {
  let changed = Buffer.from(bytes);
  for (let change = random.below(4) + 1; change > 0; change -= 1) {
    const at = random.below(changed.length + 1);
    switch (random.below(5)) {
      case 0:
        if (at < changed.length) changed[at] = (changed[at] ?? 0) ^ (1 << random.below(8));
        break;
      case 1:
        changed = changed.subarray(0, at);
        break;
      case 2:
        changed = Buffer.concat([changed.subarray(0, at), changed]);
        break;
      case 3:
        if (at < changed.length) changed[at] = random.below(256);
        break;
      default:
        changed = Buffer.concat([
          changed.subarray(0, at),
          Buffer.from(Array.from({ length: random.below(12) }, () => random.below(256))),
          changed.subarray(at),
        ]);
    }
  }
  return changed;
}
