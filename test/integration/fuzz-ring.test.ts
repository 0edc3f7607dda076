import assert from 'node:assert/strict';

import { MirrorError } from '../../src/errors.js';
import { RING_ENTRIES } from '../../src/limits.js';
import * as abi from '../../src/native/abi.generated.js';
import { onBothEngines } from '../support/peer/engines.js';
import { FUZZ_MS, oddNumber } from '../support/peer/fuzz.js';
import { GuardedRam } from '../support/peer/guarded-ram.js';
import { Hostile } from '../support/peer/hostile.js';
import { RawMirror, type RawDescriptor, type RawRing } from '../support/peer/raw-ring.js';
import { withSeed, type Random } from '../support/random.js';

const vcpus = 2;
/** Most descriptors point near the front of the buffers, so that they overlap and meet. */
const busyBytes = 64 * 1024;
const roundsPerMirror = 60;

/** A descriptor as a host should never write one, more or less. */
function oddDescriptor(random: Random, mirror: RawMirror): RawDescriptor {
  const { windowGpa, window } = mirror.native;
  const end = windowGpa + BigInt(window.byteLength);
  const buffers = vcpus * abi.PF_RING_STRIDE;
  let address = windowGpa + BigInt(buffers + random.below(busyBytes));
  let bytes = random.once(3) ? abi.PF_REQUEST_BYTES : random.below(8192);
  if (random.once(10)) address = windowGpa + BigInt(random.below(buffers));
  if (random.once(10)) address = end - BigInt(random.below(128));
  if (random.once(12)) address = BigInt.asUintN(64, oddNumber(random));
  if (random.once(10)) bytes = Number(oddNumber(random) & 0xffffffffn);
  const flags = random.once(16) ? random.below(65536) : random.below(4);
  const next = random.once(16) ? random.below(65536) : random.below(RING_ENTRIES);
  return { address, bytes, flags, next };
}

/** Requests that are almost right lie where descriptors point to. */
function oddRequests(random: Random, mirror: RawMirror): void {
  const start = vcpus * abi.PF_RING_STRIDE;
  for (let count = 0; count < 64; count += 1) {
    const at = start + 8 * random.below(busyBytes / 8);
    mirror.view.setUint32(at, random.below(18), true);
    mirror.view.setUint32(at + 4, random.once(4) ? random.word() : 0, true);
  }
}

function oddRound(random: Random, mirror: RawMirror, ring: RawRing): number[] {
  oddRequests(random, mirror);
  for (let index = 0; index < RING_ENTRIES; index += 1) {
    if (!random.once(3)) ring.setDescriptor(index, oddDescriptor(random, mirror));
  }
  const most = random.once(4) ? RING_ENTRIES : 8;
  return Array.from({ length: 1 + random.below(most) }, () =>
    random.once(16) ? random.below(65536) : random.below(RING_ENTRIES),
  );
}

/** HELLO in a sound chain, at the end of the window. */
async function greets(mirror: RawMirror, ring: RawRing): Promise<void> {
  const request = mirror.bytes.length - 4096;
  const gpa = (offset: number): bigint => mirror.native.windowGpa + BigInt(offset);
  mirror.bytes.fill(0, request, request + 64);
  mirror.view.setUint32(request, abi.PF_COMMAND_HELLO, true);
  const next = abi.PF_DESC_F_NEXT;
  const write = abi.PF_DESC_F_WRITE;
  ring.setDescriptor(0, { address: gpa(request), bytes: 64, flags: next, next: 1 });
  ring.setDescriptor(1, { address: gpa(request + 64), bytes: 64, flags: next | write, next: 2 });
  ring.setDescriptor(2, { address: gpa(request + 128), bytes: 128, flags: write, next: 0 });
  const [answer] = await ring.runChecked([0]);
  assert.deepEqual(answer, { id: 0, bytes: 64 + abi.PF_HELLO_BYTES });
  assert.equal(mirror.view.getUint32(request + 64, true), abi.PF_STATUS_OK);
}

onBothEngines('a ring full of nonsense', (engine) => {
  let ram: GuardedRam;

  beforeEach(() => {
    ram = new GuardedRam(64);
  });

  afterEach(() => {
    ram.close();
  });

  function open(): RawMirror {
    const mirror = new RawMirror({ engine, vcpus, ramLimitBytes: ram.bytes, stallTimeoutMs: 5000 });
    ram.mapInto(mirror.native);
    return mirror;
  }

  it('neither hangs nor kills the helper, which writes where it may and nowhere else', function () {
    this.timeout(60_000);
    return withSeed(async (random) => {
      const end = Date.now() + FUZZ_MS;
      let chains = 0;
      do {
        const mirror = open();
        try {
          const rings = [mirror.ring(0), mirror.ring(1)];
          for (let round = 0; round < roundsPerMirror; round += 1) {
            const ring = random.pick(rings);
            const heads = oddRound(random, mirror, ring);
            const used = await ring.runChecked(heads);
            for (const { bytes } of used) assert.ok(bytes === 0 || bytes >= 64);
            chains += heads.length;
          }
          for (const ring of rings) await greets(mirror, ring);
        } finally {
          await mirror.close();
        }
        ram.assertUntouched();
      } while (Date.now() < end);
      assert.ok(chains > 1000, `${chains} chains`);
    });
  });

  it('is given up, visibly and for good, when avail.idx jumps, and no other ring with it', () =>
    withSeed(async (random) => {
      for (const jump of [RING_ENTRIES + 1, 0x8000, 0xffff, 300 + random.below(65000)]) {
        const mirror = open();
        try {
          const [first, second] = [mirror.ring(0), mirror.ring(1)];
          await greets(mirror, first);
          await greets(mirror, second);
          second.setAvailIndex(second.issued + jump);
          await mirror.run(1);
          assert.equal(second.usedFlags, 0x8000, 'PF_USED_F_BROKEN');
          assert.equal(second.usedIndex, second.issued);
          second.offer([0]);
          await mirror.run(1);
          assert.equal(second.usedIndex, second.issued - 1, 'it is served no more');
          await greets(mirror, first);
        } finally {
          await mirror.close();
        }
      }
      ram.assertUntouched();
    }));

  it('neither hangs nor kills the helper when a thread keeps changing it', function () {
    this.timeout(60_000);
    return withSeed(async (random) => {
      const hostile = await Hostile.load();
      const end = Date.now() + FUZZ_MS / 2;
      do {
        const mirror = open();
        try {
          const ring = mirror.ring(0);
          const flip = { offset: 0, bytes: vcpus * abi.PF_RING_STRIDE + busyBytes };
          const { native } = mirror;
          await hostile.during(native.window, { flip, seed: random.word() }, async () => {
            for (let round = 0; round < 20; round += 1) {
              ring.offer(oddRound(random, mirror, ring));
              await mirror.run(0);
            }
          });
          await mirror.run(0);
        } catch (error) {
          // A block added by chance has no memory behind it.
          assert.ok(error instanceof MirrorError, String(error));
          assert.match(error.code, /^ERR_PAGEFERRY_MIRROR_(EXIT|FAULT)$/);
        } finally {
          await mirror.close();
        }
        ram.assertUntouched();
      } while (Date.now() < end);
    });
  });
});
