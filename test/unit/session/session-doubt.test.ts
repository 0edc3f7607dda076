import { strict as assert } from 'node:assert';

import { sessionStates } from '../../../src/session/machine.js';
import type { Role, SessionState } from '../../../src/session/types.js';
import { FaultProxy } from '../../support/fault-proxy.js';
import { Random } from '../../support/random.js';
import type { FakeWorld } from '../../support/session/fake-world.js';
import { fakeWorld } from '../../support/session/fake-world.js';
import type { Outcome, Pair, PairOptions } from '../../support/session/pair.js';
import {
  assertCompleted,
  assertRolledBack,
  dispose,
  finish,
  startPair,
} from '../../support/session/pair.js';

/**
 * Who has the guest when a side breaks in this state; 'doubt': the destination keeps it paused,
 * and the source runs it or is in doubt itself.
 */
type Owner = 'source' | 'destination' | 'doubt';

/** Undefined: nothing can break any more. Every state has a line for both roles. */
const whenBroken: Readonly<Record<SessionState, Readonly<Record<Role, Owner | undefined>>>> = {
  connecting: { source: 'source', destination: 'source' },
  handshake: { source: 'source', destination: 'source' },
  layout: { source: 'source', destination: 'source' },
  precopy: { source: 'source', destination: 'source' },
  stopping: { source: 'source', destination: 'source' },
  ready: { source: 'source', destination: 'doubt' },
  committing: { source: 'destination', destination: 'destination' },
  committed: { source: 'destination', destination: 'destination' },
  completed: { source: undefined, destination: undefined },
  aborted: { source: undefined, destination: undefined },
  failed: { source: undefined, destination: undefined },
  undecided: { source: undefined, destination: undefined },
};

describe('a session that breaks', () => {
  const pairs: Pair[] = [];
  const proxies: FaultProxy[] = [];

  async function start(options: Partial<PairOptions>): Promise<Pair> {
    const pair = await startPair({ world: fakeWorld(), ...options });
    pairs.push(pair);
    return pair;
  }

  afterEach(async () => {
    for (const pair of pairs.splice(0)) await dispose(pair);
    for (const proxy of proxies.splice(0)) await proxy.close();
  });

  /** A destination in doubt has decided nothing and has everything. */
  function assertDoubt(pair: Pair, { source, destination }: Outcome): void {
    assert.equal(destination.error?.code, 'ERR_PAGEFERRY_IN_DOUBT');
    assert.equal(destination.guest.state, 'paused');
    assert.equal(pair.destination.guest?.state, 'paused');
    assert.deepEqual(pair.destination.decisions, []);
    if (source.guest.state === 'running') return;
    assert.equal(source.error?.code, 'ERR_PAGEFERRY_IN_DOUBT');
  }

  for (const role of ['source', 'destination'] as const) {
    for (const state of sessionStates) {
      const owner = whenBroken[state][role];
      if (owner === undefined) continue;
      it(`in ${state} of the ${role} leaves the guest to: ${owner}`, async () => {
        const world: FakeWorld = fakeWorld();
        const broken = new Error('broken by the test');
        const pair = await start({
          world,
          destination: { reconnectTimeoutMs: 300 },
          source: { reconnectTimeoutMs: 300 },
          onEvent: (at, event) => {
            if (at !== role || event.type !== 'state' || event.state !== state) return;
            // The destination listens, so its mirror is the first.
            world.mirrors[role === 'destination' ? 0 : 1]?.die(broken);
          },
        });
        const sides = [pair.source.report, pair.destination.report];
        // A listening side whose peer never came waits for ever; it is stopped then.
        void Promise.race(sides).then(() => {
          if (state === 'connecting' || state === 'handshake') {
            pair.source.abort.abort();
            pair.destination.abort.abort();
          }
        });
        const outcome = await finish(pair);
        if (owner === 'source') assertRolledBack(pair, outcome);
        if (owner === 'doubt') assertDoubt(pair, outcome);
        if (owner === 'destination') {
          assert.equal(outcome.destination.guest.state, 'running');
          assert.deepEqual(pair.destination.decisions, ['committed']);
          assert.equal(outcome.source.guest.state, 'paused');
        }
      });
    }
  }

  /** Cuts everything for `downMs` when the destination is READY, or in another state. */
  async function cutAtReady(
    downMs: number,
    limits: Record<Role, number>,
    world: FakeWorld = fakeWorld(),
    state: SessionState = 'ready',
  ): Promise<Pair> {
    const holder: { proxy?: FaultProxy } = {};
    return start({
      world,
      address: 'tcp://127.0.0.1:0',
      via: async (port) => {
        holder.proxy = await FaultProxy.start(port, {}, new Random(1));
        proxies.push(holder.proxy);
        return holder.proxy.address;
      },
      source: { reconnectTimeoutMs: limits.source },
      destination: { reconnectTimeoutMs: limits.destination },
      onEvent: (role, event) => {
        if (role !== 'destination' || event.type !== 'state' || event.state !== state) return;
        holder.proxy?.cutAll(downMs);
      },
    });
  }

  it('after READY, its source gone for good, keeps the guest at the destination', async () => {
    const pair = await cutAtReady(60_000, { source: 300, destination: 300 });
    const outcome = await finish(pair);
    assertDoubt(pair, outcome);
    assert.equal(outcome.source.guest.state, 'running');
    const check = await pair.destination.guest?.selfCheck();
    assert.equal(check?.ok, true, 'what the destination keeps is complete');
  });

  it('after READY is rolled back on both sides when the lanes come back late', async () => {
    const pair = await cutAtReady(4_000, { source: 3_000, destination: 30_000 });
    const outcome = await finish(pair);
    assertRolledBack(pair, outcome);
    assert.deepEqual(pair.destination.decisions, ['aborted']);
  });

  it('after READY goes on when the lanes come back in time', async () => {
    const pair = await cutAtReady(400, { source: 5000, destination: 5000 });
    const { source, destination } = await finish(pair);
    assert.equal(source.outcome, 'completed');
    assert.equal(destination.guest.state, 'running');
  });

  it('after COMMIT tells its answer, though the guest stands still and lanes go', async () => {
    const world = fakeWorld({ bytes: 8 << 20 }, { failResume: true });
    const patient = { source: 20_000, destination: 20_000 };
    const pair = await cutAtReady(300, patient, world, 'committed');
    const { source, destination } = await finish(pair);
    assert.equal(source.outcome, 'completed', source.error?.message);
    assert.equal(source.guest.state, 'paused');
    assert.match(destination.error?.message ?? '', /no resume today/);
    assert.deepEqual(pair.destination.decisions, ['committed']);
  });

  for (const role of ['source', 'destination'] as const) {
    it(`takes no stop of the ${role} for an end while COMMIT is being sealed`, async () => {
      const world = fakeWorld();
      const holder: { pair?: Pair } = {};
      const pair = await start({
        world,
        onEvent: (at, event) => {
          if (at !== 'source' || event.type !== 'state' || event.state !== 'ready') return;
          const [, mirror] = world.mirrors;
          assert.ok(mirror !== undefined);
          // The next message that the source seals is COMMIT.
          const sealMessage = mirror.sealMessage.bind(mirror);
          mirror.sealMessage = async (...message) => {
            mirror.sealMessage = sealMessage;
            holder.pair?.[role].abort.abort();
            // Long enough for the destination's wish to come here.
            await new Promise((resolve) => setTimeout(resolve, 100));
            return sealMessage(...message);
          };
        },
      });
      holder.pair = pair;
      const outcome = await finish(pair);
      // What the destination wants to be rid of it declines; the source cannot go back by itself.
      if (role === 'source') assertCompleted(pair, outcome);
      else assertRolledBack(pair, outcome);
      assert.deepEqual(pair.destination.decisions, [role === 'source' ? 'committed' : 'aborted']);
    });
  }

  const unrecorded: readonly (readonly [Role, SessionState])[] = [
    ['source', 'layout'],
    ['destination', 'layout'],
    ['destination', 'ready'],
    ['source', 'committing'],
  ];
  for (const [role, failing] of unrecorded) {
    it(`does not go on to ${failing} when the ${role} cannot record it`, async () => {
      const noted: string[] = [];
      const recordState = (_: string, state: SessionState): Promise<void> => {
        noted.push(state);
        if (state === failing) return Promise.reject(new Error('the disk is full'));
        return Promise.resolve();
      };
      const pair = await start({ [role]: { recordState } });
      const outcome = await finish(pair);
      assertRolledBack(pair, outcome);
      assert.match(outcome[role].error?.message ?? '', /disk is full/);
      assert.equal(noted.at(-1), failing);
    });
  }

  it('notes what each side promises, before it does', async () => {
    const noted: string[] = [];
    const recorder = (role: Role) => (_: string, state: SessionState) => {
      noted.push(`${role} notes ${state}`);
      return Promise.resolve();
    };
    const pair = await start({
      source: { recordState: recorder('source') },
      destination: { recordState: recorder('destination') },
      onEvent: (role, event) => {
        if (event.type === 'state') noted.push(`${role} is ${event.state}`);
      },
    });
    await finish(pair);
    const order = (first: string, second: string): void => {
      assert.ok(noted.includes(first), noted.join());
      assert.ok(noted.indexOf(first) < noted.indexOf(second), noted.join());
    };
    order('destination notes ready', 'destination is ready');
    order('destination notes ready', 'source is ready');
    order('source notes committing', 'source is committing');
    order('source notes committing', 'destination is committing');
  });
});
