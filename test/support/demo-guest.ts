/** The demo guest in tests: on each backend that works here, opened and always closed. */
import { readSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';

import type { Guest, GuestLayout } from '../../src/guest/contract.js';
import { demoProvider } from '../../src/guest/demo/provider.js';
import type { NativeMemory } from '../../src/native/addon.js';
import { loadAddon } from '../../src/native/loader.js';
import { requireCapability } from './require.js';

export type Backend = 'kvm' | 'in-process';

export const pageBytes = 4096;
const tickLimitMs = 20_000;

/** Where the guest keeps what (native/demo/workload.h). */
export const headerOffset = 0x1000;
export const tableOffset = 0x100000;

/** Describes `body` once for each backend. */
export function onEachBackend(title: string, body: (backend: Backend) => void): void {
  for (const backend of ['kvm', 'in-process'] as const) {
    describe(`${title} (${backend})`, function () {
      before(function () {
        if (backend !== 'kvm') return;
        const { usable } = loadAddon().probe().kvm;
        requireCapability(this, 'a usable /dev/kvm', usable, { hardware: true });
      });

      body(backend);
    });
  }
}

/** The guest's only RAM block. */
export function memoryOf(guest: Guest): NativeMemory {
  const [block] = guest.blocks;
  if (block === undefined) throw new Error('a demo guest without RAM');
  return block.memory;
}

/** Opens a running guest for `use` and closes it, whatever happened. */
export async function withSource<T>(
  backend: Backend,
  query: string,
  use: (guest: Guest, memory: NativeMemory) => Promise<T>,
): Promise<T> {
  const guest = await demoProvider.openSource(new URL(`demo:?backend=${backend}&${query}`));
  try {
    return await use(guest, memoryOf(guest));
  } finally {
    await guest.close();
  }
}

/** Opens a blank guest for `layout`, as a destination does. */
export async function withDestination<T>(
  layout: GuestLayout,
  use: (guest: Guest, memory: NativeMemory) => Promise<T>,
): Promise<T> {
  const guest = await demoProvider.openDestination(new URL('demo:'), layout);
  try {
    return await use(guest, memoryOf(guest));
  } finally {
    await guest.close();
  }
}

/** First page of the workload's own, after the table of versions. */
export function firstPage(ramBytes: number): number {
  return Math.ceil((tableOffset + (ramBytes / pageBytes) * 4) / pageBytes);
}

/** All of RAM, read through its file: a mapping would allocate what is a hole. */
export function snapshot(memory: NativeMemory): Buffer {
  const out = Buffer.alloc(memory.bytes);
  for (let at = 0; at < out.length;) {
    const got = readSync(memory.fd, out, at, out.length - at, at);
    if (got === 0) throw new Error('guest memory is shorter than it says');
    at += got;
  }
  return out;
}

/** How often the guest has ticked. */
export function ticksOf(guest: Guest): number {
  const activity = guest.activity();
  if (activity === undefined) throw new Error('a guest that tells nothing');
  return activity.ticks;
}

/** Resolves when the guest has ticked `ticks` times more. */
export async function ticksOn(guest: Guest, ticks = 1): Promise<void> {
  const until = ticksOf(guest) + ticks;
  const limitMs = performance.now() + tickLimitMs;
  while (ticksOf(guest) < until) {
    if (performance.now() > limitMs) throw new Error('the guest does not tick');
    await setTimeout(1);
  }
}

/** Flips one bit of the byte at `offset`. */
export function corrupt(memory: NativeMemory, offset: number): void {
  const [byte = 0] = memory.read(offset, 1);
  memory.write(offset, Buffer.of(byte ^ 0x10));
}
