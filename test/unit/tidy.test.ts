import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';

import { projectRoot } from '../support/project.js';

describe('the source tree', () => {
  it('keeps the house rules that scripts/tidy.mjs checks', () => {
    const tidy = spawnSync(process.execPath, ['scripts/tidy.mjs'], {
      cwd: projectRoot,
      encoding: 'utf8',
    });
    assert.equal(tidy.stderr, '');
    assert.equal(tidy.status, 0);
  });
});
