/**
 * SIGKILL of either side in every state of its machine, with real processes and guests: who has
 * the guest afterwards, by itself or by the word of `pageferry resolve`.
 */
import { strict as assert } from 'node:assert';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { EXIT } from '../../src/cli/exit-codes.js';
import type { StateRecord } from '../../src/cli/decisions.js';
import type { EngineName } from '../../src/mirror/contract.js';
import { sessionStates } from '../../src/session/machine.js';
import type { Role, SessionState } from '../../src/session/types.js';
import type { Cli, CliEnd } from '../support/cli.js';
import { reportOf } from '../support/cli.js';
import { expectExit, withRig, type Rig } from '../support/cli-rig.js';
import { killMachineFile, killVariable } from '../support/kill-machine.js';
import { requireCapability } from '../support/require.js';
import { loadParts } from '../support/session/real-world.js';
import { refusedPort } from '../support/tcp-peers.js';

/**
 * What becomes of the other side:
 *   waits      listens on for a rightful peer
 *   gone       destination: frees what it has, which is not complete
 *   runs       source: the guest runs on; destination: it has it, and both may know
 *   done       source: the guest is the destination's, and died with it
 *   in doubt   keeps the guest paused until resolved in its favour
 */
type Fate = 'waits' | 'gone' | 'runs' | 'done' | 'in doubt';

/** Undefined: cannot be killed there but together with the other side; see below. */
const fates: Readonly<Record<SessionState, Readonly<Record<Role, Fate | undefined>>>> = {
  connecting: { source: 'waits', destination: 'runs' },
  handshake: { source: 'waits', destination: 'runs' },
  layout: { source: 'gone', destination: 'runs' },
  precopy: { source: 'gone', destination: 'runs' },
  stopping: { source: 'gone', destination: 'runs' },
  ready: { source: 'in doubt', destination: 'runs' },
  committing: { source: 'in doubt', destination: 'in doubt' },
  committed: { source: 'runs', destination: 'in doubt' },
  completed: { source: 'runs', destination: 'done' },
  aborted: { source: 'gone', destination: 'runs' },
  failed: { source: undefined, destination: undefined },
  undecided: { source: undefined, destination: undefined },
};

const busy = '&dirtyRate=50000&workingSet=8M';
const endless = ['--downtime-limit', '1', '--max-epochs', '100000'];

interface Sides {
  readonly source: Cli;
  readonly destination: Cli;
}

interface Start {
  readonly rig: Rig;
  readonly engine: EngineName;
  readonly killAt: Readonly<Partial<Record<Role, SessionState>>>;
  readonly isEndless?: boolean;
}

function stateDirectory(rig: Rig, role: Role): string {
  return join(rig.directory, role);
}

async function startBoth({ rig, engine, killAt, isEndless = false }: Start): Promise<Sides> {
  const address = `tcp://127.0.0.1:${await refusedPort()}`;
  const common = (role: Role): string[] => [
    ...['--key-file', rig.key, '--json', '--engine', engine],
    ...['--timeout', '3s', '--reconnect-timeout', '1s'],
    ...['--state-dir', stateDirectory(rig, role)],
  ];
  const environment = (role: Role): NodeJS.ProcessEnv => ({ [killVariable]: killAt[role] ?? '' });
  const into = `demo:?backend=${engine}`;
  const destination = rig.start(
    ['receive', '--guest', into, '--listen', address, ...common('destination')],
    environment('destination'),
  );
  const guest = `demo:?ram=${isEndless ? '256M' : '16M'}&backend=${engine}${isEndless ? busy : ''}`;
  const source = rig.start(
    ['send', '--guest', guest, '--to', address, ...common('source'), ...(isEndless ? endless : [])],
    environment('source'),
  );
  return { source, destination };
}

function sessionOf(rig: Rig, role: Role): string {
  const [name = ''] = readdirSync(join(stateDirectory(rig, role), 'sessions'));
  return name.split('.')[0] ?? '';
}

function notedState(rig: Rig, role: Role): SessionState {
  const path = join(stateDirectory(rig, role), 'sessions', `${sessionOf(rig, role)}.${role}`);
  const record = JSON.parse(readFileSync(`${path}.state.json`, 'utf8')) as StateRecord;
  return record.state;
}

/** Settles one side's doubt in its own favour. */
async function resolve(rig: Rig, role: Role): Promise<void> {
  const rest = ['--running-at', role, '--state-dir', stateDirectory(rig, role)];
  const end = await rig.start(['resolve', sessionOf(rig, role), ...rest]).ended;
  expectExit(end, EXIT.completed);
  assert.match(end.stdout, new RegExp(`the guest is the ${role}'s; process \\d+ holds it`));
}

/** The other side's word against ours comes too late. */
async function assertDecided(rig: Rig, role: Role): Promise<void> {
  const other = role === 'source' ? 'destination' : 'source';
  const rest = ['--running-at', other, '--state-dir', stateDirectory(rig, role)];
  const end = await rig.start(['resolve', sessionOf(rig, role), ...rest]).ended;
  assert.notEqual(end.exitCode, EXIT.completed);
  assert.match(end.stderr, /ERR_PAGEFERRY_DECIDED/);
}

async function assertFate(rig: Rig, role: Role, side: Cli, fate: Fate): Promise<void> {
  if (fate === 'waits') side.kill('SIGTERM');
  if (fate === 'in doubt') {
    await side.says(/pageferry resolve/);
    assert.equal(notedState(rig, role), 'undecided');
    await resolve(rig, role);
  }
  const end = await side.ended;
  const report = reportOf(end);
  const { guest, verified } = report;
  switch (fate) {
    case 'waits':
    case 'gone':
      assert.equal(guest.state, 'gone', end.stderr);
      assert.notEqual(report.outcome, 'completed');
      return;
    case 'runs':
      expectExit(end, role === 'source' ? EXIT.aborted : EXIT.completed);
      assert.equal(guest.state, 'running');
      assert.equal(verified.guestSelfCheck, true);
      assert.ok((verified.ticksAfter ?? 0) > (verified.ticksBefore ?? Infinity), end.stderr);
      return;
    case 'done':
      assert.equal(report.outcome, 'completed', end.stderr);
      assert.notEqual(guest.state, 'running');
      return;
    case 'in doubt':
      expectExit(end, role === 'source' ? EXIT.aborted : EXIT.completed);
      assert.equal(report.error?.code, 'ERR_PAGEFERRY_IN_DOUBT');
      assert.match(end.stderr, /Resolved: .*ticks [\d,]+ to [\d,]+, self-check of .* passed/);
      await assertDecided(rig, role);
  }
}

function assertKilled(end: CliEnd): void {
  assert.equal(end.signal, 'SIGKILL', `${String(end.exitCode)} ${end.stderr}`);
}

function describeKills(engine: EngineName): void {
  const machine = { name: engine, file: killMachineFile, arguments: [], guestParameters: '' };

  for (const victim of ['source', 'destination'] as const) {
    const survivor = victim === 'source' ? 'destination' : 'source';
    for (const state of sessionStates) {
      const fate = fates[state][victim];
      if (fate === undefined) continue;
      const then = `the ${survivor} ${fate === 'in doubt' ? 'is ' : ''}${fate}`;
      it(`of the ${victim} in ${state}: ${then}`, () =>
        withRig(machine, async (rig) => {
          const isEndless = state === 'aborted';
          const sides = await startBoth({ rig, engine, killAt: { [victim]: state }, isEndless });
          if (isEndless) {
            await sides.source.says(/source: copying memory/);
            sides[victim].kill('SIGTERM');
          }
          assertKilled(await sides[victim].ended);
          await assertFate(rig, survivor, sides[survivor], fate);
        }));
    }
  }

  for (const [first, state] of [
    ['source', 'ready'],
    ['destination', 'committing'],
  ] as const) {
    const second = first === 'source' ? 'destination' : 'source';
    it(`of the ${first} in ${state}, and of the ${second} in doubt: both files say so`, () =>
      withRig(machine, async (rig) => {
        const killAt = { [first]: state, [second]: 'undecided' };
        const sides = await startBoth({ rig, engine, killAt });
        for (const side of [sides.source, sides.destination]) assertKilled(await side.ended);
        // Neither copy is left: nobody runs, and what is noted lets a person find that out.
        assert.equal(notedState(rig, 'source') === 'layout', first === 'source');
        assert.equal(notedState(rig, 'destination'), 'ready');
        for (const role of ['source', 'destination'] as const) {
          const names = readdirSync(join(stateDirectory(rig, role), 'sessions'));
          assert.deepEqual(names, [`${sessionOf(rig, role)}.${role}.state.json`]);
        }
      }));
  }
}

for (const engine of ['in-process', 'kvm'] as const) {
  describe(`SIGKILL, engine ${engine}`, function () {
    this.timeout(120_000);

    before(async function () {
      const parts = await loadParts();
      if (engine === 'in-process') return;
      const hasKvm = parts.addon.probe().kvm.usable;
      requireCapability(this, 'a usable /dev/kvm', hasKvm, { hardware: true });
    });

    describeKills(engine);
  });
}
