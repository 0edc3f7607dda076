/**
 * The demo over every transport, 512 MiB on the kvm engine, verified, and nothing left at the
 * broker. PAGEFERRY_DEMO_RUNS=10 makes ten consecutive runs of each, and prints their figures.
 */
import { strict as assert } from 'node:assert';

import { EXIT } from '../../src/cli/exit-codes.js';
import { loadAddon } from '../../src/native/loader.js';
import type { MigrationReport } from '../../src/session/types.js';
import { reportOf, runCli } from '../support/cli.js';
import { expectExit } from '../support/cli-rig.js';
import { RedisServer } from '../support/redis-server.js';
import { requireCapability } from '../support/require.js';

const runs = Number(process.env['PAGEFERRY_DEMO_RUNS'] ?? 1);

async function demo(transport: string): Promise<MigrationReport> {
  const args = ['demo', '--json', '--engine', 'kvm', '--ram', '512M', '--transport', transport];
  const end = await runCli(args);
  expectExit(end, EXIT.completed);
  return reportOf(end);
}

function assertVerified(report: MigrationReport, scheme: string): void {
  const { ramDigestsEqual, guestSelfCheck, ticksBefore, ticksAfter } = report.verified;
  assert.equal(report.outcome, 'completed');
  assert.equal(report.transport, scheme);
  assert.deepEqual(report.engine, { source: 'kvm', destination: 'kvm' });
  assert.equal(ramDigestsEqual, true);
  assert.equal(guestSelfCheck, true);
  assert.ok(ticksBefore !== null && ticksAfter !== null && ticksAfter > ticksBefore);
}

function figuresOf(report: MigrationReport): string {
  const rate = (report.throughputBytesPerSecond / 1e6).toFixed(0);
  const downtime = report.downtimeMs?.toFixed(0) ?? '?';
  return `${report.totalMs.toFixed(0)} ms, ${rate} MB/s, downtime ${downtime} ms`;
}

describe('the demo over each transport, engine kvm', function () {
  this.timeout(60_000 * Math.max(1, runs));

  before(function () {
    const { usable } = loadAddon().probe().kvm;
    requireCapability(this, 'a usable /dev/kvm', usable, { hardware: true });
  });

  async function migrates(scheme: string, transport = scheme): Promise<void> {
    for (let run = 1; run <= runs; run += 1) {
      const report = await demo(transport);
      assertVerified(report, scheme);
      if (runs > 1) console.error(`      ${scheme} ${run}: ${figuresOf(report)}`);
    }
  }

  for (const scheme of ['tcp', 'tls', 'unix', 'grpc']) {
    it(`completes verified over ${scheme}`, () => migrates(scheme));
  }

  it('completes verified over redis, and leaves nothing there', async () => {
    const server = await RedisServer.start();
    try {
      await migrates('redis', `redis://127.0.0.1:${server.port}`);
      assert.equal(await server.command('DBSIZE'), 0);
    } finally {
      await server.stop();
    }
  });
});
