import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';

import { IntegrityError } from '../../src/errors.js';
import type { Slot } from '../../src/mirror/contract.js';
import { windowLayout } from '../../src/mirror/layout.js';
import { loadAddon } from '../../src/native/loader.js';
import { RING_COMMANDS } from '../../src/limits.js';
import { onBothEngines } from '../support/peer/engines.js';
import { assertNothingOf } from '../support/peer/guarded-ram.js';
import { Hostile, WATCHED, type Part } from '../support/peer/hostile.js';
import {
  CODEC_LZ4,
  CODEC_NONE,
  HEADER_BYTES,
  KIND_CONTROL,
  KIND_DEVICE_STATE,
  PAGE_BYTES,
  TAG_BYTES,
  open,
} from '../support/peer/records.js';
import { Rig, RIG_WINDOW_BYTES } from '../support/peer/rig.js';
import { withSeed, type Random } from '../support/random.js';

const ramPages = 64;
/** Tries of one record under fire before it is let through. */
const attempts = 8;

const noPart: Part = { offset: 0, bytes: 0 };

let hostile: Hostile;

before(async () => {
  hostile = await Hostile.load();
});

describe('the thread of a hostile host', () => {
  it('changes bytes and puts them back, and sees what it watches for at any alignment', () =>
    withSeed(async ({ seed }) => {
      const memory = new ArrayBuffer(PAGE_BYTES);
      const bytes = new Uint8Array(memory);
      const watch = { offset: 0, bytes: PAGE_BYTES };
      const wait = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));
      const flipped = await hostile.during(memory, { flip: watch, watch, seed }, wait);
      assert.ok(flipped.deeds.flips > 0 && flipped.deeds.looks > 0);
      assert.equal(flipped.deeds.sightings, 0);
      assert.ok(bytes.every((byte) => byte === 0));
      for (let at = 0; at < 8; at += 1) {
        bytes.fill(0).set(Buffer.alloc(32, WATCHED), 800 + at);
        const { deeds } = await hostile.during(memory, { watch, seed }, wait);
        assert.ok(deeds.sightings > 0, `at ${at}`);
      }
    }));
});

/** Where a part of a slot lies in its window. */
function partOf(slot: Slot, offset: number, bytes: number): Part {
  return { offset: slot.buffer.byteOffset + offset, bytes };
}

function windowOf(slot: Slot): ArrayBuffer {
  return slot.buffer.buffer as ArrayBuffer;
}

onBothEngines('while a thread flips bytes of the window, the helper', (engine) => {
  it('lets no wrong page in', async function () {
    this.timeout(30_000);
    const rig = await Rig.open({ engine, role: 'destination', blockPages: [ramPages] });
    try {
      await withSeed(async (random) => {
        const seen = { imported: 0, refused: 0 };
        const isOneSided = (): boolean => seen.imported === 0 || seen.refused === 0;
        for (let epoch = 1; epoch <= 30 || (isOneSided() && epoch <= 200); epoch += 1) {
          await importUnderFire(rig, random, epoch, seen);
        }
        assert.ok(seen.imported > 0 && seen.refused > 0, JSON.stringify(seen));
      });
    } finally {
      await rig.close();
    }
  });

  /** Fills RAM with records, each offered under fire until it is in; an epoch each time. */
  async function importUnderFire(
    rig: Rig,
    random: Random,
    epoch: number,
    seen: { imported: number; refused: number },
  ): Promise<void> {
    const expected = rig.memory.read(0, rig.ramBytes);
    const records = 8;
    const pages = ramPages / records;
    const slot = await rig.mirror.slots.acquire();
    for (let index = 0; index < records; index += 1) {
      const content = randomBytes(pages * PAGE_BYTES);
      const isCompressible = index % 4 === 3;
      if (isCompressible) content.fill(index, PAGE_BYTES);
      const codec = isCompressible ? CODEC_LZ4 : CODEC_NONE;
      const counter = (epoch - 1) * records + index + 1;
      const runs = [{ first: index * pages, pages, zero: false }];
      const record = rig.forge.pages({ counter, epoch, runs, content, codec });
      const flip = random.pick([
        partOf(slot, 0, record.length),
        partOf(slot, HEADER_BYTES, record.length - HEADER_BYTES),
        partOf(slot, 0, HEADER_BYTES + 8),
        partOf(slot, record.length - TAG_BYTES, TAG_BYTES),
      ]);
      for (let attempt = 0; ; attempt += 1) {
        slot.buffer.set(record);
        const parts = { flip: attempt < attempts ? flip : noPart, seed: random.word() };
        const { value } = await hostile.during(windowOf(slot), parts, () =>
          rig.mirror.importRecord(slot, record.length).catch((error: unknown) => {
            assert.ok(error instanceof IntegrityError, String(error));
            assert.match(error.code, /^ERR_PAGEFERRY_(RECORD|TAG|SESSION)$/);
            return undefined;
          }),
        );
        seen[value === undefined ? 'refused' : 'imported'] += 1;
        if (value !== undefined) content.copy(expected, index * pages * PAGE_BYTES);
        assert.ok(rig.memory.read(0, rig.ramBytes).equals(expected), 'old or right, all of it');
        if (value?.outcome === 'imported') break;
        assert.ok(attempt < attempts, 'it comes in when nobody is in the way');
      }
      slot.buffer.set(record);
      assert.equal((await rig.mirror.importRecord(slot, record.length)).outcome, 'duplicate');
      assert.ok(rig.memory.read(0, rig.ramBytes).equals(expected));
    }
    slot.release();
    const counts = [epoch * records];
    const token = rig.forge.token({ counter: epoch, epoch, counts, blocks: rig.layout });
    assert.equal((await rig.mirror.checkToken(token)).outcome, 'accepted');
  }

  it('opens no wrong message', async function () {
    this.timeout(30_000);
    const rig = await Rig.open({ engine, role: 'destination' });
    try {
      await withSeed(async (random) => {
        const layout = windowLayout(1, RIG_WINDOW_BYTES);
        const slot = await rig.mirror.slots.acquire();
        const seen = { opened: 0, refused: 0 };
        const isOneSided = (): boolean => seen.opened === 0 || seen.refused === 0;
        for (let counter = 1; counter <= 60 || (isOneSided() && counter <= 900); counter += 1) {
          const plain = Buffer.from(random.bytes(1 + random.below(20_000)));
          const record = rig.forge.message({ kind: KIND_DEVICE_STATE, counter, plain });
          const flip = { offset: layout.messageInput, bytes: record.length };
          const parts = { flip, seed: random.word() };
          const { value } = await hostile.during(windowOf(slot), parts, () =>
            rig.mirror.openMessage(record).catch((error: unknown) => {
              assert.ok(error instanceof IntegrityError, String(error));
              return undefined;
            }),
          );
          seen[value === undefined ? 'refused' : 'opened'] += 1;
          const opened = value ?? (await rig.mirror.openMessage(record));
          assert.ok(opened.outcome === 'opened');
          assert.ok(plain.equals(opened.bytes));
        }
        assert.ok(seen.opened > 0 && seen.refused > 0, JSON.stringify(seen));
        slot.release();
      });
    } finally {
      await rig.close();
    }
  });

  for (const padBytes of [0, 4096]) {
    it(`shows no byte of a page while it seals, padding ${padBytes}`, async function () {
      this.timeout(30_000);
      const rig = await Rig.open({ engine, role: 'source', blockPages: [ramPages] });
      try {
        rig.memory.write(0, Buffer.alloc(rig.ramBytes, WATCHED));
        await withSeed(async (random) => {
          let looks = 0;
          for (let epoch = 1; epoch <= 40; epoch += 1) {
            const slot = await rig.mirror.slots.acquire();
            slot.buffer.fill(0);
            const pages = new (loadAddon().PageSet)(ramPages);
            pages.addRange(0, ramPages);
            const whole = partOf(slot, 0, slot.buffer.length);
            const flip = random.once(2) ? whole : partOf(slot, 0, 256);
            const parts = { flip, watch: partOf(slot, 0, 2 ** 19), seed: random.word() };
            const parameters = { epoch, codec: 'none', level: 0, padBytes } as const;
            const { value, deeds } = await hostile.during(windowOf(slot), parts, () =>
              rig.mirror.exportPages(pages, slot, parameters),
            );
            assert.ok(value !== undefined && value.bytes > rig.ramBytes);
            assert.equal(deeds.sightings, 0, 'no plaintext, not even for a moment');
            looks += deeds.looks;
            assertNothingOf(slot.buffer);
            slot.release();
            await rig.mirror.makeToken(epoch, false);
          }
          assert.ok(looks > 0);
        });
      } finally {
        await rig.close();
      }
    });
  }

  it('seals only pages it lists, whatever becomes of the request', async function () {
    this.timeout(30_000);
    const rig = await Rig.open({ engine, role: 'source', blockPages: [ramPages] });
    try {
      const ram = rig.memory.read(0, rig.ramBytes);
      await withSeed(async (random) => {
        const layout = windowLayout(1, RIG_WINDOW_BYTES);
        // Entries are taken from the end; alone, a command always gets the last.
        const flip = { offset: layout.list(0, RING_COMMANDS - 1), bytes: 8 * 8 };
        const seen = { sealed: 0, refused: 0 };
        for (let epoch = 1; epoch <= 60; epoch += 1) {
          const pages = new (loadAddon().PageSet)(ramPages);
          for (let run = 0; run < 8; run += 1) pages.addRange(run * 8, 1 + random.below(7));
          const slot = await rig.mirror.slots.acquire();
          const parameters = { epoch, codec: 'none', level: 0, padBytes: 0 } as const;
          const parts = { flip, seed: random.word() };
          const { value } = await hostile.during(windowOf(slot), parts, () =>
            rig.mirror.exportPages(pages, slot, parameters).catch((error: unknown) => {
              const code = (error as { code?: unknown }).code;
              assert.match(String(code), /^ERR_PAGEFERRY_HELPER_(ARGUMENT|BLOCK)$/);
              return undefined;
            }),
          );
          seen[value === undefined ? 'refused' : 'sealed'] += 1;
          if (value !== undefined) {
            const record = Buffer.from(slot.buffer.subarray(0, value.bytes));
            const { runs, content } = open(rig.peer, record);
            // Bit 63 of a run is the host's word that it is a hole: such a run carries nothing.
            const listed = runs
              .filter(({ zero }) => !zero)
              .map((run) => {
                const start = run.first * PAGE_BYTES;
                return ram.subarray(start, start + run.pages * PAGE_BYTES);
              });
            assert.ok(Buffer.concat(listed).equals(content));
          }
          slot.release();
          await rig.mirror.makeToken(epoch, false);
        }
        assert.ok(seen.sealed > 0, JSON.stringify(seen));
      });
    } finally {
      await rig.close();
    }
  });

  it('seals messages that open', async () => {
    const rig = await Rig.open({ engine, role: 'source' });
    try {
      await withSeed(async (random) => {
        const layout = windowLayout(1, RIG_WINDOW_BYTES);
        const slot = await rig.mirror.slots.acquire();
        for (let counter = 1; counter <= 40; counter += 1) {
          const plain = Buffer.alloc(1 + random.below(30_000), WATCHED);
          const parts = {
            flip: { offset: layout.messageInput, bytes: plain.length },
            watch: { offset: layout.messageOutput, bytes: plain.length },
            seed: random.word(),
          };
          const { value, deeds } = await hostile.during(windowOf(slot), parts, () =>
            rig.mirror.sealMessage('control', plain),
          );
          assert.equal(deeds.sightings, 0);
          const opened = open(rig.peer, Buffer.from(value.bytes));
          assert.equal(opened.header.kind, KIND_CONTROL);
          assert.equal(opened.header.counter, BigInt(counter));
          assert.equal(opened.content.length, plain.length);
        }
        slot.release();
      });
    } finally {
      await rig.close();
    }
  });
});
