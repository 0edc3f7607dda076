import assert from 'node:assert/strict';

import {
  firstPage,
  onEachBackend,
  pageBytes,
  snapshot,
  tableOffset,
  ticksOn,
  withSource,
} from '../../support/demo-guest.js';
import { changedPages, reportedPages } from '../../support/demo-pages.js';

const ram = 32 * 2 ** 20;
const workingSetPages = 1024;

/** Whether the guest may ever have written the page while it ran. */
function isWritable(page: number): boolean {
  const first = firstPage(ram);
  const isTable = page >= tableOffset / pageBytes && page < first;
  // The header, and the kvm backend's descriptors, stacks and page tables.
  const isOwn = page >= 1 && page < tableOffset / pageBytes;
  return isTable || isOwn || (page >= first && page < first + workingSetPages);
}

function missingFrom(reported: Iterable<number>, changed: readonly number[]): number[] {
  const known = new Set(reported);
  return changed.filter((page) => !known.has(page));
}

onEachBackend('the dirty log of the demo guest', (backend) => {
  const query = `ram=${ram}&workingSet=${workingSetPages * pageBytes}&dirtyRate=50000`;

  it('reports every page that changed, round after round', async () => {
    await withSource(backend, query, async (guest, memory) => {
      const tracker = await guest.trackDirty();
      await guest.pause();
      await reportedPages(tracker, ram);
      let before = snapshot(memory);
      for (let round = 0; round < 6; round += 1) {
        await guest.resume();
        const reported: number[] = [];
        // Reads that meet a guest at work lose nothing either.
        for (let read = 0; read < 5; read += 1) {
          await ticksOn(guest, 2);
          reported.push(...(await reportedPages(tracker, ram)));
        }
        await guest.pause();
        reported.push(...(await reportedPages(tracker, ram)));
        const after = snapshot(memory);
        const changed = changedPages(before, after);
        assert.ok(changed.length > 100, `only ${changed.length} pages changed`);
        assert.deepEqual(missingFrom(reported, changed), []);
        assert.deepEqual(
          reported.filter((page) => !isWritable(page)),
          [],
        );
        before = after;
      }
      assert.deepEqual(await reportedPages(tracker, ram), []);
      await tracker.close();
    });
  });

  it('begins at the moment it is asked for, in the middle of writes', async () => {
    await withSource(backend, query, async (guest, memory) => {
      for (let round = 0; round < 10; round += 1) {
        const tracker = await guest.trackDirty();
        const before = snapshot(memory);
        await guest.pause();
        const after = snapshot(memory);
        const reported = await reportedPages(tracker, ram);
        assert.deepEqual(missingFrom(reported, changedPages(before, after)), []);
        await tracker.close();
        await guest.resume();
        await ticksOn(guest);
      }
    });
  });

  it('gives each of several trackers every change', async () => {
    await withSource(backend, query, async (guest, memory) => {
      const early = await guest.trackDirty();
      await ticksOn(guest, 3);
      const late = await guest.trackDirty();
      await guest.pause();
      const [lateFirst, before] = [await reportedPages(late, ram), snapshot(memory)];
      await guest.resume();
      await ticksOn(guest, 3);
      await guest.pause();
      const changed = changedPages(before, snapshot(memory));
      const lateSecond = await reportedPages(late, ram);
      assert.deepEqual(missingFrom(lateSecond, changed), []);
      const all = await reportedPages(early, ram);
      assert.deepEqual(missingFrom(all, [...lateFirst, ...lateSecond]), []);
      await Promise.all([early.close(), late.close()]);
    });
  });
});
