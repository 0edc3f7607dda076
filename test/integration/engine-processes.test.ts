/** Mirrors in processes of their own, which are stopped, ended and kept short of resources. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import type { EngineName } from '../../src/mirror/contract.js';
import { Child } from '../support/engine/children.js';
import { engines, requireEngine } from '../support/engine/rig.js';
import type { Resources } from '../support/engine/resources.js';

interface Attempts {
  readonly outcomes: readonly string[];
  readonly before: Resources;
  readonly after: Resources;
}

async function attempts(mode: string, engine: EngineName): Promise<readonly string[]> {
  const child = new Child(mode, engine);
  const { outcomes, before, after } = JSON.parse(await child.line()) as Attempts;
  assert.equal(await child.end(), 0);
  const { addressBytes, ...counts } = after;
  const { addressBytes: addressBytesBefore, ...countsBefore } = before;
  assert.deepEqual(counts, countsBefore);
  // One thread's stack and malloc's own: far below a mirror.
  assert.ok(addressBytes - addressBytesBefore < 32 << 20, `${addressBytes - addressBytesBefore}`);
  return outcomes;
}

for (const engine of engines) {
  describe(`a process with mirrors on ${engine}`, function () {
    this.timeout(60_000);

    before(function () {
      requireEngine(this, engine);
    });

    it('goes on after being stopped and continued in the midst of commands', async () => {
      const child = new Child('busy', engine);
      const stops = setInterval(() => {
        child.process.kill('SIGSTOP');
        setTimeout(() => child.process.kill('SIGCONT'), 5);
      }, 25);
      try {
        assert.deepEqual([await child.line(), await child.line()], ['busy', 'done']);
        assert.equal(await child.end(), 0);
      } finally {
        clearInterval(stops);
      }
    });

    for (const afterMs of [50, 200, 400]) {
      it(`exits ${afterMs} ms after its start, whatever its vCPUs do`, async () => {
        const child = new Child('exit', engine, String(afterMs));
        assert.equal(await child.end(), 3);
      });
    }

    it('outlives a worker that is terminated with commands in flight', async () => {
      const child = new Child('terminate', engine);
      const left: unknown = JSON.parse(await child.line());
      const nothing = { mirrorThreads: 0, kvmFds: 0, vcpuMappings: 0, privateMappings: 0 };
      assert.deepEqual(left, nothing);
      assert.equal(await child.end(), 0);
    });

    it('is told which system call failed for want of fds, and loses none', async () => {
      const outcomes = await attempts('fds', engine);
      const wanted =
        engine === 'kvm' ? ['open', 'KVM_CREATE_VM', 'KVM_CREATE_VCPU', 'KVM_CREATE_VCPU'] : [];
      const refusals = wanted.map((call) => `ERR_PAGEFERRY_SYSTEM/${call}`);
      assert.deepEqual(outcomes, [...refusals, 'made']);
    });

    it('is told that memory is short, step by step until it is enough', async () => {
      const outcomes = await attempts('memory', engine);
      assert.ok(outcomes.length > 2);
      for (const outcome of outcomes.slice(0, -1)) {
        assert.match(outcome, /^ERR_PAGEFERRY_SYSTEM\/(mmap|malloc|pthread_create|KVM_\w+)$/);
      }
    });

    it('gets a typed error when the file behind guest RAM gets shorter', async () => {
      const directory = await mkdtemp(join(tmpdir(), 'pageferry-engine-'));
      try {
        const path = join(directory, 'ram');
        await writeFile(path, '');
        const child = new Child('truncate', engine, path);
        const seen: unknown = JSON.parse(await child.line());
        const errno = 14; // EFAULT
        assert.deepEqual(seen, { code: 'ERR_PAGEFERRY_MIRROR_SYSTEM', errno, isDeath: true });
        assert.deepEqual(JSON.parse(await child.line()), { read: 'ERR_PAGEFERRY_SYSTEM', left: 0 });
        assert.equal(await child.end(), 0);
      } finally {
        await rm(directory, { recursive: true });
      }
    });

    if (engine !== 'kvm') return;
    it('does not count the time in which it was stopped as a stall', async () => {
      const child = new Child('endless', engine); // stalls after 2 s
      assert.equal(await child.line(), 'endless');
      child.process.kill('SIGSTOP');
      await delay(4500);
      const continued = performance.now();
      child.process.kill('SIGCONT');
      assert.equal(await child.line(), 'ERR_PAGEFERRY_MIRROR_STALL');
      assert.ok(performance.now() - continued > 500, 'the stop was taken for a stall');
      assert.equal(await child.end(), 0);
    });
  });
}
