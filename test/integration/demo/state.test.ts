import assert from 'node:assert/strict';
import { setTimeout } from 'node:timers/promises';

import type { Guest } from '../../../src/guest/contract.js';
import type { NativeMemory } from '../../../src/native/addon.js';
import {
  type Backend,
  headerOffset,
  memoryOf,
  onEachBackend,
  pageBytes,
  snapshot,
  ticksOf,
  ticksOn,
  withDestination,
  withSource,
} from '../../support/demo-guest.js';
import { withSeed } from '../../support/random.js';

const ram = 16 * 2 ** 20;
const query = `ram=${ram}&dirtyRate=2000&workingSet=4M`;
const refusal = { code: 'ERR_PAGEFERRY_GUEST_DEVICE_STATE' };

/** The state's parts (native/demo/saved_state.cc, vcpu_state.cc). */
const headBytes = 24 + 27 * 8;
const vcpuMsrCount = headBytes + 8;
const msrsMost = 11;

function hrtimeMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** All that is not zero; the rest stays a hole. */
function copyRam(from: NativeMemory, to: NativeMemory): void {
  const all = snapshot(from);
  const zero = Buffer.alloc(pageBytes);
  for (let at = 0; at < all.length; at += pageBytes) {
    const page = all.subarray(at, at + pageBytes);
    if (!page.equals(zero)) to.write(at, page);
  }
}

/** A paused source, and a destination that holds its RAM but not its state. */
function withCopy(
  backend: Backend,
  use: (state: Uint8Array, destination: Guest, source: Guest) => Promise<void>,
): Promise<void> {
  return withSource(backend, query, async (source) => {
    await ticksOn(source, 5);
    await source.pause();
    const state = await source.saveDeviceState();
    await withDestination(source.layout, async (destination, memory) => {
      copyRam(memoryOf(source), memory);
      await use(state, destination, source);
    });
  });
}

/** The state of a guest that stands still, without what goes on all the same: the TSC. */
async function stillState(backend: Backend, guest: Guest): Promise<Buffer> {
  const state = Buffer.from(await guest.saveDeviceState());
  if (backend === 'in-process') return state;
  const xsaveBytes = state.readUInt32LE(headBytes + 12);
  const msrs = state.length - xsaveBytes - msrsMost * 16;
  assert.equal(state.readUInt32LE(msrs), 0x10, 'the TSC comes first');
  state.fill(0, msrs + 8, msrs + 16);
  return state;
}

function changed(state: Uint8Array, offset: number, value: number): Uint8Array {
  const out = Uint8Array.from(state);
  out[offset] = value;
  return out;
}

onEachBackend('the saved state of a demo guest', (backend) => {
  it('lets the same ticks go on elsewhere, over holes that stay holes', async () => {
    await withCopy(backend, async (state, destination, source) => {
      const memory = memoryOf(destination);
      await destination.loadDeviceState(state);
      assert.equal(ticksOf(destination), ticksOf(source));
      assert.ok(snapshot(memory).equals(snapshot(memoryOf(source))));
      const allocated = memory.allocatedBytes();
      assert.ok(allocated < memoryOf(source).allocatedBytes(), 'zero pages are holes');
      assert.equal((await destination.selfCheck())?.ok, true);
      assert.equal(memory.allocatedBytes(), allocated);
      await destination.resume();
      await ticksOn(destination, 20);
      const check = await destination.selfCheck();
      assert.deepEqual([check?.ok, check?.badPages], [true, 0]);
      // The guest rewrites its working set, and nothing but that.
      assert.ok(memory.allocatedBytes() <= allocated + 4 * 2 ** 20 + 64 * pageBytes);
    });
  });

  it('holds the vCPU as a whole: loaded and saved it is the same', async () => {
    await withCopy(backend, async (state, destination, source) => {
      await destination.loadDeviceState(state);
      assert.deepEqual(await stillState(backend, destination), await stillState(backend, source));
    });
  });

  it('never lets an answer of the source be one of the destination', async () => {
    await withSource(backend, query, async (source) => {
      assert.equal((await source.selfCheck())?.ok, true);
      await source.pause();
      const state = await source.saveDeviceState();
      await withDestination(source.layout, async (destination, memory) => {
        copyRam(memoryOf(source), memory);
        const last = ram - pageBytes * 1500;
        memory.write(last, Buffer.from('something else'));
        await destination.loadDeviceState(state);
        await destination.resume();
        assert.equal((await destination.selfCheck())?.badPages, 1);
      });
    });
  });

  it('is refused when it is cut short, too long, of another guest or version', async () => {
    await withCopy(backend, async (state, destination, source) => {
      const before = await stillState(backend, destination);
      const ramBefore = snapshot(memoryOf(destination));
      const lengths = [0, 1, 23, 24, headBytes - 1, headBytes + 1, state.length - 1];
      const wrong: Uint8Array[] = [
        ...lengths.map((length) => state.subarray(0, length)),
        Buffer.concat([state, Buffer.of(0)]),
        // Magic, version, backend, size of RAM, and the header that must be that of RAM.
        ...[0, 8, 12, 17, 24, headBytes - 1].map((at) => changed(state, at, (state[at] ?? 0) ^ 4)),
      ].filter((one) => one.length !== state.length || !Buffer.from(one).equals(state));
      if (backend === 'kvm') {
        const xsaveBytes = Buffer.from(state).readUInt32LE(headBytes + 12);
        const msrs = state.length - xsaveBytes - msrsMost * 16;
        wrong.push(
          changed(state, headBytes, 9),
          changed(state, headBytes + 4, 2),
          changed(state, vcpuMsrCount, 255),
          changed(state, headBytes + 13, 255),
          // Another MSR; a CR4 with bits that no CPU has, which only KVM can tell.
          changed(state, msrs, 0x1b),
          changed(state, headBytes + 16 + 144 + 8 * 24 + 2 * 16 + 3 * 8 + 7, 0xff),
        );
      }
      for (const [index, one] of wrong.entries()) {
        await assert.rejects(destination.loadDeviceState(one), refusal, `number ${index}`);
        assert.deepEqual(await stillState(backend, destination), before, `number ${index}`);
      }
      assert.ok(snapshot(memoryOf(destination)).equals(ramBefore));
      assert.ok(ticksOf(source) > 0);
      await destination.loadDeviceState(state);
      await destination.resume();
      await ticksOn(destination);
      assert.equal((await destination.selfCheck())?.ok, true);
    });
  });

  it('is refused or taken whole, whatever its bytes are', async () => {
    await withSeed(async (random) => {
      await withCopy(backend, async (state, destination) => {
        for (let round = 0; round < 150; round += 1) {
          const before = await stillState(backend, destination);
          const hostile = Uint8Array.from(state);
          for (let count = 1 + random.below(4); count > 0; count -= 1) {
            hostile[random.below(hostile.length)] = random.below(256);
          }
          try {
            await destination.loadDeviceState(hostile);
          } catch (error) {
            assert.equal((error as { code?: string }).code, refusal.code);
            assert.deepEqual(await stillState(backend, destination), before);
          }
        }
        await destination.loadDeviceState(state);
        await destination.resume();
        await ticksOn(destination, 3);
      });
    });
  });

  it('is asked for and taken only while the guest may give or take it', async () => {
    const closed = { code: 'ERR_PAGEFERRY_GUEST_STATE' };
    await withCopy(backend, async (state, destination, source) => {
      await assert.rejects(destination.resume(), closed, 'there is no state yet');
      await assert.rejects(source.loadDeviceState(state), refusal, 'it has run');
      await source.resume();
      await assert.rejects(source.saveDeviceState(), closed, 'it runs');
    });
  });

  it('carries the longest gap between ticks, which a migration makes', async () => {
    await withSource(backend, query, async (source) => {
      source.markActivity?.();
      await ticksOn(source, 5);
      const beforePauseMs = hrtimeMs();
      await source.pause();
      const pausedMs = hrtimeMs();
      const state = await source.saveDeviceState();
      await withDestination(source.layout, async (destination, memory) => {
        copyRam(memoryOf(source), memory);
        await destination.loadDeviceState(state);
        await setTimeout(300);
        const resumingMs = hrtimeMs();
        const openGapMs = destination.activity()?.longestGapMs ?? 0;
        assert.ok(openGapMs >= resumingMs - pausedMs, 'a gap that is still open counts');
        await destination.resume();
        await ticksOn(destination, 5);
        const tickedMs = hrtimeMs();
        const { longestGapMs, longestGapAtMs = 0 } = destination.activity() ?? { longestGapMs: 0 };
        assert.ok(longestGapMs >= resumingMs - pausedMs, `${longestGapMs} ms`);
        // 60 ms: a tick may be under way when the guest is told to pause, 50 ms at most.
        assert.ok(longestGapMs <= tickedMs - beforePauseMs + 60, `${longestGapMs} ms`);
        assert.ok(longestGapAtMs > resumingMs && longestGapAtMs < tickedMs);

        const markedMs = hrtimeMs();
        destination.markActivity?.();
        assert.ok((destination.activity()?.longestGapMs ?? NaN) <= hrtimeMs() - markedMs);
        await ticksOn(destination, 5);
        assert.ok((destination.activity()?.longestGapMs ?? NaN) <= hrtimeMs() - markedMs);
        assert.equal((await destination.selfCheck())?.ok, true);
      });
    });
  });

  it('takes no gap between two hosts for one', async () => {
    await withCopy(backend, async (state, destination) => {
      const memory = memoryOf(destination);
      const elsewhere = Buffer.from(state);
      // The number of the clock, in RAM and in the state alike.
      memory.write(headerOffset + 14 * 8, Buffer.of(0x55, 0x66));
      elsewhere.set([0x55, 0x66], 24 + 14 * 8);
      memory.read(headerOffset, 27 * 8).copy(elsewhere, 24);
      await destination.loadDeviceState(elsewhere);
      assert.equal(destination.activity()?.longestGapMs, NaN, 'nobody can tell');
      await destination.resume();
      await ticksOn(destination, 3);
      assert.equal(destination.activity()?.longestGapMs, NaN, 'nobody ever will');
      const markedMs = hrtimeMs();
      destination.markActivity?.();
      await ticksOn(destination, 3);
      assert.ok((destination.activity()?.longestGapMs ?? NaN) <= hrtimeMs() - markedMs);
    });
  });
});
