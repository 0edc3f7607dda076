/**
 * What: 2 MiB pages for the destination's memory. The source says which pieces it has allocated
 * whole; the destination allocates those at once, before records come: a fault for every 4 KiB,
 * in the process and in the mirror, costs more than opening the page (docs/decisions/0005). Holes
 * stay holes.
 */
import type { Guest, RamBlock } from '../guest/contract.js';
import type { WireBlock } from '../wire/layout.js';
import { FILLED_RUNS_MAX, PIECE_BYTES } from '../wire/limits.js';

/** The source's blocks as it announces them. Looks at the files' extents, not at the memory. */
export function announceBlocks(blocks: readonly RamBlock[]): WireBlock[] {
  return blocks.map(({ id, name, ramAddr, bytes, memory, memoryOffset }) => {
    const filled = memory.filledPieces(memoryOffset, bytes, FILLED_RUNS_MAX);
    return { id, name, ramAddr, bytes, filled };
  });
}

/** Allocates at the destination what is filled at the source; `guest` fits the layout. */
export async function prefaultFilled(guest: Guest, announced: readonly WireBlock[]): Promise<void> {
  for (const { id, filled } of announced) {
    const block = guest.blocks.find((own) => own.id === id);
    if (block === undefined) continue;
    for (const { first, count } of filled) {
      const offset = block.memoryOffset + first * PIECE_BYTES;
      await block.memory.prefault(offset, count * PIECE_BYTES);
    }
  }
}
