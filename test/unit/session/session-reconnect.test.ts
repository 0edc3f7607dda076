import { strict as assert } from 'node:assert';
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';

import { sessionStates } from '../../../src/session/machine.js';
import type { SessionEvent } from '../../../src/session/types.js';
import type { Lane } from '../../../src/transport/contract.js';
import { PeerRole } from '../../../src/wire/generated/frames_pb.js';
import { FaultProxy } from '../../support/fault-proxy.js';
import { withSeed } from '../../support/random.js';
import { fakeWorld } from '../../support/session/fake-world.js';
import { kindOf, LaneTap } from '../../support/session/lane-tap.js';
import type { Pair, PairOptions } from '../../support/session/pair.js';
import {
  assertCompleted,
  assertRolledBack,
  dispose,
  finish,
  startPair,
} from '../../support/session/pair.js';
import { dialStranger, helloFrame } from '../../support/session/strangers.js';

const kindPages = 1;
const kindLane = 5;
const tcp = 'tcp://127.0.0.1:0';
/** Enough rounds for whatever is to happen on the way. */
const long = { downtimeLimitMs: 0.001, maxEpochs: 60 };
const patient = { reconnectTimeoutMs: 10_000 };

function opened(events: readonly SessionEvent[], number: number): number {
  return events.filter((e) => e.type === 'lane' && e.open && e.lane === number).length;
}

function count(events: readonly SessionEvent[], type: SessionEvent['type']): number {
  return events.filter((event) => event.type === type).length;
}

describe('lanes that come and go', () => {
  const pairs: Pair[] = [];
  const proxies: FaultProxy[] = [];

  async function start(options: Partial<PairOptions>): Promise<Pair> {
    const world = fakeWorld({ bytes: 16 * 1024 * 1024, dirtyPagesPerMs: 20 });
    const pair = await startPair({ world, ...options });
    pairs.push(pair);
    return pair;
  }

  afterEach(async () => {
    for (const pair of pairs.splice(0)) await dispose(pair);
    for (const proxy of proxies.splice(0)) await proxy.close();
  });

  for (const listener of ['source', 'destination'] as const) {
    it(`come back with their number and carry again when the ${listener} listens`, async () => {
      let cuts = 0;
      const carried = new Set<Lane>();
      const tap = (role: string, lane: Lane): Lane => {
        if (role !== 'source') return lane;
        return new LaneTap(lane, (tapped, frame) => {
          if (kindOf(frame) !== kindPages) return true;
          if (tapped.sentFrames > 8 && cuts < 6) {
            cuts += 1;
            tapped.abort(new Error('cut by the test'));
          } else {
            carried.add(tapped);
          }
          return true;
        });
      };
      const pair = await start({ address: tcp, listener, lanes: 2, tap, source: long });
      assertCompleted(pair, await finish(pair));
      const dialer = listener === 'source' ? 'destination' : 'source';
      assert.equal(cuts, 6);
      assert.ok(carried.size > 3, `${carried.size} lanes carried records`);
      const { events } = pair[dialer];
      assert.ok(opened(events, 0) + opened(events, 1) >= 5);
      assert.equal(opened(events, 2), 0);
    });
  }

  it('let the session pause when all are gone, the guest running, and go on', async () => {
    let isDown = false;
    const ticks: number[] = [];
    const holder: { proxy?: FaultProxy; pair?: Pair } = {};
    const pair = await withSeedValue(async (random) =>
      start({
        address: tcp,
        via: async (port) => {
          holder.proxy = await FaultProxy.start(port, {}, random);
          proxies.push(holder.proxy);
          return holder.proxy.address;
        },
        source: { ...long, ...patient },
        destination: patient,
        onEvent: (role, event) => {
          if (role !== 'source') return;
          const ticksNow = (): number => holder.pair?.source.guest?.activity()?.ticks ?? 0;
          if (event.type === 'reconnecting' || event.type === 'reconnected') ticks.push(ticksNow());
          if (event.type !== 'round' || isDown) return;
          isDown = true;
          holder.proxy?.cutAll(500);
        },
      }),
    );
    holder.pair = pair;
    const outcome = await finish(pair);
    assertCompleted(pair, outcome);
    assert.equal(count(pair.source.events, 'reconnecting'), 1);
    assert.equal(count(pair.source.events, 'reconnected'), 1);
    assert.ok((holder.proxy?.counts.refused ?? 0) > 0);
    assert.ok((ticks[1] ?? 0) > (ticks[0] ?? 0), 'the guest stood still');
  });

  for (const role of ['source', 'destination'] as const) {
    for (const state of sessionStates) {
      if (['completed', 'aborted', 'failed', 'undecided'].includes(state)) continue;
      it(`are all cut when the ${role} enters ${state}, and the session goes on`, async () => {
        let hasCut = false as boolean;
        const pair = await start({
          address: tcp,
          source: patient,
          destination: patient,
          onEvent: (at, event) => {
            if (hasCut || at !== role || event.type !== 'state' || event.state !== state) return;
            hasCut = true;
            const lanes = pairs.at(-1)?.[role].lanes ?? [];
            for (const lane of lanes) lane.abort(new Error('cut by the test'));
          },
        });
        assertCompleted(pair, await finish(pair));
        assert.ok(hasCut || state === 'connecting');
      });
    }
  }

  for (const listener of ['source', 'destination'] as const) {
    it(`may break anywhere from the first greeting on when the ${listener} listens`, async () => {
      await withSeed(async (random) => {
        for (let session = 0; session < 40; session += 1) {
          // Greeting, handshake and joins are about 1.5 KB; then come records.
          const at = session < 30 ? 1 + session * 50 : random.below(1 << 20);
          const faults = {
            atBytes: [
              at,
              (proxy: FaultProxy) => {
                proxy.cutOne();
              },
            ] as const,
          };
          const proxy: { made?: FaultProxy } = {};
          const pair = await start({
            world: fakeWorld({ bytes: 2 << 20 }),
            address: tcp,
            listener,
            source: patient,
            destination: patient,
            via: async (port) => {
              proxy.made = await FaultProxy.start(port, faults, random);
              proxies.push(proxy.made);
              return proxy.made.address;
            },
          });
          const outcome = await finish(pair);
          assert.equal(proxy.made?.counts.cuts, 1, `no cut at ${at}`);
          assertCompleted(pair, outcome);
          await proxy.made.close();
          proxies.pop();
        }
      });
    });
  }

  it('are not waited for longer than the limit, with the guest running at the source', async () => {
    const holder: { proxy?: FaultProxy } = {};
    const pair = await withSeedValue(async (random) =>
      start({
        address: tcp,
        via: async (port) => {
          holder.proxy = await FaultProxy.start(port, {}, random);
          proxies.push(holder.proxy);
          return holder.proxy.address;
        },
        source: { ...long, reconnectTimeoutMs: 300 },
        destination: { reconnectTimeoutMs: 300 },
        onEvent: (role, event) => {
          if (role === 'source' && event.type === 'round') holder.proxy?.cutAll(60_000);
        },
      }),
    );
    const outcome = await finish(pair);
    assertRolledBack(pair, outcome);
    assert.equal(outcome.source.error?.code, 'ERR_PAGEFERRY_LANES_LOST');
    assert.equal(outcome.destination.error?.code, 'ERR_PAGEFERRY_LANES_LOST');
  });

  it('may become more and fewer in mid-session', async () => {
    let setLanes: (lanes: number) => void = () => {};
    let rounds = 0;
    const pair = await start({
      address: tcp,
      lanes: 1,
      source: long,
      onLanes: (set) => {
        setLanes = set;
      },
      onEvent: (role, event) => {
        if (role !== 'source' || event.type !== 'round') return;
        rounds += 1;
        if (rounds === 2) setLanes(5);
        if (rounds === 30) setLanes(2);
      },
    });
    const outcome = await finish(pair);
    assertCompleted(pair, outcome);
    assert.equal(outcome.source.lanes, 5);
    assert.throws(() => {
      setLanes(65);
    }, /1 to 64/);
    const closed = pair.source.events.filter((e) => e.type === 'lane' && !e.open && e.lane >= 2);
    assert.ok(closed.length >= 3);
  });

  it('are dropped and dialed again when they carry nothing while others do', async () => {
    let stalled: Lane | undefined;
    const tap = (role: string, lane: Lane): Lane => {
      if (role !== 'source') return lane;
      return new LaneTap(lane, async (tapped, frame) => {
        if (kindOf(frame) === kindPages && stalled === undefined) stalled = tapped;
        // Nothing gets through any more, in either direction, and nothing says so.
        while (tapped === stalled && tapped.status === 'open') await delay(20);
        return true;
      });
    };
    const peerTimeoutMs = 1500;
    const sides = { source: { ...long, peerTimeoutMs }, destination: { peerTimeoutMs } };
    const pair = await start({ address: tcp, lanes: 2, tap, ...sides });
    assertCompleted(pair, await finish(pair));
    assert.equal(stalled?.status, 'closed');
  });

  it('cannot be joined by a stranger, nor by a join heard before', async () => {
    const joins: Buffer[] = [];
    const holder: { pair?: Pair; tried?: Promise<unknown> } = {};
    const tap = (role: string, lane: Lane): Lane =>
      role !== 'source'
        ? lane
        : new LaneTap(lane, (_, frame) => {
            if (kindOf(frame) === kindLane) joins.push(Buffer.from(frame));
            return true;
          });
    const intrude = async (pair: Pair, session: Uint8Array<ArrayBuffer>): Promise<void> => {
      const heard = joins[1] ?? Buffer.alloc(0);
      const forged = Buffer.concat([heard.subarray(0, -16), randomBytes(16)]);
      for (const join of [heard, forged]) {
        const stranger = await dialStranger(pair.address);
        await stranger.lane.send([helloFrame(PeerRole.SOURCE, session)]);
        await stranger.lane.send([join]);
        await stranger.over;
        assert.equal(stranger.frames.at(-1)?.kind, 'goodbye');
      }
    };
    const pair = await start({
      address: tcp,
      lanes: 2,
      tap,
      source: { ...long, maxEpochs: 1_000_000 - 2 },
      onEvent: (role, event) => {
        if (role !== 'source' || event.type !== 'round' || holder.tried !== undefined) return;
        const established = holder.pair?.source.events.find(({ type }) => type === 'established');
        if (holder.pair === undefined || established?.type !== 'established') return;
        const session = Uint8Array.from(Buffer.from(established.sessionId, 'hex'));
        const { pair } = holder;
        holder.tried = intrude(pair, session).finally(() => {
          pair.source.abort.abort();
        });
      },
    });
    holder.pair = pair;
    assertRolledBack(pair, await finish(pair));
    await holder.tried;
    assert.ok(joins.length >= 2);
    assert.equal(count(pair.destination.events, 'refused'), 2);
  });
});

/** A seeded value: the seed is printed when making or using it fails. */
async function withSeedValue<Value>(
  make: (random: Parameters<Parameters<typeof withSeed>[0]>[0]) => Promise<Value>,
): Promise<Value> {
  let made: Value | undefined;
  await withSeed(async (random) => {
    made = await make(random);
  });
  return made!;
}
