import { strict as assert } from 'node:assert';

import { Backoff } from '../../../src/session/backoff.js';
import { Connection } from '../../../src/session/connection.js';
import { stalledLanes } from '../../../src/session/lane-watch.js';
import type { WatchedLane } from '../../../src/session/lane-watch.js';
import {
  RECONNECT_TIMEOUT_MS_DEFAULT,
  REDIAL_PAUSE_MAX_MS,
  REDIAL_PAUSE_MIN_MS,
  REDIALS_PER_TIMEOUT,
} from '../../../src/session/limits.js';
import { ManualClock } from '../../support/session/manual-clock.js';

function connectionOn(clock: ManualClock, limit: { ms: number }) {
  const told: string[] = [];
  const connection = new Connection(clock, () => limit.ms, {
    lost: (limitMs) => told.push(`lost ${limitMs}`),
    restored: (outageMs) => told.push(`restored ${outageMs}`),
    expired: () => told.push(`expired at ${clock.now()}`),
  });
  return { connection, told };
}

describe('the connection to the peer', () => {
  it('may be lost for so long, and not longer', () => {
    const clock = new ManualClock();
    const { connection, told } = connectionOn(clock, { ms: 1000 });
    connection.lost();
    clock.advance(999);
    assert.deepEqual(told, ['lost 1000']);
    clock.advance(1);
    assert.deepEqual(told, ['lost 1000', 'expired at 1000']);
  });

  it('has its limit used up by outages in which nothing gets done', () => {
    const clock = new ManualClock();
    const { connection, told } = connectionOn(clock, { ms: 1000 });
    for (const outageMs of [400, 500]) {
      connection.lost();
      clock.advance(outageMs);
      connection.restored();
      clock.advance(10);
    }
    connection.lost();
    clock.advance(100);
    assert.equal(told.at(-1), 'expired at 1020');
  });

  it('has all of its limit again when the peer gets something done', () => {
    const clock = new ManualClock();
    const { connection, told } = connectionOn(clock, { ms: 1000 });
    connection.lost();
    clock.advance(900);
    connection.restored();
    connection.noteProgress();
    connection.lost();
    clock.advance(999);
    assert.equal(told.at(-1), 'lost 1000');
  });

  it('follows a limit that changes with the state', () => {
    const clock = new ManualClock();
    const limit = { ms: 1000 };
    const { connection, told } = connectionOn(clock, limit);
    connection.lost();
    clock.advance(300);
    limit.ms = 500;
    connection.rearm();
    clock.advance(200);
    assert.equal(told.at(-1), 'expired at 500');
  });

  it('does not count time without lanes against waits for the peer', async () => {
    const clock = new ManualClock();
    const { connection } = connectionOn(clock, { ms: 1000 });
    clock.advance(100);
    connection.noteProgress();
    clock.advance(50);
    connection.lost();
    clock.advance(400);
    assert.equal(connection.activityMs(), 550, 'now, while there is no lane');
    const connected = connection.connected();
    connection.restored();
    await connected;
    assert.equal(connection.activityMs(), 100 + 400);
    assert.equal(connection.startMs(150), 150 + 400);
  });
});

describe('pauses between attempts', () => {
  it('grow to their limit, with jitter, and begin again after a success', () => {
    for (const [random, share] of [
      [() => 0, 0.5],
      [() => 0.999999, 1],
    ] as const) {
      const backoff = new Backoff(random, RECONNECT_TIMEOUT_MS_DEFAULT);
      const pauses = Array.from({ length: 10 }, () => backoff.next());
      assert.ok(Math.abs((pauses[0] ?? 0) - REDIAL_PAUSE_MIN_MS * share) < 1);
      assert.ok(Math.abs((pauses[9] ?? 0) - REDIAL_PAUSE_MAX_MS * share) < 1);
      assert.deepEqual(
        [...pauses].sort((left, right) => left - right),
        pauses,
      );
      backoff.reset();
      assert.equal(backoff.next(), pauses[0]);
    }
  });

  it('leave room for many attempts within the reconnect timeout, however short', () => {
    for (const timeoutMs of [1, 300, 2_000, 5_000, 60_000]) {
      const backoff = new Backoff(() => 0.999999, timeoutMs);
      const longestMs = Math.max(...Array.from({ length: 20 }, () => backoff.next()));
      const shareMs = Math.max(REDIAL_PAUSE_MIN_MS, timeoutMs / REDIALS_PER_TIMEOUT);
      assert.ok(longestMs <= Math.min(shareMs, REDIAL_PAUSE_MAX_MS), `${longestMs} ms`);
    }
  });
});

describe('the watch over lanes', () => {
  const lane = (changes: Partial<WatchedLane> & { heard?: number } = {}): WatchedLane => ({
    isOpen: true,
    heardMs: () => changes.heard ?? 10_000,
    owesSinceMs: undefined,
    acknowledgedMs: 0,
    ...changes,
  });

  it('drops a lane on which nothing is heard while another speaks', () => {
    const silent = lane({ heard: 4000 });
    assert.deepEqual(stalledLanes([silent, lane()], 10_000, 5000), [silent]);
    assert.deepEqual(stalledLanes([silent, lane()], 10_000, 6000), []);
  });

  it('drops none when all are silent, or there is one alone', () => {
    assert.deepEqual(stalledLanes([lane({ heard: 1 }), lane({ heard: 2 })], 90_000, 5000), []);
    assert.deepEqual(stalledLanes([lane({ heard: 1 })], 90_000, 5000), []);
  });

  it('drops a lane that owes acknowledgements while another gives them', () => {
    const owing = lane({ owesSinceMs: 4000 });
    assert.deepEqual(stalledLanes([owing, lane({ acknowledgedMs: 4001 })], 10_000, 5000), [owing]);
    assert.deepEqual(stalledLanes([owing, lane({ acknowledgedMs: 3999 })], 10_000, 5000), []);
    assert.deepEqual(stalledLanes([owing, lane({ acknowledgedMs: 4001 })], 9000, 5000), []);
  });
});
