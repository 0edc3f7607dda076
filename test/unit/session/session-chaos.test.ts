import { strict as assert } from 'node:assert';

import type { Lane } from '../../../src/transport/contract.js';
import type { Role } from '../../../src/session/types.js';
import type { Random } from '../../support/random.js';
import { withSeed } from '../../support/random.js';
import { fakeWorld } from '../../support/session/fake-world.js';
import { LaneTap } from '../../support/session/lane-tap.js';
import { dispose, finish, startPair } from '../../support/session/pair.js';
import type { Outcome, Pair } from '../../support/session/pair.js';

const sessions = Number(process.env['PAGEFERRY_CHAOS_SESSIONS'] ?? 60);

/** Cuts, flips, doubles and delays frames, each once in so many. */
function troubled(random: Random, lane: Lane, once: number): Lane {
  return new LaneTap(lane, async (tap, frame) => {
    if (random.once(once)) await new Promise((resolve) => setTimeout(resolve, random.below(20)));
    if (random.once(once * 4)) tap.abort(new Error('cut by the test'));
    if (random.once(once * 4)) frame.writeUInt8(random.below(256), random.below(frame.length));
    if (random.once(once * 2)) await lane.send([frame]);
    return true;
  });
}

/** What holds however a session ends. */
function assertInvariants(pair: Pair, { source, destination }: Outcome): void {
  const running = [pair.source.guest, pair.destination.guest].filter(
    (guest) => guest?.state === 'running',
  );
  assert.ok(running.length <= 1, 'the guest runs on both sides');
  const isInDoubt = source.error?.code === 'ERR_PAGEFERRY_IN_DOUBT';
  if (running.length === 0) assert.ok(isInDoubt, 'the guest runs nowhere, and nobody says so');
  const { decisions } = pair.destination;
  assert.ok(decisions.length <= 1 || decisions.join() === 'committed,aborted');
  if (decisions.includes('committed')) {
    assert.equal(source.guest.state, 'paused');
    assert.equal(destination.guest.state, 'running');
    assert.equal(destination.verified.guestSelfCheck, true);
  } else {
    // READY, and never told: it keeps what it has.
    const keeps = destination.error?.code === 'ERR_PAGEFERRY_IN_DOUBT' && decisions.length === 0;
    assert.equal(destination.guest.state, keeps ? 'paused' : 'gone');
    if (!isInDoubt) assert.equal(source.guest.state, 'running');
  }
  for (const lane of [...pair.source.lanes, ...pair.destination.lanes]) {
    assert.equal(lane.status, 'closed');
  }
}

async function troubledSession(random: Random): Promise<string> {
  const world = fakeWorld({
    bytes: (1 + random.below(24)) << 20,
    dirtyPagesPerMs: random.below(20),
  });
  const once = 5 + random.below(400);
  const peerTimeoutMs = 1000;
  const listener: Role = random.once(2) ? 'source' : 'destination';
  const pair = await startPair({
    world,
    listener,
    lanes: 1 + random.below(4),
    source: { peerTimeoutMs, maxEpochs: 1 + random.below(4) },
    destination: { peerTimeoutMs },
    tap: (_, lane) => troubled(random, lane, once),
  });
  // A listening side waits for ever; it is stopped when its peer has given up.
  const dialer = listener === 'source' ? pair.destination : pair.source;
  void dialer.report.then(() =>
    setTimeout(() => {
      pair[listener].abort.abort();
    }, 100),
  );
  const role: Role = random.once(2) ? 'source' : 'destination';
  const stop = random.once(4)
    ? setTimeout(() => {
        pair[role].abort.abort();
      }, random.below(200))
    : undefined;
  const outcome = await finish(pair);
  clearTimeout(stop);
  assertInvariants(pair, outcome);
  for (const { slots } of world.mirrors) assert.equal(slots.free, slots.total);
  await dispose(pair);
  return `${outcome.source.outcome} ${outcome.source.error?.code ?? ''}`;
}

describe('sessions in trouble', () => {
  it('have one owner at most, and end', async function () {
    this.timeout(sessions * 5000);
    const outcomes = new Map<string, number>();
    await withSeed(async (random) => {
      for (let count = 0; count < sessions; count += 4) {
        const batch = Array.from({ length: 4 }, () => troubledSession(random));
        for (const outcome of await Promise.all(batch)) {
          outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
        }
      }
    });
    if (process.env['PAGEFERRY_CHAOS_SESSIONS'] !== undefined) console.error(outcomes);
    assert.ok(outcomes.size > 1, 'no trouble at all');
  });
});
