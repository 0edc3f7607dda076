import { strict as assert } from 'node:assert';

import { mayResolve, type SideFacts } from '../../../src/cli/resolution.js';
import { sessionStates } from '../../../src/session/machine.js';
import type { Role, SessionState } from '../../../src/session/types.js';

const roles: readonly Role[] = ['source', 'destination'];

/** What may be resolved for a side whose process is gone, by its last noted state. */
const ofTheDead: Readonly<Record<SessionState, Readonly<Record<Role, readonly Role[]>>>> = {
  connecting: { source: roles, destination: ['source'] },
  handshake: { source: roles, destination: ['source'] },
  layout: { source: roles, destination: ['source'] },
  precopy: { source: roles, destination: ['source'] },
  stopping: { source: roles, destination: ['source'] },
  ready: { source: roles, destination: roles },
  committing: { source: roles, destination: roles },
  committed: { source: roles, destination: ['source'] },
  completed: { source: roles, destination: ['source'] },
  aborted: { source: roles, destination: ['source'] },
  failed: { source: roles, destination: ['source'] },
  undecided: { source: roles, destination: roles },
};

const side = (changes: Partial<SideFacts>): SideFacts => ({
  role: 'source',
  state: 'undecided',
  isAlive: true,
  decision: undefined,
  ...changes,
});

describe('resolving a session', () => {
  it('is possible on a living side only in doubt', () => {
    for (const role of roles) {
      for (const state of sessionStates) {
        for (const runningAt of roles) {
          const resolve = (): boolean => mayResolve(side({ role, state }), runningAt);
          if (state === 'undecided') assert.equal(resolve(), true);
          else assert.throws(resolve, { code: 'ERR_PAGEFERRY_UNDER_WAY' });
        }
      }
    }
  });

  it('gives a destination the guest only where it was READY', () => {
    for (const role of roles) {
      for (const state of sessionStates) {
        for (const runningAt of roles) {
          const facts = side({ role, state, isAlive: false });
          const resolve = (): boolean => mayResolve(facts, runningAt);
          if (ofTheDead[state][role].includes(runningAt)) assert.equal(resolve(), true);
          else assert.throws(resolve, { code: 'ERR_PAGEFERRY_INCOMPLETE' });
        }
      }
    }
  });

  it('never overrules a decision, and says it again without harm', () => {
    for (const isAlive of [true, false]) {
      for (const role of roles) {
        const committed = side({ role, isAlive, state: 'ready', decision: 'committed' });
        assert.equal(mayResolve(committed, 'destination'), false);
        assert.throws(() => mayResolve(committed, 'source'), { code: 'ERR_PAGEFERRY_DECIDED' });
        const aborted = side({ role, isAlive, state: 'ready', decision: 'aborted' });
        assert.equal(mayResolve(aborted, 'source'), false);
        assert.throws(() => mayResolve(aborted, 'destination'), { code: 'ERR_PAGEFERRY_DECIDED' });
      }
    }
  });
});
