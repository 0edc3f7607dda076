import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';

import type { CodecName } from '../../src/mirror/contract.js';
import type { NativeMemory } from '../../src/native/addon.js';
import { loadAddon } from '../../src/native/loader.js';
import type { Lane } from '../../src/transport/contract.js';
import { onBothEngines } from '../support/peer/engines.js';
import { MARKER, markedRam } from '../support/peer/guest-text.js';
import { LeakScanner } from '../support/peer/leak-scanner.js';
import { PAGE_BYTES, lz4Compress } from '../support/peer/records.js';
import { Rig } from '../support/peer/rig.js';
import { Random, withSeed } from '../support/random.js';
import { LaneTap, kindOf } from '../support/session/lane-tap.js';
import { assertCompleted, dispose, finish, startPair } from '../support/session/pair.js';
import { loadParts, realWorld } from '../support/session/real-world.js';

const codecs: readonly CodecName[] = ['none', 'lz4', 'zstd'];

describe('the scanner for guest memory', () => {
  const pages = 64;

  it('finds 16 bytes of it planted at any offset, and no 15', () =>
    withSeed((random) => {
      const ram = markedRam(random, pages);
      const scanner = new LeakScanner(ram);
      for (let round = 0; round < 200; round += 1) {
        const wire = Buffer.from(random.bytes(512));
        assert.equal(scanner.find(wire), undefined, 'random bytes hold none');
        const from = random.below(ram.length - 16);
        const to = random.below(wire.length - 16);
        ram.copy(wire, to, from, from + 16);
        assert.ok(scanner.find(wire) !== undefined, `${from} at ${to}`);
        wire[to + 15] = 0x80 | random.below(128);
        if (to > 0) wire[to - 1] = 0x80 | random.below(128);
        assert.equal(scanner.find(wire), undefined, `15 of ${from} at ${to}`);
      }
    }));

  it('finds memory in a page as it is and in a compressed one', () =>
    withSeed((random) => {
      const ram = markedRam(random, pages);
      const scanner = new LeakScanner(ram);
      const noise = Buffer.from(random.bytes(9999));
      for (const page of [0, 1, 30, 31]) {
        const content = ram.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES);
        assert.ok(scanner.find(Buffer.concat([noise, content])) !== undefined);
        const packed = lz4Compress(content);
        assert.ok(scanner.find(Buffer.concat([noise, packed, noise])) !== undefined);
      }
    }));

  it('does not take a repeated byte for memory', () => {
    const scanner = new LeakScanner(Buffer.alloc(PAGE_BYTES, 'zzzz'));
    assert.equal(scanner.find(Buffer.alloc(64, 'z')), undefined);
  });
});

onBothEngines('what leaves a mirror whose RAM is marker and text', (engine) => {
  const pages = 512;
  let rig: Rig;

  beforeEach(async () => {
    rig = await Rig.open({ engine, role: 'source', blockPages: [pages], vcpus: 2 });
  });

  afterEach(() => rig.close());

  /** All records of RAM, a token, and messages of every kind that carry RAM. */
  async function everythingOut(codec: CodecName, padBytes: number, ram: Buffer): Promise<Buffer> {
    const out: Uint8Array[] = [];
    const set = new (loadAddon().PageSet)(pages);
    set.addRange(0, pages);
    for (;;) {
      const slot = await rig.mirror.slots.acquire();
      slot.buffer.fill(0);
      const parameters = { epoch: 1, codec, level: 0, padBytes };
      const exported = await rig.mirror.exportPages(set, slot, parameters);
      // The whole slot: nothing may be left behind the record either.
      out.push(Uint8Array.from(slot.buffer));
      slot.release();
      if (exported === undefined) break;
    }
    out.push((await rig.mirror.makeToken(1, false)).bytes);
    for (const kind of ['control', 'device-state', 'lane'] as const) {
      out.push((await rig.mirror.sealMessage(kind, ram.subarray(0, 100_001))).bytes);
    }
    return Buffer.concat(out);
  }

  for (const codec of codecs) {
    for (const padBytes of [0, 16384]) {
      it(`holds no 16 bytes of it: codec ${codec}, padding ${padBytes}`, () =>
        withSeed(async (random) => {
          const ram = markedRam(random, pages);
          rig.memory.write(0, ram);
          const out = await everythingOut(codec, padBytes, ram);
          assert.ok(out.length > 300_000);
          const scanner = new LeakScanner(ram);
          assert.deepEqual(scanner.find(out), undefined);
          const planted = random.below(ram.length - 16);
          ram.copy(out, random.below(out.length - 16), planted, planted + 16);
          assert.ok(scanner.find(out) !== undefined, 'what was planted is found');
        }));
    }
  }
});

onBothEngines('what crosses the lanes of a running guest full of', (engine) => {
  for (const content of ['marker', 'text']) {
    for (const codec of codecs) {
      it(`${content} holds no 16 bytes of its memory: codec ${codec}`, async () => {
        const parts = await loadParts();
        const wire: Buffer[] = [];
        const record = (_: string, lane: Lane): Lane =>
          new LaneTap(lane, (_tap, frame) => {
            wire.push(frame);
            return true;
          });
        const query = `ram=8M&fill=100%25&dirtyRate=2000&content=${content}&seed=77`;
        const pair = await startPair({
          world: realWorld(parts, engine, query),
          engine,
          address: 'tcp://127.0.0.1:0',
          tap: record,
          source: { codec },
        });
        try {
          const outcome = await finish(pair);
          assertCompleted(pair, outcome);
          const memory = pair.source.guest!.blocks[0]!.memory;
          checkWire(wire, memory, content);
          assert.equal(outcome.source.codec, codec);
        } finally {
          await dispose(pair);
        }
      });
    }
  }
});

/** The guest at the source is paused, so its memory is what has crossed. */
function checkWire(wire: readonly Buffer[], memory: NativeMemory, content: string): void {
  const ram = memory.read(0, memory.bytes);
  const known = content === 'marker' ? 'PAGEFERRY-MARKER' : 'harbour ';
  assert.ok(ram.includes(known.repeat(content === 'marker' ? 20 : 1)), 'the guest is full of it');
  const kinds = new Set(wire.map(kindOf));
  for (const kind of [0, 1, 2, 3, 4, 5]) assert.ok(kinds.has(kind), `frames of kind ${kind}`);
  const all = Buffer.concat(wire);
  const scanner = new LeakScanner(ram, { ignoresSmallNumbers: true });
  assert.deepEqual(scanner.find(all), undefined);
  assert.equal(all.includes(MARKER.slice(0, 16)), false);
  const random = new Random(randomBytes(4).readUInt32LE());
  ram.copy(all, random.below(all.length - 16), 5 * 2 ** 20 + 64, 5 * 2 ** 20 + 80);
  assert.ok(scanner.find(all) !== undefined, 'what was planted is found');
}
