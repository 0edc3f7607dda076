import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';

import type { Guest } from '../../../src/guest/contract.js';
import type { NativeMemory } from '../../../src/native/addon.js';
import {
  type Backend,
  headerOffset,
  memoryOf,
  onEachBackend,
  snapshot,
  ticksOf,
  ticksOn,
  withDestination,
  withSource,
} from '../../support/demo-guest.js';

const ram = 32 * 2 ** 20;
const watchMs = 400;
/** What a guest may catch up with, in ticks of a millisecond. */
const catchUpTicks = 20;

function writesOf(memory: NativeMemory): number {
  return Number(memory.read(headerOffset + 12 * 8, 8).readBigUInt64LE());
}

interface Watched {
  readonly elapsedMs: number;
  readonly ticks: number;
  readonly writes: number;
}

/** What a running guest does in some time, which is measured. */
async function watch(guest: Guest): Promise<Watched> {
  const memory = memoryOf(guest);
  const [startedMs, ticks, writes] = [performance.now(), ticksOf(guest), writesOf(memory)];
  await setTimeout(watchMs);
  return {
    ticks: ticksOf(guest) - ticks,
    writes: writesOf(memory) - writes,
    elapsedMs: performance.now() - startedMs,
  };
}

/** What this process holds of demo guests: file descriptors, threads, mappings. */
function holdings(): { fds: number; threads: number; mappings: number } {
  const maps = readFileSync('/proc/self/maps', 'utf8').split('\n');
  return {
    fds: readdirSync('/proc/self/fd').length,
    threads: readdirSync('/proc/self/task').length,
    mappings: maps.filter((line) => /memfd:pageferry-demo|kvm-vcpu/.test(line)).length,
  };
}

async function openAndClose(backend: Backend): Promise<void> {
  const query = 'ram=4M&dirtyRate=1000';
  const layout = await withSource(backend, query, async (guest) => {
    await ticksOn(guest);
    await guest.trackDirty();
    return guest.layout;
  });
  await withDestination(layout, async (guest) => guest.pause());
}

onEachBackend('a demo guest', (backend) => {
  it('writes nothing once it is paused', async () => {
    await withSource(backend, `ram=${ram}&dirtyRate=1000000`, async (guest, memory) => {
      for (let round = 0; round < 5; round += 1) {
        await ticksOn(guest, 5);
        await guest.pause();
        const ticks = ticksOf(guest);
        const before = snapshot(memory);
        assert.ok(before.equals(snapshot(memory)));
        assert.equal(ticksOf(guest), ticks);
        await guest.resume();
      }
    });
  });

  it('writes as many pages as it was told to, and no more', async () => {
    await withSource(backend, `ram=${ram}&dirtyRate=20500`, async (guest, memory) => {
      const { elapsedMs, ticks } = await watch(guest);
      assert.ok(ticks <= elapsedMs + catchUpTicks, `${ticks} ticks in ${elapsedMs} ms`);
      await guest.pause();
      assert.equal(writesOf(memory), Math.floor(20.5 * ticksOf(guest)));
    });
  });

  it('is slowed by a throttle while it runs, and freed again', async () => {
    await withSource(backend, `ram=${ram}&dirtyRate=20000`, async (guest) => {
      assert.ok(guest.throttle !== undefined);
      for (const percent of [50, 90, 99]) {
        await guest.throttle(percent);
        const slowed = await watch(guest);
        const most = (slowed.elapsedMs * (100 - percent)) / 100 + catchUpTicks;
        assert.ok(slowed.ticks <= most, `${percent} %: ${slowed.ticks} ticks, at most ${most}`);
        assert.ok(slowed.writes <= most * 20 + 20, `${percent} %: ${slowed.writes} writes`);
      }
      const slowed = await watch(guest);
      await guest.throttle(0);
      const freed = await watch(guest);
      const rates = [slowed.ticks / slowed.elapsedMs, freed.ticks / freed.elapsedMs] as const;
      assert.ok(rates[1] > 3 * rates[0], `${rates[0]} then ${rates[1]} ticks/ms`);
      assert.equal((await guest.selfCheck())?.ok, true);
    });
  });

  it('can be paused, checked and closed while it stands still', async () => {
    await withSource(backend, `ram=4M&dirtyRate=1000`, async (guest) => {
      await guest.throttle?.(99);
      assert.equal((await guest.selfCheck())?.ok, true);
      await guest.pause();
      await guest.resume();
    });
  });

  it('refuses a throttle that is none', async () => {
    await withSource(backend, `ram=4M`, async (guest) => {
      assert.ok(guest.throttle !== undefined);
      for (const percent of [-1, 100, 1.5, NaN, '7' as unknown as number]) {
        const refused = { code: 'ERR_PAGEFERRY_GUEST_PARAMETER' };
        await assert.rejects(guest.throttle(percent), refused, String(percent));
      }
    });
  });

  it('leaves nothing behind, fifty times over', async () => {
    await openAndClose(backend);
    const before = holdings();
    assert.equal(before.mappings, 0);
    for (let cycle = 0; cycle < 50; cycle += 1) await openAndClose(backend);
    assert.deepEqual(holdings(), before);
  });
});
