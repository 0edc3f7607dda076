/**
 * Cancel in every state of both machines: by the side's own signal or handle, or by the peer's, in
 * the very step that makes the state and a little later. The table is what has to come of it; a
 * state without a line does not compile, and one that is not in the machine's tables fails.
 */
import { strict as assert } from 'node:assert';

import { sessionStates, transitionTables } from '../../src/session/machine.js';
import type { Role, SessionState } from '../../src/session/types.js';
import { runPlan } from './campaign.js';
import { quietPlan } from './plan.js';
import type { Incident } from './plan.js';
import type { Run } from './session.js';

/**
 * rolled back: the guest runs at the source, and is gone at the destination.
 * handed over: it runs at the destination, as if nobody had cancelled.
 * either:      one of the two, as the peer is before or after its own decision.
 * in doubt:    it stays so; a cancel is no answer.
 * ended:       there is nothing left to cancel; as without it.
 */
type Ending = 'rolled back' | 'handed over' | 'either' | 'in doubt' | 'ended';

interface Row {
  readonly own: Ending;
  readonly peers: Ending;
}

const rolledBack: Row = { own: 'rolled back', peers: 'rolled back' };
const handedOver: Row = { own: 'handed over', peers: 'handed over' };
const ended: Row = { own: 'ended', peers: 'ended' };
const inDoubt: Row = { own: 'in doubt', peers: 'in doubt' };

const table: Readonly<Record<SessionState, Readonly<Record<Role, Row>>>> = {
  connecting: { source: rolledBack, destination: rolledBack },
  handshake: { source: rolledBack, destination: rolledBack },
  layout: { source: rolledBack, destination: rolledBack },
  precopy: { source: rolledBack, destination: rolledBack },
  stopping: { source: rolledBack, destination: rolledBack },
  // A READY destination asks; a source that decided meanwhile has its COMMIT declined.
  ready: { source: rolledBack, destination: rolledBack },
  // The source takes no cancel after COMMIT, and the destination none after taking it.
  committing: {
    source: { own: 'handed over', peers: 'either' },
    destination: handedOver,
  },
  committed: { source: handedOver, destination: handedOver },
  completed: { source: ended, destination: ended },
  aborted: { source: ended, destination: ended },
  failed: { source: ended, destination: ended },
  undecided: { source: inDoubt, destination: inDoubt },
};

/** What leads to a state that a session does not come to by itself. */
const ways: Readonly<Partial<Record<SessionState, Readonly<Record<Role, readonly Incident[]>>>>> = {
  aborted: { source: [stopIn('source')], destination: [stopIn('destination')] },
  failed: { source: [dieIn('source')], destination: [dieIn('destination')] },
  undecided: {
    source: [partIn('source', 'committing')],
    destination: [partIn('destination', 'ready')],
  },
};

function stopIn(role: Role): Incident {
  return { act: 'stop', role, by: 'signal', when: { role, state: 'precopy', afterMs: 0 } };
}

function dieIn(role: Role): Incident {
  return { act: 'die', role, when: { role, state: 'precopy', afterMs: 0 } };
}

function partIn(role: Role, state: SessionState): Incident {
  const act = { act: 'part', forMs: 60_000, isSilent: false } as const;
  return { ...act, when: { role, state, afterMs: 0 } };
}

function endingOf(run: Run): Ending {
  const { source, destination } = run;
  const isInDoubt = [source, destination].some((report) => {
    return report?.error?.code === 'ERR_PAGEFERRY_IN_DOUBT';
  });
  if (isInDoubt) return 'in doubt';
  return destination?.guest.state === 'running' ? 'handed over' : 'rolled back';
}

function assertEnding(role: Role, run: Run, expected: Ending, without: Run): void {
  if (run.breach !== undefined) throw run.breach;
  const ending = endingOf(run);
  switch (expected) {
    case 'ended':
      assert.equal(ending, endingOf(without));
      assert.equal(run[role]?.outcome, without[role]?.outcome);
      return;
    case 'either':
      assert.notEqual(ending, 'in doubt');
      return;
    default:
      assert.equal(ending, expected);
  }
  if (ending !== 'rolled back') return;
  assert.equal(run.source?.guest.state, 'running');
  assert.equal(run.destination?.guest.state, 'gone');
  assert.ok(!run.decisions.includes('committed'));
}

const seeds = [1, 2, 3, 4, 5, 6, 7, 8];
const roles = ['source', 'destination'] as const;

describe('a session that is cancelled', () => {
  it('has a line for every state there is', () => {
    assert.deepEqual(Object.keys(table).sort(), [...sessionStates].sort());
    for (const role of roles) {
      assert.deepEqual(Object.keys(transitionTables[role]).sort(), Object.keys(table).sort());
    }
  });

  for (const state of sessionStates) {
    for (const role of roles) {
      const row = table[state][role];
      const peer = role === 'source' ? 'destination' : 'source';
      const way = ways[state]?.[role] ?? [];
      const text = `own: ${row.own}, the peer's: ${row.peers}`;
      it(`in ${state} of the ${role} (${text})`, async () => {
        for (const seed of seeds) {
          const without = await runPlan(quietPlan(seed, way));
          assert.ok(without.states[role].includes(state), `${state} is not reached`);
          for (const by of ['signal', 'control'] as const) {
            for (const [canceller, expected] of [
              [role, row.own],
              [peer, row.peers],
            ] as const) {
              const stop = { act: 'stop', role: canceller, by } as const;
              const incident: Incident = { ...stop, when: { role, state, afterMs: 0 } };
              const run = await runPlan(quietPlan(seed, [...way, incident]));
              assert.ok(run.states[role].includes(state), `${state} is not reached`);
              assertEnding(role, run, expected, without);
            }
          }
        }
      });
    }
  }
});
