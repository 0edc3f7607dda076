import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { projectRoot } from '../support/project.js';

const support = join(projectRoot, 'dist/test/support');

interface Outcome {
  readonly status: number | null;
  readonly output: string;
  readonly lastLine: string | undefined;
}

/** Runs mocha as `npm test` does, on a test file with this body. */
function runMocha(body: string, requireAll: boolean): Outcome {
  const scratch = mkdtempSync(join(projectRoot, 'dist/scratch-'));
  try {
    const file = join(scratch, 'sample.mjs');
    const importLine = `import { requireCapability } from '${support}/require.js';\n`;
    writeFileSync(file, importLine + body);
    const run = spawnSync(process.execPath, ['node_modules/mocha/bin/mocha.js', file], {
      cwd: projectRoot,
      encoding: 'utf8',
      env: { ...process.env, REQUIRE_ALL: requireAll ? '1' : '0' },
    });
    const output = run.stdout + run.stderr;
    return { status: run.status, output, lastLine: run.stdout.trimEnd().split('\n').at(-1) };
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

function suite(hook: string, options: string): string {
  return `describe('sample', () => {
    ${hook}(function () { requireCapability(this, 'a thing', false, ${options}); });
    it('first', () => {});
    it('second', () => {});
  });`;
}

describe('the test support', () => {
  for (const hook of ['before', 'beforeEach']) {
    it(`excuses missing hardware under REQUIRE_ALL=1 when skipped in ${hook}`, () => {
      const run = runMocha(suite(hook, '{ hardware: true }'), true);
      assert.equal(run.lastLine, '0 passed, 0 failed, 2 skipped');
      assert.match(run.output, /SKIPPED: sample second: needs a thing/);
      assert.equal(run.status, 0);
    });
  }

  it('skips what can be installed, and fails on it under REQUIRE_ALL=1', () => {
    const lenient = runMocha(suite('before', '{}'), false);
    assert.equal(lenient.lastLine, '0 passed, 0 failed, 2 skipped');
    assert.equal(lenient.status, 0);
    const strict = runMocha(suite('before', '{}'), true);
    assert.match(strict.output, /REQUIRE_ALL=1, and this is missing: a thing/);
    assert.notEqual(strict.status, 0);
  });

  it('fails under REQUIRE_ALL=1 on a skip without a reason', () => {
    const run = runMocha(`it('passes', () => {}); it('pending');`, true);
    assert.equal(run.lastLine, '1 passed, 1 failed, 0 skipped');
    assert.equal(run.status, 1);
  });

  it('fails when there are no tests', () => {
    assert.notEqual(runMocha('', false).status, 0);
  });

  it('fails when a test leaves a handle open', () => {
    const run = runMocha(`it('leaks', () => { setInterval(() => {}, 1000); });`, false);
    assert.match(run.output, /still open after the last test: .*Timeout/);
    assert.equal(run.lastLine, '1 passed, 1 failed, 0 skipped');
    assert.equal(run.status, 1);
  }).slow(14_000);
});
