import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';

import { IntegrityError } from '../../src/errors.js';
import type { RamBlock } from '../../src/guest/contract.js';
import type { CodecName, EngineName, Mirror } from '../../src/mirror/contract.js';
import { openMirror } from '../../src/mirror/mirror.js';
import type { NativeMemory } from '../../src/native/addon.js';
import { loadAddon } from '../../src/native/loader.js';
import { EPOCH_FIRST } from '../../src/wire/limits.js';
import { Forge } from '../support/peer/forge.js';
import { PeerHandshake, TO_DESTINATION } from '../support/peer/keys.js';
import { CODEC_LZ4, CODEC_NONE, open, ramDigest } from '../support/peer/records.js';
import { requireCapability } from '../support/require.js';

const pageBytes = 4096;
const ramPages = 512;
const ramBytes = ramPages * pageBytes;
const context = Buffer.from('independent peer');
const block = { id: 0, ramAddr: 0, bytes: ramBytes };

/** Three quarters text, some zero pages: compressible, but not everywhere. */
function someRam(): Buffer {
  const ram = Buffer.alloc(ramBytes, 'a line of text that a compressor likes\n');
  randomBytes(64 * pageBytes).copy(ram, 128 * pageBytes);
  ram.fill(0, 256 * pageBytes, 300 * pageBytes);
  return ram;
}

for (const engine of ['kvm', 'in-process'] as const) {
  describe(`the documented format against the helper on ${engine}`, () => {
    let mirror: Mirror;
    let memory: NativeMemory;
    let peer: PeerHandshake;

    before(function () {
      if (engine !== 'kvm') return;
      const { usable } = loadAddon().probe().kvm;
      requireCapability(this, 'a usable /dev/kvm', usable, { hardware: true });
    });

    beforeEach(async () => {
      const secret = randomBytes(32);
      mirror = await openTestMirror(engine);
      memory = loadAddon().Memory.create({ name: 'peer', bytes: ramBytes, hugePages: 'never' });
      peer = new PeerHandshake(secret, context);
      await mirror.setSecret(Buffer.from(secret));
      const ram: RamBlock = { ...block, name: 'ram', memory, memoryOffset: 0, blank: true };
      await mirror.setBlock(ram);
    });

    afterEach(async () => {
      await mirror.close();
      memory.close();
    });

    async function asSource(): Promise<void> {
      const second = peer.respond(Buffer.from(await mirror.handshakeInitiate(context)));
      peer.confirm(Buffer.from(await mirror.handshakeFinish(second)));
    }

    async function asDestination(): Promise<Forge> {
      const second = await mirror.handshakeRespond(context, peer.initiate());
      await mirror.handshakeConfirm(peer.finish(Buffer.from(second)));
      return new Forge(peer, TO_DESTINATION);
    }

    async function offer(record: Buffer): Promise<string> {
      const slot = await mirror.slots.acquire();
      try {
        slot.buffer.set(record);
        return (await mirror.importRecord(slot, record.length)).outcome;
      } finally {
        slot.release();
      }
    }

    for (const codec of ['none', 'lz4'] as CodecName[]) {
      for (const padBytes of [0, 16384]) {
        it(`seals what node:crypto opens: codec ${codec}, padding ${padBytes}`, async () => {
          const ram = someRam();
          memory.write(0, ram);
          await asSource();
          const received = Buffer.alloc(ramBytes, 0xee);
          const set = new (loadAddon().PageSet)(ramPages);
          set.addRange(0, ramPages);
          const parameters = { epoch: EPOCH_FIRST, codec, level: 0, padBytes };
          for (;;) {
            const slot = await mirror.slots.acquire();
            const exported = await mirror.exportPages(set, slot, parameters);
            if (exported === undefined) break;
            const opened = open(peer, Buffer.from(slot.buffer.subarray(0, exported.bytes)));
            slot.release();
            if (padBytes > 0) assert.equal(opened.header.sealedBytes % padBytes, 0);
            let at = 0;
            for (const run of opened.runs) {
              const bytes = run.pages * pageBytes;
              const target = received.subarray(
                run.first * pageBytes,
                run.first * pageBytes + bytes,
              );
              if (run.zero) target.fill(0);
              else at += opened.content.copy(target, 0, at, at + bytes);
            }
          }
          assert.ok(received.equals(ram));
        });
      }
    }

    for (const codec of [CODEC_NONE, CODEC_LZ4]) {
      it(`opens records that node:crypto sealed: codec number ${codec}`, async () => {
        const forge = await asDestination();
        const ram = someRam();
        const runs = [
          { first: 0, pages: 256, zero: false },
          { first: 256, pages: 44, zero: true },
        ];
        const content = ram.subarray(0, 256 * pageBytes);
        const first = { counter: 1, epoch: EPOCH_FIRST, runs, content, codec };
        assert.equal(await offer(forge.pages(first)), 'imported');
        const rest = { first: 300, pages: ramPages - 300, zero: false };
        const second = {
          counter: 2,
          epoch: EPOCH_FIRST,
          runs: [rest],
          content: ram.subarray(300 * pageBytes),
          padBytes: 4096,
        };
        assert.equal(await offer(forge.pages(second)), 'imported');
        assert.ok(memory.read(0, ramBytes).equals(ram));
      });
    }

    it('computes the digest that the document defines', async () => {
      const ram = someRam();
      memory.write(0, ram);
      await asSource();
      const ours: RamBlock = { ...block, name: 'ram', memory, memoryOffset: 0, blank: true };
      const digest = Buffer.from(await mirror.digest([ours]));
      assert.equal(digest.toString('hex'), ramDigest(peer, ram, [block]).toString('hex'));
    });

    it('refuses a small record with any one bit flipped, and writes nothing', async () => {
      const forge = await asDestination();
      const runs = [{ first: 3, pages: 1, zero: true }];
      const record = forge.pages({
        counter: 1,
        epoch: EPOCH_FIRST,
        runs,
        content: Buffer.alloc(0),
      });
      memory.write(3 * pageBytes, Buffer.alloc(pageBytes, 0x5a));
      for (let bit = 0; bit < record.length * 8; bit += 1) {
        const flipped = Buffer.from(record);
        flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        await assert.rejects(offer(flipped), IntegrityError, `bit ${bit}`);
      }
      assert.ok(memory.read(3 * pageBytes, pageBytes).every((byte) => byte === 0x5a));
      assert.equal(await offer(record), 'imported');
      assert.equal(await offer(record), 'duplicate');
    });

    it('refuses a start token before every page has come once', async () => {
      const forge = await asDestination();
      const runs = [{ first: 0, pages: ramPages - 1, zero: true }];
      const content = Buffer.alloc(0);
      await offer(forge.pages({ counter: 1, epoch: EPOCH_FIRST, runs, content }));
      const token = { counter: 1, epoch: EPOCH_FIRST, counts: [1], blocks: [block], start: true };
      await assert.rejects(mirror.checkToken(forge.token(token)), /INCOMPLETE/i);
    });

    it('ends the session at a page that comes twice in an epoch', async () => {
      const forge = await asDestination();
      const runs = [{ first: 5, pages: 1, zero: false }];
      const content = randomBytes(pageBytes);
      await offer(forge.pages({ counter: 1, epoch: EPOCH_FIRST, runs, content }));
      const again = { counter: 2, epoch: EPOCH_FIRST, runs, content: randomBytes(pageBytes) };
      await assert.rejects(offer(forge.pages(again)), IntegrityError);
      assert.ok(memory.read(5 * pageBytes, pageBytes).equals(content));
    });
  });
}

function openTestMirror(engine: EngineName): Promise<Mirror> {
  return openMirror({ engine, vcpus: 1, windowBytes: 4 * 1024 * 1024, ramLimitBytes: ramBytes });
}
