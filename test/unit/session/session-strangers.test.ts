import { strict as assert } from 'node:assert';
import { randomBytes } from 'node:crypto';

import type { Guest } from '../../../src/guest/contract.js';
import { runDestinationWith } from '../../../src/session/destination.js';
import { runSourceWith } from '../../../src/session/source.js';
import type { MigrationReport, SessionEvent, SourceOptions } from '../../../src/session/types.js';
import { transportFor } from '../../../src/transport/registry.js';
import { encodeFrame } from '../../../src/wire/frames.js';
import { PeerRole } from '../../../src/wire/generated/frames_pb.js';
import { fakeWorld } from '../../support/session/fake-world.js';
import {
  assertCompleted,
  assertRolledBack,
  dialSource,
  dispose,
  finish,
  startPair,
} from '../../support/session/pair.js';
import type { Pair, PairOptions } from '../../support/session/pair.js';
import { dialStranger, helloFrame, talkGarbage } from '../../support/session/strangers.js';

const anyTcp = 'tcp://127.0.0.1:0';
/** Guests that destinations have become owners of. */
const received: Guest[] = [];

/** A destination that listens, before its peer comes. */
async function listening(events: SessionEvent[]): Promise<{
  address: string;
  secret: Uint8Array;
  report: Promise<MigrationReport>;
  stop: () => void;
}> {
  const secret = randomBytes(32);
  const world = fakeWorld();
  const abort = new AbortController();
  const { transport, url } = await transportFor(anyTcp);
  let report: Promise<MigrationReport> | undefined;
  const address = await new Promise<string>((resolve) => {
    report = runDestinationWith(
      {
        laneSource: {
          mode: 'listen',
          listen: (onLane) => transport.listen(url, { maxFrameBytes: 2 ** 21 }, onLane),
        },
        transport: 'tcp',
        secret,
        engine: 'in-process',
        vcpus: 1,
        windowBytes: 8 << 20,
        signal: abort.signal,
        peerTimeoutMs: 3000,
        onEvent: (event) => {
          events.push(event);
          if (event.type === 'listening') resolve(event.address);
        },
        openGuest: async (layout) => {
          const guest = await world.openDestination(layout);
          received.push(guest);
          return guest;
        },
        recordDecision: () => Promise.resolve(),
      },
      world.dependencies,
    );
  });
  const stop = (): void => {
    abort.abort();
  };
  return { address, secret, report: report!, stop };
}

async function send(
  address: string,
  secret: Uint8Array,
  options: Partial<SourceOptions> = {},
): Promise<MigrationReport> {
  const world = fakeWorld();
  const guest = await world.openSource();
  const { transport } = await transportFor(anyTcp);
  const report = await runSourceWith(
    {
      laneSource: dialSource(transport, address, 2),
      transport: 'tcp',
      secret,
      engine: 'in-process',
      vcpus: 1,
      windowBytes: 8 << 20,
      peerTimeoutMs: 3000,
      guest,
      codec: 'none',
      level: 0,
      padBytes: 0,
      downtimeLimitMs: 300,
      maxEpochs: 10,
      verify: true,
      ...options,
    },
    world.dependencies,
  );
  await guest.close();
  return report;
}

function refusals(events: readonly SessionEvent[]): string[] {
  return events.flatMap((event) =>
    event.type === 'refused' ? [String((event.error as { code?: unknown }).code)] : [],
  );
}

describe('a listening session', () => {
  afterEach(async () => {
    for (const guest of received.splice(0)) await guest.close();
  });

  it('refuses a peer with another key, says so to both, and takes the rightful one', async () => {
    const events: SessionEvent[] = [];
    const { address, secret, report } = await listening(events);
    const wrong = await send(address, randomBytes(32));
    assert.equal(wrong.error?.code, 'ERR_PAGEFERRY_SECRET');
    assert.match(wrong.error.message, /another one/);
    assert.equal(wrong.outcome, 'failed');
    assert.equal(wrong.guest.state, 'running');
    assert.equal(refusals(events).length, 1);
    const right = await send(address, secret);
    assert.equal(right.outcome, 'completed', right.error?.message);
    assert.equal((await report).outcome, 'completed');
  });

  it('goes on while strangers talk garbage, and takes the rightful peer', async () => {
    const events: SessionEvent[] = [];
    const { address, secret, report } = await listening(events);
    await talkGarbage(address, 100);
    await talkGarbage(address, 100_000);
    const stranger = await dialStranger(address);
    await stranger.lane.send([randomBytes(64)]);
    await stranger.over;
    const right = await send(address, secret);
    assert.equal(right.outcome, 'completed', right.error?.message);
    assert.equal((await report).outcome, 'completed');
    assert.ok(refusals(events).length >= 2);
  });

  it('is not held up for long by a stranger who greets and falls silent', async () => {
    const events: SessionEvent[] = [];
    const { address, secret, report } = await listening(events);
    const stranger = await dialStranger(address);
    await stranger.lane.send([helloFrame(PeerRole.SOURCE)]);
    await stranger.lane.send([encodeFrame('handshake', { step: 1, message: randomBytes(48) })]);
    const right = await send(address, secret);
    assert.equal(right.outcome, 'completed', right.error?.message);
    assert.equal((await report).outcome, 'completed');
    await stranger.over;
    assert.deepEqual(refusals(events), ['ERR_PAGEFERRY_PEER_TIMEOUT']);
  });

  it('refuses another role, another version and an unknown session, each by name', async () => {
    const events: SessionEvent[] = [];
    const { address, report, stop } = await listening(events);
    for (const frame of [
      helloFrame(PeerRole.DESTINATION),
      helloFrame(PeerRole.SOURCE, new Uint8Array(0), 99),
      helloFrame(PeerRole.SOURCE, randomBytes(16)),
    ]) {
      const stranger = await dialStranger(address);
      await stranger.lane.send([frame]);
      await stranger.over;
      assert.equal(stranger.frames.at(-1)?.kind, 'goodbye');
    }
    stop();
    assert.equal((await report).error?.code, 'ERR_PAGEFERRY_ABORTED');
    assert.deepEqual(refusals(events), [
      'ERR_PAGEFERRY_ROLE',
      'ERR_PAGEFERRY_VERSION',
      'ERR_PAGEFERRY_UNKNOWN_SESSION',
    ]);
  });

  it('lets no more strangers wait than its limit', async () => {
    const events: SessionEvent[] = [];
    const { address, secret, report, stop } = await listening(events);
    const strangers = await Promise.all(Array.from({ length: 40 }, () => dialStranger(address)));
    await Promise.all(strangers.slice(0, 24).map(() => Promise.race(strangers.map((s) => s.over))));
    for (const stranger of strangers) stranger.lane.abort();
    await Promise.all(strangers.map(({ over }) => over));
    const right = await send(address, secret);
    assert.equal(right.outcome, 'completed', right.error?.message);
    assert.equal((await report).outcome, 'completed');
    stop();
  });

  it('takes the rightful peer while 200 hold connections and say nothing', async () => {
    const events: SessionEvent[] = [];
    const { address, secret, report, stop } = await listening(events);
    const strangers = await Promise.all(Array.from({ length: 200 }, () => dialStranger(address)));
    const right = await send(address, secret);
    assert.equal(right.outcome, 'completed', right.error?.message);
    assert.equal((await report).outcome, 'completed');
    const crowded = refusals(events).filter((code) => code === 'ERR_PAGEFERRY_TOO_MANY_LANES');
    assert.ok(crowded.length >= 100, 'the log says who had to go');
    for (const stranger of strangers) stranger.lane.abort();
    await Promise.all(strangers.map(({ over }) => over));
    stop();
  });

  it('refuses a second peer while a session is under way', async () => {
    const events: SessionEvent[] = [];
    const { address, secret, report } = await listening(events);
    const first = send(address, secret, { downtimeLimitMs: 0.001, maxEpochs: 200 });
    while (!events.some(({ type }) => type === 'established')) await new Promise(setImmediate);
    const second = await send(address, secret);
    assert.equal(second.error?.code, 'ERR_PAGEFERRY_REFUSED');
    assert.equal((await first).outcome, 'completed');
    assert.equal((await report).outcome, 'completed');
  });
});

describe('a dialing session', () => {
  const pairs: Pair[] = [];

  async function start(options: PairOptions): Promise<Pair> {
    const pair = await startPair(options);
    pairs.push(pair);
    return pair;
  }

  afterEach(async () => {
    for (const pair of pairs.splice(0)) await dispose(pair);
  });

  it('fails with the reason when both sides want to send', async () => {
    const world = fakeWorld();
    const pair = await start({ world, listener: 'source' });
    const clash = await send(pair.address, pair.secret, {
      laneSource: dialSource((await transportFor(pair.address)).transport, pair.address, 1),
    });
    assert.equal(clash.error?.code, 'ERR_PAGEFERRY_ROLE');
    assert.match(clash.error.message, /source/);
    assertCompleted(pair, await finish(pair));
  });

  it('fails with the reason when the destination dials with another key', async () => {
    const pair = await start({
      world: fakeWorld(),
      listener: 'source',
      destination: { secret: randomBytes(32) },
    });
    const destination = await pair.destination.report;
    assert.equal(destination.error?.code, 'ERR_PAGEFERRY_SECRET');
    pair.source.abort.abort();
    const outcome = await finish(pair);
    assertRolledBack(pair, outcome);
    assert.deepEqual(refusals(pair.source.events), ['ERR_PAGEFERRY_SECRET']);
  });

  it('fails clearly when nobody listens', async () => {
    const report = await send('tcp://127.0.0.1:9', randomBytes(32));
    assert.equal(report.outcome, 'failed');
    assert.match(report.error?.code ?? '', /^ERR_PAGEFERRY_TRANSPORT|^ERR_PAGEFERRY_LANE/);
    assert.equal(report.guest.state, 'running');
  });
});
