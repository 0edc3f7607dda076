/**
 * What: two real mirrors in one process: what tests of the engines need of them. Everything goes
 * through src/mirror, with guest RAM in memfds.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';

import type { RamBlock } from '../../../src/guest/contract.js';
import type { EngineName, Mirror, MirrorOptions } from '../../../src/mirror/contract.js';
import { openMirror } from '../../../src/mirror/mirror.js';
import type { NativeMemory } from '../../../src/native/addon.js';
import { loadAddon } from '../../../src/native/loader.js';
import { requireCapability } from '../require.js';

export const engines = ['kvm', 'in-process'] as const;
export const pageBytes = 4096;
export const mebibyte = 1024 * 1024;
const context = Buffer.from('engine test');

/** For `before` of a suite of one engine. */
export function requireEngine(context: Mocha.Context, engine: EngineName): void {
  if (engine !== 'kvm') return;
  const { usable } = loadAddon().probe().kvm;
  requireCapability(context, 'a usable /dev/kvm', usable, { hardware: true });
}

export function open(engine: EngineName, more: Partial<MirrorOptions> = {}): Promise<Mirror> {
  const least = { vcpus: 2, windowBytes: 4 * mebibyte, ramLimitBytes: 1024 * mebibyte };
  return openMirror({ engine, ...least, ...more });
}

export function memoryOf(bytes: number): NativeMemory {
  return loadAddon().Memory.create({ name: 'engine-test', bytes, hugePages: 'never' });
}

export function blockOf(memory: NativeMemory, more: Partial<RamBlock> = {}): RamBlock {
  const { bytes } = memory;
  return { id: 0, name: 'ram', ramAddr: 0, bytes, memory, memoryOffset: 0, blank: false, ...more };
}

/** Secrets and handshake: from here on `source` exports and `destination` imports. */
export async function connect(source: Mirror, destination: Mirror): Promise<void> {
  const secret = randomBytes(32);
  await source.setSecret(secret);
  await destination.setSecret(secret);
  const first = await source.handshakeInitiate(context);
  const second = await destination.handshakeRespond(context, first);
  await destination.handshakeConfirm(await source.handshakeFinish(second));
}

/** Carries all pages of `blocks` and the token that ends the epoch. */
export async function carryEpoch(
  source: Mirror,
  destination: Mirror,
  blocks: readonly RamBlock[],
  epoch: number,
  start = false,
): Promise<void> {
  const end = Math.max(...blocks.map((block) => block.ramAddr + block.bytes));
  const set = new (loadAddon().PageSet)(end / pageBytes);
  for (const { ramAddr, bytes } of blocks) set.addRange(ramAddr / pageBytes, bytes / pageBytes);
  for (let more = true; more;) {
    const [slot, target] = [await source.slots.acquire(), await destination.slots.acquire()];
    try {
      const record = await source.exportPages(set, slot, {
        epoch,
        codec: 'none',
        level: 0,
        padBytes: 0,
      });
      more = record !== undefined;
      if (record === undefined) continue;
      target.buffer.set(slot.buffer.subarray(0, record.bytes));
      const { outcome } = await destination.importRecord(target, record.bytes);
      assert.equal(outcome, 'imported');
    } finally {
      slot.release();
      target.release();
    }
  }
  const token = await source.makeToken(epoch, start);
  const checked = await destination.checkToken(token.bytes);
  assert.deepEqual(checked, { outcome: 'accepted', epoch, start });
}
