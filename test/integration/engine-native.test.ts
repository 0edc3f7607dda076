import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { projectRoot } from '../support/project.js';
import { withScratch } from '../support/scratch.js';

const run = promisify(execFile);

describe("the engine's own tests in C++", () => {
  it('pass, plain and under the address and undefined-behaviour sanitizers', async function () {
    this.timeout(240_000);
    await withScratch(async (out) => {
      const target = ['-C', join(projectRoot, 'test/native'), 'check-engine', `OUT=${out}`];
      const { stdout } = await run('make', target, { maxBuffer: 64 << 20 });
      const counts = stdout.match(/^\d+ passed, \d+ failed, \d+ skipped$/gm) ?? [];
      assert.equal(counts.length, 2, stdout);
      for (const line of counts) assert.match(line, /^[1-9]\d* passed, 0 failed, 0 skipped$/);
    });
  });
});
