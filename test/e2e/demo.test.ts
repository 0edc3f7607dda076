/** The demo as people run it: sizes, dirty rates and peak memory, verified, on both engines. */
import { strict as assert } from 'node:assert';

import { EXIT } from '../../src/cli/exit-codes.js';
import { loadAddon } from '../../src/native/loader.js';
import type { MigrationReport } from '../../src/session/types.js';
import { reportOf, runCli } from '../support/cli.js';
import { expectExit } from '../support/cli-rig.js';
import { requireCapability } from '../support/require.js';

const MiB = 2 ** 20;
/** What a process may take beyond its guest's RAM. */
const overheadMost = 200 * MiB;

async function demo(...args: string[]): Promise<MigrationReport> {
  const end = await runCli(['demo', '--json', ...args], { patienceMs: 170_000 });
  expectExit(end, EXIT.completed);
  return reportOf(end);
}

function assertVerified(report: MigrationReport): void {
  const { ramDigestsEqual, guestSelfCheck, ticksBefore, ticksAfter } = report.verified;
  assert.equal(report.outcome, 'completed');
  assert.equal(ramDigestsEqual, true);
  assert.equal(guestSelfCheck, true);
  assert.ok(ticksBefore !== null && ticksAfter !== null && ticksAfter > ticksBefore);
}

function assertWithinMemory({ peakRssBytes, ramBytes }: MigrationReport): void {
  for (const [side, peak] of Object.entries(peakRssBytes)) {
    // Each maps guest RAM once, and touches most of it: less would be a wrong figure.
    assert.ok(peak !== null && peak > ramBytes / 2, `${side}: ${peak}`);
    const above = peak - ramBytes;
    assert.ok(above < overheadMost, `${side}: ${Math.round(above / MiB)} MiB above guest RAM`);
  }
}

for (const engine of ['kvm', 'in-process'] as const) {
  describe(`the demo on engine ${engine}`, function () {
    this.timeout(180_000);

    before(function () {
      if (engine === 'in-process') return;
      const { usable } = loadAddon().probe().kvm;
      requireCapability(this, 'a usable /dev/kvm', usable, { hardware: true });
    });

    it('migrates 512 MiB within its memory', async () => {
      const report = await demo('--engine', engine, '--ram', '512M');
      assertVerified(report);
      assert.deepEqual(report.engine, { source: engine, destination: engine });
      assertWithinMemory(report);
    });

    it('follows a guest that dirties 20,000 pages a second, in several rounds', async () => {
      const report = await demo('--engine', engine, '--ram', '512M', '--dirty-rate', '20000');
      assertVerified(report);
      assert.ok(report.rounds.length > 1, JSON.stringify(report.rounds));
      for (const [index, { pagesSent }] of report.rounds.entries()) {
        if (index > 0) assert.ok(pagesSent > 0, `round ${index + 1} sent nothing`);
      }
    });

    it('migrates 4 GiB within its memory', async () => {
      const report = await demo('--engine', engine, '--ram', '4G');
      assertVerified(report);
      assertWithinMemory(report);
    });
  });
}
