import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';

import { ConfigurationError, HelperError, StateError } from '../../src/errors.js';
import type { RamBlock } from '../../src/guest/contract.js';
import type { Mirror } from '../../src/mirror/contract.js';
import type { NativeMemory } from '../../src/native/addon.js';
import { loadAddon } from '../../src/native/loader.js';
import {
  blockOf,
  carryEpoch,
  connect,
  engines,
  mebibyte,
  memoryOf,
  open,
  pageBytes,
  requireEngine,
} from '../support/engine/rig.js';

const ramBytes = 8 * mebibyte;
const half = ramBytes / 2;

for (const engine of engines) {
  describe(`RAM blocks of a living mirror on ${engine}`, () => {
    let source: Mirror;
    let destination: Mirror;
    let from: NativeMemory;
    let to: NativeMemory;

    before(function () {
      requireEngine(this, engine);
    });

    beforeEach(async () => {
      [source, destination] = [await open(engine), await open(engine)];
      [from, to] = [memoryOf(2 * ramBytes), memoryOf(2 * ramBytes)];
      from.write(0, randomBytes(2 * ramBytes));
      await connect(source, destination);
    });

    afterEach(async () => {
      await Promise.all([source.close(), destination.close()]);
      from.close();
      to.close();
    });

    type Change = Partial<RamBlock>;

    /** The same block on both sides. */
    async function setBoth(change: Change): Promise<void> {
      await source.setBlock(blockOf(from, change));
      await destination.setBlock(blockOf(to, { ...change, blank: true }));
    }

    /** Carries `changes` in `epoch` and compares RAM and digests. */
    async function carry(changes: readonly Change[], epoch: number): Promise<void> {
      const blocks = changes.map((change) => blockOf(from, change));
      await carryEpoch(source, destination, blocks, epoch);
      for (const { memoryOffset, bytes } of blocks) {
        assert.ok(to.read(memoryOffset, bytes).equals(from.read(memoryOffset, bytes)));
      }
      const others = changes.map((change) => blockOf(to, change));
      assert.deepEqual(await destination.digest(others), await source.digest(blocks));
    }

    function assertUntouched(offset: number, bytes: number): void {
      assert.ok(to.read(offset, bytes).equals(Buffer.alloc(bytes)));
    }

    it('can be added, with data right before and after', async () => {
      const first = { bytes: half };
      const second = { id: 5, ramAddr: 64 * mebibyte, memoryOffset: half, bytes: half };
      await setBoth(first);
      await carry([first], 1);
      assertUntouched(half, half);
      await setBoth(second);
      await carry([first, second], 2);
      assertUntouched(ramBytes, ramBytes);
    });

    it('can grow and shrink, with data right before and after', async () => {
      await setBoth({ bytes: half });
      await carry([{ bytes: half }], 1);
      await setBoth({ bytes: ramBytes });
      await carry([{ bytes: ramBytes }], 2);
      await setBoth({ bytes: pageBytes });
      from.write(0, randomBytes(ramBytes));
      await carry([{ bytes: pageBytes }], 3);
      const tail = ramBytes - pageBytes;
      assert.ok(!to.read(pageBytes, tail).equals(from.read(pageBytes, tail)));
      await setBoth({ bytes: ramBytes });
      await carry([{ bytes: ramBytes }], 4);
    });

    it('can be removed and come back, with other memory behind them', async () => {
      const second = { id: 63, ramAddr: ramBytes, memoryOffset: half, bytes: half };
      await setBoth({ bytes: half });
      await setBoth(second);
      await carry([{ bytes: half }, second], 1);
      await source.removeBlock(63);
      await destination.removeBlock(63);
      await carry([{ bytes: half }], 2);
      const elsewhere = { ...second, memoryOffset: ramBytes };
      await setBoth(elsewhere);
      await carry([{ bytes: half }, elsewhere], 3);
    });

    it('refuse to be exported once they are gone', async () => {
      await setBoth({ bytes: half });
      await source.removeBlock(0);
      await assert.rejects(carry([{ bytes: half }], 1), { code: 'ERR_PAGEFERRY_HELPER_BLOCK' });
      await setBoth({ bytes: half });
      await carry([{ bytes: half }], 1);
    });

    it('keep their memory while the mirror has them, whoever closes it', async () => {
      const [mine, theirs] = [memoryOf(half), memoryOf(half)];
      mine.write(0, randomBytes(half));
      const [block, other] = [blockOf(mine), blockOf(theirs, { blank: true })];
      const content = mine.read(0, half);
      await source.setBlock(block);
      await destination.setBlock(other);
      mine.close();
      await carryEpoch(source, destination, [block], 1);
      assert.ok(theirs.read(0, half).equals(content));
      theirs.close();
    });

    it('do not change in the midst of an epoch, and work on as they were', async () => {
      await setBoth({ bytes: half });
      const slot = await source.slots.acquire();
      const set = await onePage(source, slot, from);
      assert.equal(set, 0);
      slot.release();
      const open = { code: 'ERR_PAGEFERRY_HELPER_EPOCH_OPEN' };
      const fresh = { id: 1, ramAddr: ramBytes, bytes: half };
      for (const change of [{ bytes: ramBytes }, { bytes: pageBytes }, fresh]) {
        await assert.rejects(source.setBlock(blockOf(from, change)), open);
      }
      const another = memoryOf(ramBytes);
      await assert.rejects(source.setBlock(blockOf(another)), open);
      another.close();
      await assert.rejects(source.removeBlock(0), open);
      // All pages but the one that has been exported already, from the memory as it was.
      const rest = { ramAddr: pageBytes, memoryOffset: pageBytes, bytes: half - pageBytes };
      const token = carryEpoch(source, destination, [blockOf(from, rest)], 1);
      // Its first record was never carried, so the token comes too early: all else arrived.
      await assert.rejects(token, assert.AssertionError);
      assert.ok(to.read(pageBytes, rest.bytes).equals(from.read(pageBytes, rest.bytes)));
    });

    it('are changed only when commands under way have ended', async () => {
      await setBoth({ bytes: ramBytes });
      const block = blockOf(from, { bytes: ramBytes });
      const whole = await source.digest([block]);
      const digests = Array.from({ length: 4 }, () => source.digest([block]));
      const smaller = source.setBlock(blockOf(from, { bytes: half }));
      const ends = await Promise.allSettled(digests);
      await smaller;
      // A digest over a layout that changed is refused, never wrong and never a fault.
      for (const end of ends) {
        if (end.status === 'rejected') assert.ok(end.reason instanceof HelperError);
        else assert.deepEqual(end.value, whole);
      }
      assert.ok(await source.digest([blockOf(from, { bytes: half })]));
    });

    const wrong: Readonly<Record<string, Change>> = {
      'an id beyond the table': { id: 64 },
      'a negative id': { id: -1 },
      'an id that is no number': { id: NaN },
      'an address beyond 2^53': { ramAddr: 2 ** 60 },
      'a negative address': { ramAddr: -pageBytes },
      'an infinite size': { bytes: Infinity },
      'a size of nothing': { bytes: 0 },
      'half a page': { bytes: pageBytes / 2 },
      'a crooked address': { ramAddr: 1 },
      'a crooked offset': { memoryOffset: 7, bytes: pageBytes },
      'more than its memory': { bytes: 2 * ramBytes + pageBytes },
      'an offset behind its memory': { memoryOffset: 4 * ramBytes, bytes: pageBytes },
      'the last page below the limit, and one more': {
        ramAddr: 1024 * mebibyte - pageBytes,
        bytes: 2 * pageBytes,
      },
      'an address at the limit': { ramAddr: 1024 * mebibyte, bytes: pageBytes },
      'an overlap at the end of another': { ramAddr: half - pageBytes, bytes: ramBytes },
      'an overlap around another': { ramAddr: 0, bytes: ramBytes },
      'a move': { id: 1, ramAddr: ramBytes, bytes: pageBytes },
    };
    for (const [what, change] of Object.entries(wrong)) {
      it(`refuse ${what}, and stay as they were`, async () => {
        const second = { id: 1, ramAddr: half, memoryOffset: half, bytes: half };
        await setBoth({ bytes: half });
        await setBoth(second);
        const block = blockOf(from, { id: 2, bytes: pageBytes, ...change });
        await assert.rejects(source.setBlock(block), (error) => {
          assert.ok(error instanceof ConfigurationError, String(error));
          assert.equal(error.code, 'ERR_PAGEFERRY_RAM_BLOCK');
          return true;
        });
        await carry([{ bytes: half }, second], 1);
      });
    }

    it('refuse closed memory, unknown ids and a closed mirror', async () => {
      const closed = memoryOf(half);
      closed.close();
      const block = { ...blockOf(from), memory: closed, bytes: half };
      await assert.rejects(source.setBlock(block), { code: 'ERR_PAGEFERRY_RAM_BLOCK' });
      await assert.rejects(source.removeBlock(3), HelperError);
      await assert.rejects(source.removeBlock(64), HelperError);
      await source.close();
      await assert.rejects(source.setBlock(blockOf(from)), StateError);
      await assert.rejects(source.removeBlock(0), StateError);
    });
  });
}

/** Exports page 0 of `memory` alone; returns how many pages are left to export. */
async function onePage(
  mirror: Mirror,
  slot: Awaited<ReturnType<Mirror['slots']['acquire']>>,
  memory: NativeMemory,
): Promise<number> {
  const set = new (loadAddon().PageSet)(memory.bytes / pageBytes);
  set.addRange(0, 1);
  const parameters = { epoch: 1, codec: 'none', level: 0, padBytes: 0 } as const;
  assert.ok(await mirror.exportPages(set, slot, parameters));
  return set.count;
}
