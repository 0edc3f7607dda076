import assert from 'node:assert/strict';
import { closeSync, openSync, truncateSync } from 'node:fs';
import { join } from 'node:path';

import { loadAddon } from '../../../src/native/loader.js';
import { withScratch } from '../../support/scratch.js';

const mebibyte = 1024 * 1024;
const bytes = 4 * mebibyte;

describe('guest memory', () => {
  it('keeps its holes when it is read', () => {
    const memory = loadAddon().Memory.create({ name: 'holes', bytes, hugePages: 'never' });
    try {
      memory.write(mebibyte, Buffer.from('here'));
      const before = memory.allocatedBytes();
      const all = memory.read(0, bytes);
      assert.equal(all.subarray(mebibyte, mebibyte + 4).toString(), 'here');
      assert.equal(memory.allocatedBytes(), before);
    } finally {
      memory.close();
    }
  });

  it('tells how much of it has huge pages, whatever was asked for', async () => {
    const addon = loadAddon();
    const { Memory } = addon;
    const small = Memory.create({ name: 'small', bytes, hugePages: 'never' });
    const any = Memory.create({ name: 'any', bytes, hugePages: 'auto' });
    try {
      await Promise.all([small.prefault(), any.prefault()]);
      assert.deepEqual([small.backing, small.hugeBytes()], ['small', 0]);
      if (any.backing === 'huge') assert.equal(any.hugeBytes(), bytes);
      assert.ok(any.hugeBytes() % addon.probe().hugePages.bytes === 0);
    } finally {
      small.close();
      any.close();
    }
  });

  it('is allocated in part, and tells which 2 MiB pieces have no hole', async () => {
    const memory = loadAddon().Memory.create({ name: 'part', bytes: 4 * bytes, hugePages: 'auto' });
    try {
      memory.write(bytes, Buffer.from('here'));
      assert.deepEqual(memory.filledPieces(0, 4 * bytes, 8), []);
      await memory.prefault(bytes, bytes);
      await memory.prefault(3 * bytes, mebibyte * 3);
      assert.equal(memory.read(bytes, 4).toString(), 'here');
      const runs = [
        { first: 2, count: 2 },
        { first: 6, count: 1 },
      ];
      assert.deepEqual(memory.filledPieces(0, 4 * bytes, 8), runs);
      assert.deepEqual(memory.filledPieces(0, 4 * bytes, 1), runs.slice(0, 1));
      assert.deepEqual(memory.filledPieces(bytes + mebibyte, 2 * mebibyte, 8), [
        { first: 0, count: 1 },
      ]);
      assert.equal(memory.allocatedBytes(), bytes + 3 * mebibyte);
      const refused = { code: 'ERR_PAGEFERRY_INVALID' };
      for (const [offset, length] of [
        [bytes, 4 * bytes],
        [17, 4096],
        [0, 17],
        [-4096, 4096],
      ] as const) {
        assert.throws(() => void memory.prefault(offset, length), refused);
      }
    } finally {
      memory.close();
    }
  });

  it('opens a part of a file, and never more than the file has', async () => {
    await withScratch((directory) => {
      const { Memory } = loadAddon();
      const path = join(directory, 'ram');
      closeSync(openSync(path, 'w'));
      truncateSync(path, bytes);
      const part = Memory.open({ path, offset: mebibyte, bytes: mebibyte });
      const whole = Memory.open({ path, bytes });
      part.write(5, Buffer.from('five'));
      assert.equal(whole.read(mebibyte + 5, 4).toString(), 'five');
      const refused = { code: 'ERR_PAGEFERRY_INVALID' };
      const wrong = [
        { bytes: bytes + 4096 },
        { bytes, offset: 4096 },
        { bytes: 4096, offset: 2 ** 52 },
        { bytes: 4096, offset: 2 ** 53 },
        { bytes: 4096, offset: -4096 },
        { bytes: 4096, offset: NaN },
        { bytes: 4096, offset: 17 },
        { bytes: 0 },
        { bytes: 4095 },
        { bytes: Infinity },
      ];
      for (const each of wrong) {
        assert.throws(() => Memory.open({ path, ...each }), refused, JSON.stringify(each));
      }
      for (const [offset, length] of [
        [mebibyte, 1],
        [mebibyte - 1, 2],
        [-1, 1],
        [0.5, 1],
      ] as const) {
        assert.throws(() => part.read(offset, length), refused);
        assert.throws(() => {
          part.write(offset, Buffer.alloc(length));
        }, refused);
      }
      truncateSync(path, 0);
      assert.throws(() => whole.read(0, 4096), { code: 'ERR_PAGEFERRY_SYSTEM' });
      part.close();
      whole.close();
      assert.throws(() => part.read(0, 1), refused);
    });
  });
});
