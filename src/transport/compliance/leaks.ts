/** What: opening and closing leaves nothing behind: no descriptors, no handles, no memory. */
import { readdirSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { check, until, within } from './harness.js';
import type { Harness } from './harness.js';

export const cyclesDefault = Number(process.env['PAGEFERRY_COMPLIANCE_CYCLES'] ?? 1000);
/** What a heap may have more after all cycles: caches that fill once, not a leak per cycle. */
const heapGrowthMax = 4 * 1024 * 1024;
/** Cycles before anything is counted: caches, pools and compiled code come about in them. */
const warmUpCycles = 50;

function descriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

function handles(): number {
  return process.getActiveResourcesInfo().filter((kind) => kind.endsWith('Wrap')).length;
}

/** Frees what nothing holds any more, native memory included. */
export async function collectGarbage(): Promise<void> {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  // What native objects hold is freed some turns after they were found to be garbage.
  for (let turn = 0; turn < 4; turn += 1) {
    collect();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Bytes of live objects and of buffers outside the heap. */
async function liveBytes(): Promise<number> {
  await collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

async function cycle(harness: Harness, index: number): Promise<void> {
  const { dialed, accepted } = await harness.pair();
  await dialed.lane.send([Buffer.alloc(100)]);
  await until(() => accepted.sink.frames.length === 1, 'the frame arrives');
  if (index % 3 === 0) dialed.lane.abort();
  else if (index % 3 === 1) accepted.lane.abort();
  else await within(dialed.lane.close(), 'the lane closes');
  await within(Promise.all([dialed.sink.end, accepted.sink.end]), 'both ends');
  await within(Promise.all([dialed.lane.close(), accepted.lane.close()]), 'everything is free');
  await harness.cleanUp();
}

export function leakTests(harness: Harness, cycles: number): void {
  harness.globals.it(`leaks nothing over ${cycles} cycles of open and close`, async function () {
    this.timeout(30_000 + cycles * 50);
    for (let index = 0; index < warmUpCycles; index += 1) await cycle(harness, index);
    const before = { descriptors: descriptors(), handles: handles(), bytes: await liveBytes() };
    for (let index = 0; index < cycles; index += 1) await cycle(harness, index);
    await until(() => descriptors() <= before.descriptors, 'no descriptor is left');
    await until(() => handles() <= before.handles, 'no handle is left');
    const grownBytes = (await liveBytes()) - before.bytes;
    check(grownBytes < heapGrowthMax, `no memory is left: ${grownBytes} bytes more`);
  });
}
