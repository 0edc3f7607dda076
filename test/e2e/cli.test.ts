import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';

import type { Diagnosis } from '../../src/cli/doctor/checks.js';
import { cliFile } from '../support/cli.js';
import { describeCommandLine } from '../support/cli-suite.js';
import { requireCapability } from '../support/require.js';

function askDoctor(): Diagnosis {
  const args = [cliFile, 'doctor', '--json'];
  const ran = spawnSync(process.execPath, args, { encoding: 'utf8' });
  return JSON.parse(ran.stdout) as Diagnosis;
}

describe('pageferry doctor', () => {
  it('finds an engine here, and says so in its exit code', () => {
    const ran = spawnSync(process.execPath, [cliFile, 'doctor'], { encoding: 'utf8' });
    assert.equal(ran.status, 0, ran.stdout);
    assert.match(ran.stdout, /Everything that is required works, engine auto takes/);
  });
});

for (const engine of ['kvm', 'in-process'] as const) {
  describe(`engine ${engine}`, () => {
    before(function () {
      if (engine === 'in-process') return;
      requireCapability(this, 'a usable /dev/kvm', askDoctor().engines.kvm, { hardware: true });
    });
    describeCommandLine({
      name: `engine ${engine}`,
      file: cliFile,
      arguments: ['--engine', engine],
      guestParameters: `backend=${engine}`,
    });
  });
}
