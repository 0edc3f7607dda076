/** Steering real processes: status, pause, resume, set, cancel; what each stall policy does. */
import { strict as assert } from 'node:assert';
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { EXIT } from '../../src/cli/exit-codes.js';
import { loadAddon } from '../../src/native/loader.js';
import type { MigrationReport, MigrationStatus } from '../../src/session/types.js';
import { cliFile, reportOf, type Cli } from '../support/cli.js';
import { expectExit, listeningAddress, withRig, type Rig } from '../support/cli-rig.js';
import { requireCapability } from '../support/require.js';

const guest = 'ram=64M&dirtyRate=2000';
/** Some 40 MB of records: enough time to steer, not enough to be bored. */
const slow = ['--codec', 'none', '--max-bandwidth', '8MB/s'];

interface Sides {
  readonly send: Cli;
  readonly receive: Cli;
}

async function startBoth(rig: Rig, query: string, ...options: string[]): Promise<Sides> {
  const receive = rig.receive('--listen', 'tcp://127.0.0.1:0', '--json');
  const address = await listeningAddress(receive);
  return { receive, send: rig.send(query, '--to', address, '--json', ...options) };
}

/** Runs one of the steering commands and reads what it shows. */
async function steer(rig: Rig, ...args: string[]): Promise<MigrationStatus> {
  const end = await rig.start([...args, '--json']).ended;
  expectExit(end, EXIT.completed);
  return JSON.parse(end.stdout) as MigrationStatus;
}

async function sourceReport({ receive, send }: Sides, exitCode: number): Promise<MigrationReport> {
  const [end] = await Promise.all([send.ended, receive.ended]);
  expectExit(end, exitCode);
  return reportOf(end);
}

for (const engine of ['kvm', 'in-process'] as const) {
  describe(`steering sessions on engine ${engine}`, () => {
    const machine = {
      name: `engine ${engine}`,
      file: cliFile,
      arguments: ['--engine', engine],
      guestParameters: `backend=${engine}`,
    };

    before(function () {
      if (engine === 'in-process') return;
      const { usable } = loadAddon().probe().kvm;
      requireCapability(this, 'a usable /dev/kvm', usable, { hardware: true });
    });

    it('shows, holds, lets go and speeds up a migration', () =>
      withRig(machine, async (rig) => {
        const sides = await startBoth(rig, guest, ...slow);
        const [, id = ''] = await sides.send.says(/session ([0-9a-f]{32}):/);
        await sides.send.says(/source: copying memory/);
        const run = join(rig.directory, 'pageferry');
        const socket = join(run, `source-${sides.send.process.pid}.sock`);
        assert.equal(statSync(socket).mode & 0o777, 0o600);
        const listed = await rig.start(['status', '--json']).ended;
        const all = listed.stdout.trimEnd().split('\n');
        const roles = all.map((line) => (JSON.parse(line) as MigrationStatus).role);
        assert.deepEqual(roles.sort(), ['destination', 'source']);

        const held = await steer(rig, 'pause', id.slice(0, 8));
        assert.equal(held.isPaused, true);
        assert.equal(held.outcome, 'running');
        assert.equal(held.settings?.maxBandwidthBytesPerSecond, 8e6);
        await sides.receive.says(/destination: held: nothing is copied/);
        const set = await steer(rig, 'set', id, '--max-bandwidth', 'off', '--downtime-limit', '2s');
        assert.equal(set.settings?.maxBandwidthBytesPerSecond, null);
        assert.equal(set.settings.downtimeLimitMs, 2000);
        assert.equal(set.isPaused, true);
        assert.equal((await steer(rig, 'resume', id)).isPaused, false);

        const report = await sourceReport(sides, EXIT.completed);
        assert.equal(report.outcome, 'completed');
        assert.equal(report.verified.ramDigestsEqual, true);
        assert.equal(report.convergence?.downtimeLimitMs, 2000);
        assert.equal(existsSync(run), false);
      }));

    it('cancels a migration; the guest stays', () =>
      withRig(machine, async (rig) => {
        const sides = await startBoth(rig, guest, ...slow);
        const [, id = ''] = await sides.send.says(/session ([0-9a-f]{32}):/);
        await steer(rig, 'cancel', id);
        const report = await sourceReport(sides, EXIT.aborted);
        assert.equal(report.guest.state, 'running');
        assert.equal(report.guest.selfCheck?.ok, true);
        const end = await rig.start(['pause', id]).ended;
        expectExit(end, EXIT.usage);
        assert.match(end.stderr, /ERR_PAGEFERRY_SESSION_NAME/);
      }));

    // 16 MiB are written three times a second, and carried six times: it never becomes less.
    const busy = 'ram=32M&workingSet=16M&dirtyRate=60000';
    const tight = ['--codec', 'none', '--max-bandwidth', '100MB/s', '--downtime-limit', '40'];

    it('slows a guest down that writes too fast', () =>
      withRig(machine, async (rig) => {
        const sides = await startBoth(rig, busy, ...tight, '--on-stall', 'throttle');
        const { convergence, verified } = await sourceReport(sides, EXIT.completed);
        assert.equal(convergence?.policy, 'throttle');
        assert.ok(convergence.throttlePercent >= 20);
        assert.equal(verified.ramDigestsEqual, true);
      }));

    it('stops it, or gives up, when told to', () =>
      withRig(machine, async (rig) => {
        const stopping = await startBoth(rig, busy, ...tight, '--on-stall', 'stop');
        const { convergence, downtimeMs } = await sourceReport(stopping, EXIT.completed);
        assert.deepEqual([convergence?.chosen, convergence?.reason], ['stop', 'stalled']);
        assert.ok((downtimeMs ?? 0) > 40);
        const ending = await startBoth(rig, busy, ...tight, '--on-stall', 'abort');
        const report = await sourceReport(ending, EXIT.aborted);
        assert.equal(report.error?.code, 'ERR_PAGEFERRY_NOT_CONVERGING');
        assert.equal(report.guest.selfCheck?.ok, true);
      }));

    it('keeps the downtime limit, as the guest itself measures it', function () {
      // Other work on the machine can stop a guest as well; it does not do so three times.
      this.retries(2);
      return withRig(machine, async (rig) => {
        const sides = await startBoth(rig, 'ram=768M&workingSet=512M&dirtyRate=5000');
        const { convergence, downtimeMs } = await sourceReport(sides, EXIT.completed);
        const { verified } = reportOf(await sides.receive.ended);
        const gapMs = verified.guestLongestGapMs ?? Infinity;
        assert.equal(convergence?.reason, 'fits');
        assert.ok(gapMs <= 300, `the guest stood still for ${gapMs} ms`);
        assert.ok(Math.abs(gapMs - (downtimeMs ?? 0)) <= 20, `${gapMs} ms, told ${downtimeMs} ms`);
      });
    });
  });
}
