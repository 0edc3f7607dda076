import assert from 'node:assert/strict';

import type { EngineName, Mirror } from '../../src/mirror/contract.js';
import { Child } from '../support/engine/children.js';
import { collectGarbage, type Resources, resources } from '../support/engine/resources.js';
import { engines, mebibyte, open, requireEngine } from '../support/engine/rig.js';

const cycles = 100;

/** What a mirror of two vCPUs on an engine has at least in private: its vCPUs' memory. */
const privateBytes = 2 * 16 * mebibyte;

function openCounts(mirrors: readonly Mirror[], engine: EngineName): Partial<Resources> {
  const n = mirrors.length;
  const isKvm = engine === 'kvm';
  return {
    kvmFds: isKvm ? n * 4 : 0, // /dev/kvm, the VM, two vCPUs
    mirrorThreads: n * 3, // two vCPUs and the watchdog
    vcpuMappings: isKvm ? n * 2 : 0,
  };
}

for (const engine of engines) {
  describe(`the resources of mirrors on ${engine}`, () => {
    before(function () {
      requireEngine(this, engine);
    });

    it('are seen by the counts: two open mirrors show as two', async () => {
      await collectGarbage();
      const before = resources();
      const mirrors = [await open(engine), await open(engine)];
      const during = resources();
      const expected = openCounts(mirrors, engine);
      assert.equal(during.kvmFds - before.kvmFds, expected.kvmFds);
      assert.equal(during.mirrorThreads - before.mirrorThreads, expected.mirrorThreads);
      assert.equal(during.vcpuMappings - before.vcpuMappings, expected.vcpuMappings);
      assert.equal(during.windows - before.windows, 2);
      // Two areas of huge and small pages may show as two mappings each.
      assert.ok(during.privateMappings - before.privateMappings >= 2);
      await Promise.all(mirrors.map((mirror) => mirror.close()));
      const after = resources();
      assert.equal(after.privateMappings, before.privateMappings);
      assert.equal(after.kvmFds, before.kvmFds);
    });

    it(`are the same after ${cycles} whole lives of mirrors`, async function () {
      this.timeout(240_000);
      // In a process of its own, where nothing else comes and goes.
      const child = new Child('lives', engine, String(cycles));
      const { before, after, during } = JSON.parse(await child.line()) as {
        before: Resources;
        after: Resources;
        during: number[];
      };
      assert.equal(await child.end(), 0);
      // fds of KVM, threads and private memory are gone as soon as close says so.
      assert.deepEqual(
        during,
        Array.from({ length: cycles }, () => 0),
      );
      const { addressBytes: grownTo, ...counts } = after;
      const { addressBytes: grownFrom, ...countsBefore } = before;
      assert.deepEqual(counts, countsBefore);
      const growth = grownTo - grownFrom;
      assert.ok(growth < privateBytes, `address space grew by ${growth} bytes`);
    });
  });
}
