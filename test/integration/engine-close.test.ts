import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as dial, createServer, type Socket } from 'node:net';
import { join } from 'node:path';

import { ConfigurationError, KvmError, MirrorError } from '../../src/errors.js';
import type { Slot } from '../../src/mirror/contract.js';
import { windowLayout } from '../../src/mirror/layout.js';
import { nativeError } from '../../src/mirror/native-errors.js';
import type { NativeMirror, NativeMirrorOptions } from '../../src/native/addon.js';
import { loadAddon, loadHelperImage } from '../../src/native/loader.js';
import { collectGarbage, resources } from '../support/engine/resources.js';
import { engines, mebibyte, memoryOf, open, requireEngine } from '../support/engine/rig.js';
import { withScratch } from '../support/scratch.js';

const marker = 'PLAINTEXT OF ANOTHER GUEST......';

/** Fills what has been unmapped, if anything has, with memory full of the marker. */
function fillAddressSpace(): { close(): void }[] {
  return Array.from({ length: 8 }, () => {
    const memory = memoryOf(8 * mebibyte);
    memory.write(0, Buffer.alloc(8 * mebibyte, marker));
    return memory;
  });
}

async function readAll(socket: Socket): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of socket) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}

for (const engine of engines) {
  describe(`the end of a mirror on ${engine}`, () => {
    const image = (): Buffer => loadHelperImage(false);

    before(function () {
      requireEngine(this, engine);
    });

    function create(more: Partial<NativeMirrorOptions> = {}): NativeMirror {
      const windowBytes = windowLayout(1, mebibyte).totalBytes;
      const sizes = { vcpus: 1, ringEntries: 256, windowBytes, ramLimitBytes: mebibyte };
      const helper = engine === 'kvm' ? { image: image() } : {};
      const options = { engine, ...sizes, stallTimeoutMs: 5000, ...helper, ...more };
      return new (loadAddon().Mirror)(options, () => undefined);
    }

    function refusal(more: Partial<NativeMirrorOptions>): unknown {
      try {
        create(more);
      } catch (error) {
        return nativeError(error, 'ERR_PAGEFERRY_MIRROR_OPTIONS');
      }
      return undefined;
    }

    it('leaves nothing of others in what a socket still writes from its window', async () => {
      await withScratch(async (directory) => {
        const server = createServer({ pauseOnConnect: true });
        server.listen(join(directory, 'socket'));
        await once(server, 'listening');
        const near = dial(join(directory, 'socket'));
        const [far] = (await once(server, 'connection')) as [Socket];
        const mirror = await open(engine);
        const slots: Slot[] = [];
        for (let slot = mirror.slots.tryAcquire(); slot; slot = mirror.slots.tryAcquire()) {
          slots.push(slot);
        }
        let bytes = 0;
        for (const { buffer } of slots) {
          buffer.fill(0x41);
          near.write(buffer);
          bytes += buffer.byteLength;
        }
        near.end();
        await mirror.close();
        const memories = fillAddressSpace();
        far.resume();
        const received = await readAll(far);
        server.close();
        for (const memory of memories) memory.close();
        assert.equal(received.byteLength, bytes);
        assert.ok(!received.includes(marker.slice(0, 16)));
        assert.ok(received.every((byte) => byte === 0 || byte === 0x41));
      });
    });

    it('empties its window, which carried the secret', async () => {
      const native = create();
      new Uint8Array(native.window).fill(1);
      await native.close();
      assert.ok(Buffer.from(native.window).equals(Buffer.alloc(native.window.byteLength)));
    });

    it('comes when nobody knows it any more', async () => {
      await collectGarbage();
      const before = resources();
      create();
      assert.ok(resources().mirrorThreads > before.mirrorThreads);
      await collectGarbage(before.windows);
      assert.deepEqual({ ...resources(), addressBytes: 0 }, { ...before, addressBytes: 0 });
    });

    it('follows at once where it cannot begin', async () => {
      const pieces: Partial<NativeMirrorOptions>[] = [
        { vcpus: 0 },
        { vcpus: 17 },
        { vcpus: 1.5 },
        { vcpus: NaN },
        { ringEntries: 3 },
        { ringEntries: 512 },
        { windowBytes: 4096 },
        { windowBytes: 2 ** 31 },
        { windowBytes: -1 },
        { windowBytes: 8193 },
        { ramLimitBytes: 0 },
        { ramLimitBytes: 2 ** 53 },
        { stallTimeoutMs: 0 },
        { aesVariant: 99 },
      ];
      await collectGarbage();
      const before = resources();
      for (const piece of pieces) {
        const error = refusal(piece);
        assert.ok(
          error instanceof ConfigurationError,
          `${JSON.stringify(piece)}: ${String(error)}`,
        );
      }
      for (const vcpus of ['2', 2n, {}, null] as unknown as number[]) {
        assert.ok(refusal({ vcpus }) instanceof ConfigurationError);
      }
      await collectGarbage(before.windows);
      assert.deepEqual({ ...resources(), addressBytes: 0 }, { ...before, addressBytes: 0 });
    });

    if (engine !== 'kvm') return;

    /** The image with a little-endian word of its header (native/abi/boot.h) replaced. */
    function patched(offset: number, word: number): Buffer {
      const copy = image();
      copy.writeUInt32LE(word, offset);
      return copy;
    }

    const magic = 0;
    const entry = 16;
    const vectors = 24;
    const vectorBytes = 28;
    const fileBytes = 48;
    const memoryBytes = 52;

    it('follows at once where its image is not usable', async () => {
      const images = {
        empty: Buffer.alloc(0),
        'cut short': image().subarray(0, 100_000),
        'other magic': patched(magic, 0),
        'an entry behind the file': patched(entry, 0x7fffffff),
        'vectors whose end wraps around': patched(vectors, 0xfffffff0),
        'long vectors': patched(vectorBytes, 0x80000000),
        'a file longer than it is': patched(fileBytes, 0x7ffff000),
        'endless memory': patched(memoryBytes, 0xfffff000),
      };
      await collectGarbage();
      const before = resources();
      for (const [what, bytes] of Object.entries(images)) {
        const error = refusal({ image: bytes });
        assert.ok(error instanceof ConfigurationError, `${what}: ${String(error)}`);
      }
      assert.deepEqual(resources().kvmFds, before.kvmFds);
    });

    it('follows at once where its helper faults at the first instruction', () => {
      const broken = image();
      broken.writeUInt16LE(0x0b0f, broken.readUInt32LE(entry)); // ud2
      const before = resources();
      const error = refusal({ image: broken });
      assert.ok(error instanceof MirrorError, String(error));
      assert.equal(error.code, 'ERR_PAGEFERRY_MIRROR_FAULT');
      assert.equal(error.vector, 6);
      assert.equal(resources().kvmFds, before.kvmFds);
      assert.equal(resources().mirrorThreads, before.mirrorThreads);
    });
  });
}

describe("the addon's errors", () => {
  it('keep system call and errno', () => {
    const thrown = Object.assign(new Error('cannot create a VM'), {
      code: 'ERR_PAGEFERRY_SYSTEM',
      syscall: 'KVM_CREATE_VM',
      errno: 24,
    });
    const error = nativeError(thrown, 'ERR_PAGEFERRY_MIRROR_OPTIONS');
    assert.ok(error instanceof KvmError);
    assert.deepEqual([error.operation, error.errno], ['KVM_CREATE_VM', 24]);
    assert.equal(error.cause, thrown);
  });
});
