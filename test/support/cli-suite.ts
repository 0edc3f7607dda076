/**
 * What `demo`, `send` and `receive` have to do with any mirror and guest. Run on stand-ins in
 * test/integration, on the real ones in test/e2e.
 */
import { strict as assert } from 'node:assert';
import { chmodSync, copyFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { EXIT } from '../../src/cli/exit-codes.js';
import { generateKeyFile } from '../../src/keys/index.js';
import type { MigrationReport } from '../../src/session/types.js';
import { reportOf, type Cli, type CliEnd } from './cli.js';
import { expectExit, listeningAddress, withRig, type CliMachine, type Rig } from './cli-rig.js';

const anyPort = ['--listen', 'tcp://127.0.0.1:0'];
/** A guest that writes faster than a downtime of 1 ms allows: its migration goes on and on. */
const busyGuest = 'ram=32M&dirtyRate=50000';
const endless = ['--downtime-limit', '1', '--max-epochs', '100000'];

function assertVerified(report: MigrationReport): void {
  const { verified } = report;
  assert.equal(report.outcome, 'completed');
  assert.equal(verified.ramDigestsEqual, true);
  assert.equal(verified.guestSelfCheck, true);
  assert.ok((verified.ticksAfter ?? 0) > (verified.ticksBefore ?? Infinity), 'ticks go on');
}

/** The source's guest was not given up, and proved it. */
function assertRunsAtSource(end: CliEnd): void {
  const report = reportOf(end);
  assert.notEqual(report.outcome, 'completed');
  assert.equal(report.guest.state, 'running');
  assert.equal(report.guest.selfCheck?.ok, true);
  const { ticksAfter, ticksBefore } = report.verified;
  assert.ok((ticksAfter ?? 0) > (ticksBefore ?? Infinity));
  assert.match(end.stderr, /the guest goes on running here: ticks [\d,]+ to [\d,]+, self-check/);
}

/** An address that is free now; nobody listens there yet. */
async function freeAddress(rig: Rig): Promise<string> {
  const probe = rig.receive(...anyPort);
  const address = await listeningAddress(probe);
  probe.kill('SIGTERM');
  expectExit(await probe.ended, EXIT.aborted);
  return address;
}

/** A peer that is gone for good is waited for this long, not for the default of half a minute. */
const givesUpSoon = ['--reconnect-timeout', '2000'];

/** Starts both sides of a migration that does not end by itself, and waits for its rounds. */
async function startEndless(rig: Rig, ...options: string[]): Promise<{ send: Cli; receive: Cli }> {
  const receive = rig.receive(...anyPort, '--json', ...options);
  const address = await listeningAddress(receive);
  const send = rig.send(busyGuest, '--to', address, '--json', ...endless, ...options);
  await send.says(/round 1: /);
  return { send, receive };
}

function describeDemo(machine: CliMachine): void {
  it('migrates the demo and verifies it', () =>
    withRig(machine, async (rig) => {
      const end = await rig.demo('--ram', '32M', '--json').ended;
      expectExit(end, EXIT.completed);
      const report = reportOf(end);
      assertVerified(report);
      assert.equal(report.ramBytes, 32 * 2 ** 20);
      assert.ok(report.rounds.length > 0);
      assert.ok((report.peakRssBytes.source ?? 0) > 0);
      assert.ok((report.peakRssBytes.destination ?? 0) > 0);
      assert.match(end.stderr, /✓ migrated and verified/);
    }));

  it('says that nothing was compared with --no-verify', () =>
    withRig(machine, async (rig) => {
      const end = await rig.demo('--ram', '16M', '--no-verify', '--json').ended;
      expectExit(end, EXIT.completed);
      assert.equal(reportOf(end).verified.ramDigestsEqual, null);
      assert.match(end.stderr, /memory not compared/);
    }));

  it('ends the demo in mid-migration at Ctrl-C', () =>
    withRig(machine, async (rig) => {
      const demo = rig.demo('--ram', '32M', '--dirty-rate', '50000', '--json', ...endless);
      await demo.says(/round 1: /);
      demo.kill('SIGINT');
      const end = await demo.ended;
      expectExit(end, EXIT.aborted);
      assert.equal(reportOf(end).outcome, 'aborted');
      assert.equal(reportOf(end).guest.role, 'source');
    }));
}

function describeDialing(machine: CliMachine): void {
  it('migrates where the destination listens', () =>
    withRig(machine, async (rig) => {
      const receive = rig.receive(...anyPort, '--json');
      const send = rig.send('ram=16M', '--to', await listeningAddress(receive), '--json');
      const ends = await Promise.all([send.ended, receive.ended]);
      for (const end of ends) {
        expectExit(end, EXIT.completed);
        assertVerified(reportOf(end));
      }
      const files = readdirSync(join(rig.state, 'pageferry', 'sessions'));
      const { sessionId } = reportOf(ends[0]);
      for (const role of ['source', 'destination']) {
        assert.ok(files.includes(`${sessionId}.${role}.decision.json`), files.join());
      }
    }));

  it('migrates where the source listens', () =>
    withRig(machine, async (rig) => {
      const send = rig.send('ram=16M', ...anyPort, '--json');
      const receive = rig.receive('--from', await listeningAddress(send), '--json');
      for (const end of await Promise.all([send.ended, receive.ended])) {
        expectExit(end, EXIT.completed);
        assertVerified(reportOf(end));
      }
    }));

  it('migrates where the side that dials was there first, whichever it is', () =>
    withRig(machine, async (rig) => {
      for (const first of ['send', 'receive'] as const) {
        const address = await freeAddress(rig);
        const to = (side: 'send' | 'receive', ...rest: string[]): Cli =>
          side === 'send' ? rig.send('ram=16M', ...rest) : rig.receive(...rest);
        const dialing = to(first, first === 'send' ? '--to' : '--from', address);
        await dialing.says(/waiting for the other side/);
        const listening = to(first === 'send' ? 'receive' : 'send', '--listen', address);
        for (const end of await Promise.all([dialing.ended, listening.ended])) {
          expectExit(end, EXIT.completed);
        }
      }
    }));
}

function describeKeys(machine: CliMachine): void {
  it('refuses a source with another key, whose guest runs on, and takes the rightful one', () =>
    withRig(machine, async (rig) => {
      const other = join(rig.directory, 'other.key');
      await generateKeyFile(other);
      const receive = rig.receive(...anyPort, '--json');
      const address = await listeningAddress(receive);
      const stranger = rig.send('ram=16M', '--to', address, '--json', '--key-file', other);
      const refused = await stranger.ended;
      expectExit(refused, EXIT.refused);
      assert.equal(reportOf(refused).error?.code, 'ERR_PAGEFERRY_SECRET');
      assertRunsAtSource(refused);
      await receive.says(/refused .*ERR_PAGEFERRY_SECRET/);
      const send = rig.send('ram=16M', '--to', address, '--json');
      for (const end of await Promise.all([send.ended, receive.ended])) {
        expectExit(end, EXIT.completed);
      }
    }));

  it('refuses a destination with another key, and the listening source waits on', () =>
    withRig(machine, async (rig) => {
      const other = join(rig.directory, 'other.key');
      await generateKeyFile(other);
      const send = rig.send('ram=16M', ...anyPort, '--json');
      const address = await listeningAddress(send);
      const stranger = await rig.receive('--from', address, '--json', '--key-file', other).ended;
      expectExit(stranger, EXIT.refused);
      assert.equal(reportOf(stranger).error?.code, 'ERR_PAGEFERRY_SECRET');
      assert.equal(reportOf(stranger).guest.state, 'gone');
      await send.says(/refused .*ERR_PAGEFERRY_SECRET/);
      send.kill('SIGINT');
      const end = await send.ended;
      expectExit(end, EXIT.aborted);
      assertRunsAtSource(end);
    }));

  const bad: readonly (readonly [string, string, (path: string, good: string) => void])[] = [
    ['missing', 'MISSING', () => undefined],
    ['short', 'SHORT', shorten],
    ['world-readable', 'MODE', expose],
  ];
  for (const [name, code, make] of bad) {
    it(`refuses a ${name} key file on either side before anything is started`, () =>
      withRig(machine, async (rig) => {
        const path = join(rig.directory, 'bad.key');
        make(path, rig.key);
        const address = await freeAddress(rig);
        for (const side of [
          rig.send('ram=16M', '--to', address, '--json', '--key-file', path),
          rig.receive('--listen', address, '--json', '--key-file', path),
        ]) {
          const end = await side.ended;
          expectExit(end, EXIT.usage);
          assert.equal(reportOf(end).error?.code, `ERR_PAGEFERRY_KEY_FILE_${code}`);
          assert.match(end.stderr, /^error: .*bad\.key: .*\(ERR_PAGEFERRY_KEY_FILE_\w+\)$/m);
        }
        const send = rig.send('ram=16M', '--to', address, '--json', '--timeout', '1s');
        const end = await send.ended;
        expectExit(end, EXIT.aborted);
        assertRunsAtSource(end);
      }));
  }
}

function shorten(path: string): void {
  writeFileSync(path, 'pageferry-key v1 session\nAAAAAAAAAAAAAAAAAAAAAA==\n', { mode: 0o600 });
}

function expose(path: string, good: string): void {
  copyFileSync(good, path);
  chmodSync(path, 0o644);
}

function describeEnds(machine: CliMachine): void {
  for (const side of ['send', 'receive'] as const) {
    it(`ends both sides when ${side} is told to stop in mid-migration`, () =>
      withRig(machine, async (rig) => {
        const sides = await startEndless(rig);
        sides[side].kill('SIGTERM');
        const [sent, received] = await Promise.all([sides.send.ended, sides.receive.ended]);
        expectExit(sent, EXIT.aborted);
        assertRunsAtSource(sent);
        expectExit(received, EXIT.aborted);
        assert.equal(reportOf(received).guest.state, 'gone');
      }));
  }

  it('keeps the guest running at the source when the destination is killed', () =>
    withRig(machine, async (rig) => {
      const { send, receive } = await startEndless(rig, ...givesUpSoon);
      receive.kill('SIGKILL');
      const end = await send.ended;
      await receive.ended;
      expectExit(end, EXIT.aborted);
      assertRunsAtSource(end);
    }));

  it('ends the destination when the source is killed', () =>
    withRig(machine, async (rig) => {
      const { send, receive } = await startEndless(rig, ...givesUpSoon);
      send.kill('SIGKILL');
      await send.ended;
      const end = await receive.ended;
      assert.notEqual(end.exitCode, EXIT.completed);
      assert.equal(reportOf(end).guest.state, 'gone');
    }));
}

export function describeCommandLine(machine: CliMachine): void {
  describe(`the command line on ${machine.name}`, () => {
    describeDemo(machine);
    describeDialing(machine);
    describeKeys(machine);
    describeEnds(machine);
  });
}
