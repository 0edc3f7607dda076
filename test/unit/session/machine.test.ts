import { strict as assert } from 'node:assert';

import { ProtocolError, StateError } from '../../../src/errors.js';
import {
  abortBelongs,
  checkBelongs,
  sessionEvents,
  SessionMachine,
  sessionStates,
  transitionTables,
} from '../../../src/session/machine.js';
import type { SessionTransition } from '../../../src/session/machine.js';
import type { Role, SessionState } from '../../../src/session/types.js';

const roles: readonly Role[] = ['source', 'destination'];
const terminal: readonly SessionState[] = ['aborted', 'failed', 'undecided'];
const onTheWay: readonly SessionTransition[] = [
  'greeted',
  'established',
  'layout-accepted',
  'stopped',
  'ready',
  'commit',
  'committed',
  'finished',
];

function machineIn(role: Role, state: SessionState): SessionMachine {
  const machine = new SessionMachine(role, () => {});
  for (const event of onTheWay) {
    if (machine.state === state) break;
    machine.fire(event);
  }
  return machine;
}

describe('the state machines', () => {
  for (const role of roles) {
    it(`of the ${role}: take every event its table names and refuse all others`, () => {
      for (const state of sessionStates) {
        const row = transitionTables[role][state];
        if (terminal.includes(state)) {
          assert.deepEqual(row, {});
          continue;
        }
        for (const event of sessionEvents) {
          const machine = machineIn(role, state);
          assert.equal(machine.state, state);
          const next = row[event];
          assert.equal(machine.can(event), next !== undefined);
          if (next === undefined) {
            assert.throws(() => {
              machine.fire(event);
            }, StateError);
            assert.equal(machine.state, state);
          } else {
            machine.fire(event);
            assert.equal(machine.state, next);
          }
        }
      }
    });

    it(`of the ${role}: reach an end from every state`, () => {
      const ends: SessionState[] = ['completed', ...terminal];
      for (const state of sessionStates) {
        const seen = new Set<SessionState>([state]);
        for (const at of seen) {
          for (const next of Object.values(transitionTables[role][at])) seen.add(next);
        }
        assert.ok(
          ends.some((end) => seen.has(end)),
          state,
        );
      }
    });
  }

  it('never lead from COMMIT back to a running source but by an authentic answer', () => {
    const row = transitionTables.source.committing;
    assert.deepEqual(Object.keys(row).sort(), ['committed', 'declined', 'doubt']);
    assert.equal(abortBelongs('source', 'committing'), false);
    assert.equal(abortBelongs('destination', 'committing'), false);
    assert.deepEqual(Object.keys(transitionTables.source.committed), ['finished']);
  });

  it('let COMMIT be looked at in READY alone', () => {
    for (const state of sessionStates) {
      const check = (): void => {
        checkBelongs('destination', state, 'commit');
      };
      if (state === 'ready') check();
      else assert.throws(check, ProtocolError, state);
      assert.throws(() => {
        checkBelongs('source', state, 'commit');
      }, ProtocolError);
    }
  });
});
