/**
 * What: the state one source session works on, shared by its phases (precopy.ts, handover.ts).
 */
import type { DirtyTracker, Guest, RamBlock } from '../guest/contract.js';
import { PF_PAGE_BYTES } from '../native/abi.generated.js';
import type { Mirror } from '../mirror/contract.js';
import type { NativePageSet } from '../native/addon.js';
import type { ConvergencePolicy } from './convergence-policy.js';
import type { SessionCore } from './core.js';
import type { Findings } from './report.js';
import type { Statistics } from './statistics.js';
import type { Steering } from './steering.js';
import type { SourceOptions } from './types.js';

export interface SourceRun {
  readonly core: SessionCore;
  readonly mirror: Mirror;
  readonly options: SourceOptions;
  readonly guest: Guest;
  readonly blocks: readonly RamBlock[];
  readonly ramBytes: number;
  /** Pages of the epoch to come; exporting takes them out. */
  readonly pages: NativePageSet;
  readonly tracker: DirtyTracker;
  readonly steering: Steering;
  readonly convergence: ConvergencePolicy;
  readonly statistics: Statistics;
  readonly findings: Findings;
}

export function ramBytesOf(blocks: readonly Pick<RamBlock, 'bytes'>[]): number {
  return blocks.reduce((sum, { bytes }) => sum + bytes, 0);
}

/** The end of the ram_addr_t space, in pages. */
export function ramPagesOf(blocks: readonly Pick<RamBlock, 'ramAddr' | 'bytes'>[]): number {
  return Math.max(...blocks.map(({ ramAddr, bytes }) => (ramAddr + bytes) / PF_PAGE_BYTES));
}

/** Every page of every block: what is allocated as pages, the rest as holes that nobody reads. */
export function addAllPages(pages: NativePageSet, blocks: readonly RamBlock[]): void {
  for (const { memory, memoryOffset, ramAddr, bytes } of blocks) {
    pages.addMemory(memory, memoryOffset, ramAddr / PF_PAGE_BYTES, bytes / PF_PAGE_BYTES);
  }
}
