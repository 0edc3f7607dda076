/**
 * A migration between two real processes through a network that misbehaves all the while. It has
 * two ends: completed and verified, or aborted with the source's guest running and checked. Other
 * transports, and the in-process engine: transport-faults.test.ts.
 */
import { strict as assert } from 'node:assert';

import { EXIT } from '../../src/cli/exit-codes.js';
import type { EngineName } from '../../src/mirror/contract.js';
import type { CliEnd } from '../support/cli.js';
import { cliFile, reportOf } from '../support/cli.js';
import { expectExit, listeningAddress, withRig } from '../support/cli-rig.js';
import { FaultProxy } from '../support/fault-proxy.js';
import type { Fault } from '../support/faults.js';
import { flips, laneCuts, latency, outage, stallAndHalfClose } from '../support/faults.js';
import { withSeed } from '../support/random.js';
import { requireCapability } from '../support/require.js';
import { loadParts } from '../support/session/real-world.js';

const MiB = 2 ** 20;

interface Trouble extends Fault {
  /** So that the migration lasts; default 6. */
  readonly rounds?: number;
  /** Pages the guest writes per second; default 4000. */
  readonly dirtyRate?: number;
}

const troubles: readonly Trouble[] = [
  { ...laneCuts, rounds: 40, dirtyRate: 200_000 },
  outage(80e6),
  latency,
  flips,
  stallAndHalfClose(80e6),
];

function assertCompleted(ends: readonly CliEnd[]): void {
  for (const end of ends) {
    expectExit(end, EXIT.completed);
    const { outcome, verified } = reportOf(end);
    assert.equal(outcome, 'completed');
    assert.equal(verified.ramDigestsEqual, true);
    assert.equal(verified.guestSelfCheck, true);
    assert.ok((verified.ticksAfter ?? 0) > (verified.ticksBefore ?? Infinity), end.stderr);
  }
}

function assertAborted([source, destination]: readonly [CliEnd, CliEnd]): void {
  expectExit(source, EXIT.aborted);
  const report = reportOf(source);
  assert.equal(report.guest.state, 'running');
  assert.equal(report.guest.selfCheck?.ok, true);
  assert.equal(reportOf(destination).guest.state, 'gone', destination.stderr);
}

async function migrateThrough(engine: EngineName, trouble: Trouble): Promise<void> {
  const machine = { name: engine, file: cliFile, arguments: [], guestParameters: '' };
  await withRig(machine, (rig) =>
    withSeed(async (random) => {
      const common = ['--json', '--key-file', rig.key, '--engine', engine, '--timeout', '20s'];
      const into = `demo:?backend=${engine}`;
      const listen = ['--listen', 'tcp://127.0.0.1:0'];
      const destination = rig.start(['receive', '--guest', into, ...listen, ...common]);
      const { port } = new URL(await listeningAddress(destination));
      const proxy = await FaultProxy.start(Number(port), trouble.faults, random);
      try {
        const load = `dirtyRate=${trouble.dirtyRate ?? 4000}&workingSet=64M`;
        const guest = `demo:?ram=256M&${load}&backend=${engine}`;
        const rounds = [
          '--codec',
          'none',
          '--downtime-limit',
          '1ms',
          '--max-epochs',
          `${trouble.rounds ?? 6}`,
        ];
        const to = ['--to', proxy.address, '--lanes', '3', ...rounds];
        const source = rig.start(['send', '--guest', guest, ...to, ...common]);
        const ends = await Promise.all([source.ended, destination.ended]);
        const counts = JSON.stringify(proxy.counts);
        if (process.env['PAGEFERRY_TEST_VERBOSE'] !== undefined) {
          console.error(`${counts}\n${ends[0].stderr}`);
        }
        assert.ok(trouble.happened(proxy.counts), `nothing happened: ${counts}`);
        assert.ok(proxy.counts.bytes > 150 * MiB);
        if (ends[0].exitCode === EXIT.completed) assertCompleted(ends);
        else assertAborted(ends);
      } finally {
        await proxy.close();
      }
    }),
  );
}

describe('a migration through a faulty network, engine kvm', function () {
  this.timeout(120_000);

  before(async function () {
    const parts = await loadParts();
    const hasKvm = parts.addon.probe().kvm.usable;
    requireCapability(this, 'a usable /dev/kvm', hasKvm, { hardware: true });
  });

  for (const trouble of troubles) {
    it(`ends well with ${trouble.name}`, () => migrateThrough('kvm', trouble));
  }
});
