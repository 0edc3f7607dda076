/** Which pages of a demo guest were reported, and which have changed. */
import type { DirtyTracker } from '../../src/guest/contract.js';
import type { NativePageSet } from '../../src/native/addon.js';
import { loadAddon } from '../../src/native/loader.js';
import { pageBytes } from './demo-guest.js';

const runsPerFill = 1024;
const pagesPerFill = 2 ** 20;

/** Takes all pages out of `set`. */
export function takePages(set: NativePageSet): number[] {
  const runs = new BigUint64Array(runsPerFill);
  const pages: number[] = [];
  for (;;) {
    const count = set.fill(runs.buffer, 0, pagesPerFill, runsPerFill);
    if (count === 0) return pages;
    for (const run of runs.subarray(0, count)) {
      // As in native/abi/record.h.
      const first = Number(run & ((1n << 44n) - 1n));
      const many = Number((run >> 44n) & ((1n << 19n) - 1n)) + 1;
      for (let page = first; page < first + many; page += 1) pages.push(page);
    }
  }
}

/** What the tracker reports now, taken over at once. */
export async function reportedPages(tracker: DirtyTracker, ramBytes: number): Promise<number[]> {
  const set = new (loadAddon().PageSet)(ramBytes / pageBytes);
  await tracker.collect(set);
  tracker.commit();
  return takePages(set);
}

/** The pages in which two snapshots differ. */
export function changedPages(before: Buffer, after: Buffer): number[] {
  const pages: number[] = [];
  for (let at = 0; at < before.length; at += pageBytes) {
    if (before.compare(after, at, at + pageBytes, at, at + pageBytes) !== 0) {
      pages.push(at / pageBytes);
    }
  }
  return pages;
}
