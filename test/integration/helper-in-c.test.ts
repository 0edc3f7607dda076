import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { projectRoot } from '../support/project.js';

const run = promisify(execFile);

describe("the helper's own tests in C", () => {
  it('pass, plain and under the address and undefined-behaviour sanitizers', async function () {
    this.timeout(240_000);
    const out = await mkdtemp(join(tmpdir(), 'pageferry-native-'));
    try {
      const makeArguments = ['-C', join(projectRoot, 'test/native'), 'check', `OUT=${out}`];
      const { stdout } = await run('make', makeArguments, { maxBuffer: 64 << 20 });
      const counts = stdout.match(/^\d+ passed, \d+ failed, \d+ skipped$/gm) ?? [];
      assert.ok(counts.length > 0, stdout);
      for (const line of counts) assert.match(line, /^[1-9]\d* passed, 0 failed, 0 skipped$/);
    } finally {
      await rm(out, { recursive: true });
    }
  });
});
