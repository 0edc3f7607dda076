import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';

import { IntegrityError, StateError } from '../../src/errors.js';
import type { RamBlock } from '../../src/guest/contract.js';
import type { CodecName, EngineName, Mirror } from '../../src/mirror/contract.js';
import { openMirror } from '../../src/mirror/mirror.js';
import type { NativeMemory } from '../../src/native/addon.js';
import { loadAddon } from '../../src/native/loader.js';
import { EPOCH_FIRST } from '../../src/wire/limits.js';
import { requireCapability } from '../support/require.js';

const ramBytes = 8 * 1024 * 1024;
const pageBytes = 4096;
const pages = ramBytes / pageBytes;
const context = Buffer.from('mirror test');

function open(engine: EngineName): Promise<Mirror> {
  const windowBytes = 4 * 1024 * 1024;
  return openMirror({ engine, vcpus: 2, windowBytes, ramLimitBytes: ramBytes });
}

function memoryOf(name: string): NativeMemory {
  return loadAddon().Memory.create({ name, bytes: ramBytes, hugePages: 'never' });
}

function blockOf(memory: NativeMemory, blank: boolean): RamBlock {
  return { id: 0, name: 'ram', ramAddr: 0, bytes: ramBytes, memory, memoryOffset: 0, blank };
}

async function shake(source: Mirror, destination: Mirror): Promise<void> {
  const first = await source.handshakeInitiate(context);
  const second = await destination.handshakeRespond(context, first);
  await destination.handshakeConfirm(await source.handshakeFinish(second));
}

/** Carries all RAM from one mirror to the other; returns how many records it took. */
async function carry(source: Mirror, destination: Mirror, codec: CodecName): Promise<number> {
  const set = new (loadAddon().PageSet)(pages);
  set.addRange(0, pages);
  for (let records = 0; ; records += 1) {
    const slot = await source.slots.acquire();
    const target = await destination.slots.acquire();
    try {
      const parameters = { epoch: EPOCH_FIRST, codec, level: 0, padBytes: 0 };
      const exported = await source.exportPages(set, slot, parameters);
      if (exported === undefined) return records;
      target.buffer.set(slot.buffer.subarray(0, exported.bytes));
      const imported = await destination.importRecord(target, exported.bytes);
      assert.equal(imported.outcome, 'imported');
      assert.equal(imported.stream, exported.stream);
      assert.equal(imported.counter, exported.counter);
      assert.equal(imported.dataPages, exported.dataPages);
      const again = await destination.importRecord(target, exported.bytes);
      assert.equal(again.outcome, 'duplicate');
    } finally {
      slot.release();
      target.release();
    }
  }
}

for (const engine of ['kvm', 'in-process'] as const) {
  describe(`mirror on ${engine}`, () => {
    let source: Mirror;
    let destination: Mirror;

    before(function () {
      if (engine !== 'kvm') return;
      const { usable } = loadAddon().probe().kvm;
      requireCapability(this, 'a usable /dev/kvm', usable, { hardware: true });
    });

    beforeEach(async () => {
      source = await open(engine);
      destination = await open(engine);
    });

    afterEach(async () => {
      await Promise.all([source.close(), destination.close()]);
    });

    async function secrets(first: Uint8Array, second: Uint8Array): Promise<void> {
      await source.setSecret(first);
      await destination.setSecret(second);
    }

    it('agrees on a session and carries messages in order', async () => {
      const secret = randomBytes(32);
      await secrets(secret, secret);
      assert.throws(() => source.sessionId, StateError);
      await shake(source, destination);
      assert.deepEqual(source.sessionId, destination.sessionId);
      const text = Buffer.from('hello');
      const first = await source.sealMessage('control', text);
      const second = await source.sealMessage('control', text);
      assert.equal((await destination.openMessage(second.bytes)).outcome, 'early');
      const opened = await destination.openMessage(first.bytes);
      assert.ok(opened.outcome === 'opened');
      assert.deepEqual(Buffer.from(opened.bytes), text);
      assert.equal((await destination.openMessage(first.bytes)).outcome, 'duplicate');
      const changed = Buffer.from(second.bytes);
      changed[changed.length - 1]! ^= 1;
      await assert.rejects(destination.openMessage(changed), { status: 33 });
    });

    it('tells a wrong secret', async () => {
      await secrets(randomBytes(32), randomBytes(32));
      await assert.rejects(shake(source, destination), (error) => {
        assert.ok(error instanceof IntegrityError);
        assert.equal(error.code, 'ERR_PAGEFERRY_SECRET');
        return true;
      });
    });

    for (const codec of ['none', 'lz4', 'zstd'] as const) {
      it(`carries RAM with codec ${codec} to an equal digest`, async () => {
        const [from, to] = [memoryOf('from'), memoryOf('to')];
        try {
          const content = Buffer.concat([
            randomBytes(ramBytes / 4),
            Buffer.alloc(ramBytes / 4, 'text '),
          ]);
          from.write(pageBytes * 3, content);
          await source.setBlock(blockOf(from, false));
          await destination.setBlock(blockOf(to, true));
          const secret = randomBytes(32);
          await secrets(secret, secret);
          await shake(source, destination);
          assert.ok((await carry(source, destination, codec)) > 0);
          const token = await source.makeToken(EPOCH_FIRST, true);
          const checked = await destination.checkToken(token.bytes);
          assert.deepEqual(checked, { outcome: 'accepted', epoch: EPOCH_FIRST, start: true });
          assert.ok(to.read(0, ramBytes).equals(from.read(0, ramBytes)));
          const digest = await source.digest([blockOf(from, false)]);
          assert.deepEqual(await destination.digest([blockOf(to, true)]), digest);
          to.write(pageBytes * 5, Buffer.from('x'));
          assert.notDeepEqual(await destination.digest([blockOf(to, true)]), digest);
        } finally {
          await Promise.all([source.close(), destination.close()]);
          from.close();
          to.close();
        }
      });
    }

    it('starts over after a reset', async () => {
      await source.setSecret(randomBytes(32));
      await source.reset();
      await source.setSecret(randomBytes(32));
    });

    it('rejects what is pending when it is closed, and closes twice', async () => {
      const pending = assert.rejects(source.setSecret(randomBytes(32)), StateError);
      await Promise.all([source.close(), source.close()]);
      await pending;
      await assert.rejects(source.slots.acquire(), StateError);
      await assert.rejects(source.reset(), StateError);
    });
  });
}
