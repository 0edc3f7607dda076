import { strict as assert } from 'node:assert';
import { once } from 'node:events';

import { HelperError } from '../../../src/errors.js';
import { PF_STATUS_NAMES, PF_STATUS_VIOLATION } from '../../../src/native/abi.generated.js';
import { sessionStates } from '../../../src/session/machine.js';
import type { Role, SessionState } from '../../../src/session/types.js';
import type { FakeGuest } from '../../support/session/fake-guest.js';
import type { FakeWorld } from '../../support/session/fake-world.js';
import { fakeWorld } from '../../support/session/fake-world.js';
import { kindOf, LaneTap } from '../../support/session/lane-tap.js';
import {
  assertCompleted,
  assertRolledBack,
  dispose,
  finish,
  startPair,
} from '../../support/session/pair.js';
import type { Outcome, Pair, PairOptions } from '../../support/session/pair.js';

/** What a signal in this state leads to; every state has a line for both roles. */
const whenStopped: Readonly<Record<SessionState, Readonly<Record<Role, string>>>> = {
  connecting: { source: 'rolled back', destination: 'rolled back' },
  handshake: { source: 'rolled back', destination: 'rolled back' },
  layout: { source: 'rolled back', destination: 'rolled back' },
  precopy: { source: 'rolled back', destination: 'rolled back' },
  stopping: { source: 'rolled back', destination: 'rolled back' },
  ready: { source: 'rolled back', destination: 'rolled back' },
  committing: { source: 'completed', destination: 'completed' },
  committed: { source: 'completed', destination: 'completed' },
  completed: { source: 'completed', destination: 'completed' },
  aborted: { source: 'not reached', destination: 'not reached' },
  failed: { source: 'not reached', destination: 'not reached' },
  undecided: { source: 'not reached', destination: 'not reached' },
};

describe('the end of a session', () => {
  const pairs: Pair[] = [];

  async function start(options: Partial<PairOptions>): Promise<Pair> {
    const pair = await startPair({ world: fakeWorld(), ...options });
    pairs.push(pair);
    return pair;
  }

  afterEach(async () => {
    for (const pair of pairs.splice(0)) await dispose(pair);
  });

  /** The other side of an end before there was a session goes on waiting: it is stopped too. */
  async function finishBoth(pair: Pair): Promise<Outcome> {
    await Promise.race([pair.source.report, pair.destination.report]);
    const other = setTimeout(() => {
      pair.source.abort.abort();
      pair.destination.abort.abort();
    }, 300);
    const outcome = await finish(pair);
    clearTimeout(other);
    return outcome;
  }

  for (const role of ['source', 'destination'] as const) {
    for (const state of sessionStates) {
      const expected = whenStopped[state][role];
      if (expected === 'not reached') continue;
      it(`is ${expected} when the ${role} is stopped in state ${state}`, async () => {
        const early: { pair?: Pair; stop?: boolean } = {};
        const pair = await start({
          onEvent: (at, event) => {
            if (at !== role || event.type !== 'state' || event.state !== state) return;
            early.stop = true;
            early.pair?.[role].abort.abort();
          },
        });
        early.pair = pair;
        if (early.stop === true) pair[role].abort.abort();
        const outcome = await finishBoth(pair);
        if (expected === 'completed') assertCompleted(pair, outcome);
        else assertRolledBack(pair, outcome);
      });
    }
  }

  it('resumes the source when the destination cannot record its decision', async () => {
    const decisions: string[] = [];
    const pair = await start({
      destination: {
        recordDecision: (_, decision) => {
          decisions.push(decision);
          if (decision === 'committed') return Promise.reject(new Error('the disk is full'));
          return Promise.resolve();
        },
      },
    });
    const outcome = await finish(pair);
    assertRolledBack(pair, outcome);
    assert.deepEqual(decisions, ['committed', 'aborted']);
    assert.match(outcome.destination.error?.message ?? '', /disk is full/);
    assert.equal(outcome.source.error?.code, 'ERR_PAGEFERRY_PEER_ABORTED');
  });

  it('is in doubt at the source, which stays paused, when COMMIT is not answered', async () => {
    let isCommitted = false;
    const pair = await start({
      lanes: 2,
      tap: (role, lane) =>
        role === 'source'
          ? lane
          : new LaneTap(lane, (tap, frame) => {
              if (isCommitted && kindOf(frame) === 2) tap.abort(new Error('cut by the test'));
              return !isCommitted || kindOf(frame) !== 2;
            }),
      onEvent: (role, event) => {
        if (role === 'destination' && event.type === 'state' && event.state === 'committing') {
          isCommitted = true;
        }
      },
    });
    const { source, destination } = await finish(pair);
    assert.equal(source.error?.code, 'ERR_PAGEFERRY_IN_DOUBT');
    assert.equal(source.outcome, 'failed');
    assert.equal(source.guest.state, 'paused');
    assert.equal(destination.outcome, 'completed');
    assert.equal(destination.guest.state, 'running');
  });

  it('keeps the guest at the source when digests differ', async () => {
    const world = fakeWorld();
    const pair = await start({
      world,
      onEvent: (role, event) => {
        if (role !== 'destination' || event.type !== 'state' || event.state !== 'stopping') return;
        (pair.destination.guest as FakeGuest).memory.buffer.writeUInt8(7, 12345);
      },
    });
    const outcome = await finish(pair);
    assertRolledBack(pair, outcome);
    assert.equal(outcome.source.error?.code, 'ERR_PAGEFERRY_DIGEST');
    assert.equal(outcome.source.verified.ramDigestsEqual, false);
  });

  it('ends for good on an authenticated violation', async () => {
    const world: FakeWorld = fakeWorld();
    const pair = await start({
      world,
      onEvent: (role, event) => {
        if (role !== 'destination' || event.type !== 'state' || event.state !== 'precopy') return;
        const details = { status: PF_STATUS_VIOLATION, detail: 2 };
        const error = new HelperError(
          'ERR_PAGEFERRY_HELPER',
          PF_STATUS_NAMES[PF_STATUS_VIOLATION]!,
          details,
        );
        for (const mirror of world.mirrors) mirror.importRecord = () => Promise.reject(error);
      },
    });
    const outcome = await finish(pair);
    assertRolledBack(pair, outcome);
    assert.equal(outcome.destination.error?.code, 'ERR_PAGEFERRY_HELPER');
  });

  for (const side of [0, 1]) {
    it(`rolls back when the mirror of side ${side} dies`, async () => {
      const world = fakeWorld();
      const pair = await start({
        world,
        onEvent: (role, event) => {
          if (role !== 'source' || event.type !== 'state' || event.state !== 'precopy') return;
          world.mirrors[side]!.die(new Error('it died'));
        },
      });
      const outcome = await finish(pair);
      assertRolledBack(pair, outcome);
    });
  }

  it('does not give the guest back when it does not resume at its new owner', async () => {
    const bytes = 8 << 20;
    const pair = await start({ world: fakeWorld({ bytes }, { failResume: true }) });
    const { source, destination } = await finish(pair);
    assert.equal(source.guest.state, 'paused');
    assert.equal(destination.outcome, 'failed');
    assert.equal(destination.guest.state, 'paused');
    assert.deepEqual(pair.destination.decisions, ['committed']);
  });

  it('moves device state of many records', async () => {
    const world = fakeWorld({ bytes: 4 << 20, deviceStateBytes: 20 << 20 });
    const pair = await start({ world });
    assertCompleted(pair, await finish(pair));
  });

  it('takes several rounds for a guest that keeps writing', async () => {
    const world = fakeWorld({ bytes: 32 << 20, dirtyPagesPerMs: 40 });
    const pair = await start({ world, source: { downtimeLimitMs: 1, maxEpochs: 4 } });
    const outcome = await finish(pair);
    assertCompleted(pair, outcome);
    assert.ok(outcome.source.rounds.length >= 3);
    assert.ok(outcome.source.rounds.length <= 6);
    assert.equal(outcome.source.rounds[0]?.pagesScanned, 8192);
    assert.equal(outcome.destination.rounds.length, outcome.source.rounds.length);
  });

  it('says so when a guest that comes too late does not close', async () => {
    const world = fakeWorld();
    const warned = once(process, 'warning') as Promise<[Error]>;
    const pair = await start({
      world,
      destination: {
        openGuest: async (layout) => {
          pair.destination.abort.abort();
          await pair.destination.report;
          const late = await world.openDestination(layout);
          late.close = () => Promise.reject(new Error('it is stuck'));
          return late;
        },
      },
    });
    assertRolledBack(pair, await finish(pair));
    const [warning] = await warned;
    assert.match(warning.message, /stays open: it is stuck/);
  });

  it('frees every slot and lane when it ends early', async () => {
    const world = fakeWorld({ bytes: 64 << 20 });
    const pair = await start({
      world,
      onEvent: (role, event) => {
        if (role === 'source' && event.type === 'state' && event.state === 'precopy') {
          setTimeout(() => {
            pair.source.abort.abort();
          }, 20);
        }
      },
    });
    assertRolledBack(pair, await finish(pair));
    for (const { slots } of world.mirrors) assert.equal(slots.free, slots.total);
    for (const lane of [...pair.source.lanes, ...pair.destination.lanes]) {
      assert.equal(lane.status, 'closed');
    }
  });
});
