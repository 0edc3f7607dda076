import { strict as assert } from 'node:assert';

import type { NativePageSet } from '../../../src/native/addon.js';
import { loadAddon } from '../../../src/native/loader.js';

interface Run {
  first: number;
  pages: number;
  zero: boolean;
}

const target = new ArrayBuffer(8 * 512);

/** Runs as native/abi/record.h writes them. */
function decode(runs: number): Run[] {
  return [...new BigUint64Array(target, 0, runs)].map((run) => ({
    first: Number(run & ((1n << 44n) - 1n)),
    pages: Number((run >> 44n) & ((1n << 19n) - 1n)) + 1,
    zero: run >> 63n === 1n,
  }));
}

function take(set: NativePageSet, pages = 256, runs = 512): Run[] {
  return decode(set.fill(target, 0, pages, runs));
}

function data(first: number, pages: number): Run {
  return { first, pages, zero: false };
}

function hole(first: number, pages: number): Run {
  return { first, pages, zero: true };
}

describe('a page set', () => {
  const { Memory, PageSet } = loadAddon();

  it('hands out ascending runs, neighbours as one, and each page once', () => {
    const set = new PageSet(1000);
    set.addRange(500, 3);
    set.addRange(60, 5);
    set.addRange(65, 64);
    set.addRange(100, 1);
    assert.equal(set.count, 72);
    assert.deepEqual(take(set), [data(60, 69), data(500, 3)]);
    assert.deepEqual([set.lastDataPages, set.lastPages, set.count], [72, 72, 0]);
    assert.deepEqual(take(set), []);
  });

  it('stops at the limits and goes on from there', () => {
    const set = new PageSet(2000);
    set.addRange(0, 300);
    set.addRange(400, 1);
    assert.deepEqual(take(set), [data(0, 256)]);
    assert.deepEqual(take(set, 256, 1), [data(256, 44)]);
    set.addRange(7, 1);
    assert.deepEqual(take(set), [data(7, 1), data(400, 1)]);
  });

  it('takes holes from the memory, 2^20 pages in one call at most', () => {
    const pages = 3 << 19;
    const memory = Memory.create({ name: 'holes', bytes: pages * 4096, hugePages: 'never' });
    memory.write(4096 * 70, Buffer.from('data'));
    const set = new PageSet(pages + 10);
    set.addMemory(memory, 0, 10, pages);
    assert.deepEqual([set.count, set.holes], [1, pages - 1]);
    const first = take(set);
    assert.deepEqual(first.slice(0, 3), [hole(10, 70), data(80, 1), hole(81, 1 << 19)]);
    assert.deepEqual([set.lastDataPages, set.lastPages], [1, 1 << 20]);
    assert.equal(
      take(set).reduce((sum, run) => sum + run.pages, 0),
      1 << 19,
    );
    assert.equal(set.holes, 0);
    memory.close();
  });

  it('makes a hole that was written to a page', () => {
    const memory = Memory.create({ name: 'hole', bytes: 1 << 20, hugePages: 'never' });
    const set = new PageSet(256);
    set.addMemory(memory, 0, 0, 256);
    set.addRange(3, 1);
    assert.deepEqual(take(set), [hole(0, 3), data(3, 1), hole(4, 252)]);
    memory.close();
  });

  it('never splits a chunk for a digest', () => {
    const set = new PageSet(1024);
    set.addRange(200, 100);
    set.addRange(400, 200);
    set.addRange(900, 1);
    const chunks = (): Run[] => decode(set.fillChunks(target, 0, 256, 128));
    assert.deepEqual(chunks(), [data(200, 100), data(400, 112)]);
    assert.equal(set.lastDataPages, 212);
    assert.deepEqual(chunks(), [data(512, 88), data(900, 1)]);
    assert.deepEqual(chunks(), []);
    assert.throws(() => set.fillChunks(target, 0, 255, 128), { code: 'ERR_PAGEFERRY_INVALID' });
  });

  it('refuses pages and targets beyond the end, and what is no number', () => {
    const invalid = { code: 'ERR_PAGEFERRY_INVALID' };
    const set = new PageSet(100);
    assert.throws(() => {
      set.addRange(99, 2);
    }, invalid);
    assert.throws(() => {
      set.addRange(-1, 2);
    }, invalid);
    assert.throws(() => set.fill(target, 8, 256, 512), invalid);
    assert.throws(() => set.fill(target, 4, 256, 1), invalid);
    assert.throws(() => new PageSet(2 ** 40), invalid);
    assert.throws(() => {
      set.addRange('1' as unknown as number, 2);
    }, TypeError);
    assert.equal(set.count, 0);
  });

  it('agrees with a plain set', () => {
    const pages = 5000;
    const set = new PageSet(pages);
    const expected = new Set<number>();
    let seed = 7;
    const random = (below: number): number => {
      seed = (seed * 1103515245 + 12345) % 2 ** 31;
      return Math.floor((seed / 2 ** 31) * below);
    };
    for (let round = 0; round < 300; round += 1) {
      const first = random(pages - 40);
      const count = random(40);
      set.addRange(first, count);
      for (let page = first; page < first + count; page += 1) expected.add(page);
      if (round % 3 !== 0) continue;
      const sorted = [...expected].sort((a, b) => a - b).slice(0, 50);
      const taken = take(set, 50).flatMap((run) =>
        Array.from({ length: run.pages }, (_, index) => run.first + index),
      );
      assert.deepEqual(taken, sorted);
      for (const page of taken) expected.delete(page);
      assert.equal(set.count, expected.size);
    }
  });
});
