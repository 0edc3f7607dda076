import { strict as assert } from 'node:assert';

import { SessionControl } from '../../../src/session/session-control.js';
import type { SessionEvent, SessionState } from '../../../src/session/types.js';
import { FaultProxy } from '../../support/fault-proxy.js';
import { Random } from '../../support/random.js';
import type { FakeGuest } from '../../support/session/fake-guest.js';
import { fakeWorld } from '../../support/session/fake-world.js';
import type { Pair, PairOptions } from '../../support/session/pair.js';
import {
  assertCompleted,
  assertRolledBack,
  dispose,
  finish,
  startPair,
} from '../../support/session/pair.js';

/** A session that goes on until something ends it. */
const endless = { downtimeLimitMs: 0, maxEpochs: 100_000 };
const busy = { bytes: 8 * 1024 * 1024, dirtyPagesPerMs: 40 };

describe('a session that is steered', () => {
  const pairs: Pair[] = [];

  /** `at` runs at the source's first event that it is true for. */
  async function start(
    options: Partial<PairOptions>,
    when?: (event: SessionEvent) => boolean,
    at?: () => void,
  ): Promise<Pair> {
    let isDone = when === undefined;
    const onEvent = (role: string, event: SessionEvent): void => {
      if (isDone || role !== 'source' || when?.(event) !== true) return;
      isDone = true;
      at?.();
    };
    const pair = await startPair({ world: fakeWorld(busy), onEvent, ...options });
    pairs.push(pair);
    return pair;
  }

  const inState =
    (state: SessionState) =>
    (event: SessionEvent): boolean =>
      event.type === 'state' && event.state === state;
  const afterRound =
    (epoch: number) =>
    (event: SessionEvent): boolean =>
      event.type === 'round' && event.round.epoch === epoch;

  afterEach(async () => {
    for (const pair of pairs.splice(0)) await dispose(pair);
  });

  it('is held for longer than every deadline, with the guest running, and goes on', async () => {
    const control = new SessionControl();
    const peerTimeoutMs = 300;
    const pair = await start(
      { source: { control, peerTimeoutMs }, destination: { peerTimeoutMs } },
      inState('precopy'),
      () => {
        control.pause();
      },
    );
    const source = pair.source.guest;
    await new Promise((resolve) => setTimeout(resolve, 100));
    const ticks = source?.activity()?.ticks ?? 0;
    const sent = control.status().wireBytes;
    await new Promise((resolve) => setTimeout(resolve, 4 * peerTimeoutMs));
    const status = control.status();
    assert.equal(status.outcome, 'running');
    assert.equal(status.isPaused, true);
    assert.equal(status.wireBytes, sent);
    assert.ok((source?.activity()?.ticks ?? 0) > ticks, 'the guest stands still');
    control.resume();
    assertCompleted(pair, await finish(pair));
    for (const side of [pair.source, pair.destination]) {
      const held = side.events.flatMap((event) => (event.type === 'held' ? [event.isPaused] : []));
      assert.equal(held[0], true);
      assert.equal(held.at(-1), false);
    }
  });

  it('keeps one message about it, however long it is held without lanes', async () => {
    const control = new SessionControl();
    const world = fakeWorld(busy);
    const proxies: FaultProxy[] = [];
    let sealed = 0;
    const pair = await start(
      {
        world,
        address: 'tcp://127.0.0.1:0',
        via: async (port) => {
          const proxy = await FaultProxy.start(port, {}, new Random(1));
          proxies.push(proxy);
          return proxy.address;
        },
        source: { control, peerTimeoutMs: 200, reconnectTimeoutMs: 20_000 },
        destination: { reconnectTimeoutMs: 20_000 },
      },
      inState('precopy'),
      () => {
        control.pause();
        proxies[0]?.cutAll(1_500);
        const source = world.mirrors[1]!;
        const sealMessage = source.sealMessage.bind(source);
        source.sealMessage = (...message) => {
          sealed += message[0] === 'control' ? 1 : 0;
          return sealMessage(...message);
        };
      },
    );
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    // Twenty would have been due.
    assert.ok(sealed <= 2, `${sealed} messages`);
    control.resume();
    assertCompleted(pair, await finish(pair));
    await proxies[0]?.close();
  });

  it('makes no round too many when it is held at the last one', async () => {
    const control = new SessionControl();
    const pair = await start(
      { source: { control, downtimeLimitMs: 0, maxEpochs: 2 } },
      (event) => event.type === 'convergence',
      () => {
        control.pause();
        setTimeout(() => {
          control.resume();
        }, 50);
      },
    );
    const outcome = await finish(pair);
    assertCompleted(pair, outcome);
    assert.equal(outcome.source.convergence?.reason, 'epoch-limit');
    assert.equal(outcome.source.rounds.length, 3);
  });

  it('is cancelled while it is held', async () => {
    const control = new SessionControl();
    const pair = await start({ source: { control } }, inState('precopy'), () => {
      control.pause();
      setTimeout(() => {
        control.cancel();
      }, 50);
    });
    const outcome = await finish(pair);
    assertRolledBack(pair, outcome);
    assert.match(outcome.source.error?.message ?? '', /cancelled/);
    assert.equal(outcome.source.outcome, 'aborted');
  });

  it('is cancelled at the destination', async () => {
    const control = new SessionControl();
    const pair = await start({ source: endless, destination: { control } }, afterRound(2), () => {
      control.cancel();
    });
    const outcome = await finish(pair);
    assertRolledBack(pair, outcome);
    assert.match(outcome.destination.error?.message ?? '', /cancelled/);
  });

  it('ends when its downtime limit is raised', async () => {
    const control = new SessionControl();
    const pair = await start({ source: { ...endless, control } }, afterRound(3), () => {
      control.set({ downtimeLimitMs: 60_000 });
    });
    const outcome = await finish(pair);
    assertCompleted(pair, outcome);
    assert.equal(outcome.source.convergence?.reason, 'fits');
    assert.equal(outcome.source.convergence.downtimeLimitMs, 60_000);
    assert.ok(pair.source.events.some(({ type }) => type === 'settings'));
  });

  it('cannot be held or cancelled once the guest is handed over', async () => {
    const control = new SessionControl();
    const errors: unknown[] = [];
    const pair = await start({ source: { control } }, inState('committing'), () => {
      for (const call of [
        () => {
          control.pause();
        },
        () => {
          control.cancel();
        },
      ]) {
        try {
          call();
        } catch (error) {
          errors.push((error as { code?: unknown }).code);
        }
      }
    });
    assertCompleted(pair, await finish(pair));
    const late = 'ERR_PAGEFERRY_CONTROL_LATE';
    assert.deepEqual(errors, [late, late]);
  });

  it('takes a handle once', async () => {
    const control = new SessionControl();
    const first = await start({ source: { control } });
    assertCompleted(first, await finish(first));
    const second = await start({ source: { control } });
    const { source } = { source: await second.source.report };
    assert.equal(source.error?.code, 'ERR_PAGEFERRY_CONTROL_USED');
    second.destination.abort.abort();
    await finish(second);
  });

  it('shows itself with the fields of the report', async () => {
    const control = new SessionControl();
    const seen: Record<string, unknown>[] = [];
    const pair = await start({ source: { control } }, afterRound(1), () => {
      seen.push({ ...control.status() });
    });
    const { source } = await finish(pair);
    const [status = {}] = seen;
    const optional = new Set(['downtimeParts', 'convergence']);
    const missing = Object.keys(source).filter((key) => !(key in status) && !optional.has(key));
    assert.deepEqual(missing, []);
    assert.equal(status['outcome'], 'running');
    assert.equal(status['state'], 'precopy');
    assert.equal(control.status().outcome, 'completed');
  });
});

describe('a guest that writes faster than the limit lets its pages go', () => {
  // 20,000 pages/s are 80 MB/s.
  const guest = { bytes: 4 * 1024 * 1024, dirtyPagesPerMs: 20 };
  const source = { maxBandwidthBytesPerSecond: 16e6, downtimeLimitMs: 20, maxEpochs: 100 };
  const pairs: Pair[] = [];

  afterEach(async () => {
    for (const pair of pairs.splice(0)) await dispose(pair);
  });

  async function start(
    onStall: 'throttle' | 'abort' | 'stop',
    canThrottle: boolean,
  ): Promise<Pair> {
    const world = fakeWorld({ ...guest, canThrottle });
    const pair = await startPair({ world, source: { ...source, onStall } });
    pairs.push(pair);
    return pair;
  }

  it('stop: is stopped, and the report says why', async () => {
    const pair = await start('stop', false);
    const outcome = await finish(pair);
    assertCompleted(pair, outcome);
    const { convergence, downtimeMs } = outcome.source;
    assert.equal(convergence?.chosen, 'stop');
    assert.equal(convergence.reason, 'stalled');
    assert.ok((downtimeMs ?? 0) > source.downtimeLimitMs);
    assert.ok(convergence.estimatedDowntimeMs > source.downtimeLimitMs);
  }).timeout(120_000);

  it('abort: runs on at the source, and the report says why', async () => {
    const pair = await start('abort', false);
    const outcome = await finish(pair);
    assertRolledBack(pair, outcome);
    assert.equal(outcome.source.outcome, 'aborted');
    assert.equal(outcome.source.error?.code, 'ERR_PAGEFERRY_NOT_CONVERGING');
    assert.equal(outcome.source.convergence?.chosen, 'abort');
  }).timeout(120_000);

  it('throttle: is slowed down until it fits', async () => {
    const pair = await start('throttle', true);
    const outcome = await finish(pair);
    assertCompleted(pair, outcome);
    const { convergence } = outcome.source;
    const { throttled } = pair.source.guest as FakeGuest;
    assert.equal(throttled[0], 20);
    assert.deepEqual(
      throttled,
      [...throttled].sort((left, right) => left - right),
    );
    assert.ok(convergence);
    assert.equal(convergence.throttlePercent, throttled.at(-1));
    assert.match(convergence.reason, /^(fits|fixed-cost|throttle-exhausted)$/);
  }).timeout(120_000);
});
