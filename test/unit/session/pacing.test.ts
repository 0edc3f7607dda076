import { strict as assert } from 'node:assert';

import type { Clock } from '../../../src/session/clock.js';
import { BANDWIDTH_LIMIT_MIN, Pacer } from '../../../src/session/pacing.js';
import { RECORD_BYTES_MAX, RECORD_DATA_PAGES_MAX } from '../../../src/limits.js';
import { withSeed } from '../../support/random.js';

/** Time that moves when it is told to. */
class TestClock implements Clock {
  nowMs = 0;
  readonly timers = new Set<{ atMs: number; run: () => void }>();

  now(): number {
    return this.nowMs;
  }

  after(delayMs: number, run: () => void): () => void {
    const timer = { atMs: this.nowMs + delayMs, run };
    this.timers.add(timer);
    return () => this.timers.delete(timer);
  }

  soon(run: () => void): void {
    this.after(0, run);
  }

  /** Runs what is due up to `untilMs`; each timer as late as `lateMs` says. */
  run(untilMs: number, lateMs: () => number = () => 0): void {
    for (;;) {
      const [next] = [...this.timers].sort((left, right) => left.atMs - right.atMs);
      if (next === undefined || next.atMs > untilMs) break;
      this.timers.delete(next);
      this.nowMs = Math.max(this.nowMs, next.atMs + lateMs());
      next.run();
    }
    this.nowMs = Math.max(this.nowMs, untilMs);
  }
}

interface Sent {
  readonly atMs: number;
  readonly bytes: number;
}

/** A lane that always has a frame of `frameBytes()` to send. */
function greedyLane(
  clock: TestClock,
  pacer: Pacer,
  frameBytes: () => number,
  sent: Sent[],
  untilMs: number,
): void {
  let bytes = frameBytes();
  const pump = (): void => {
    while (clock.nowMs < untilMs) {
      if (!pacer.tryTake(bytes)) {
        pacer.wait(bytes, pump);
        return;
      }
      sent.push({ atMs: clock.nowMs, bytes });
      bytes = frameBytes();
    }
  };
  pump();
}

/** Most bytes that were sent within any second. */
function busiestSecond(sent: readonly Sent[]): number {
  let most = 0;
  let sum = 0;
  let from = 0;
  for (const { atMs, bytes } of sent) {
    sum += bytes;
    while ((sent[from]?.atMs ?? atMs) <= atMs - 1000) sum -= sent[from++]?.bytes ?? 0;
    most = Math.max(most, sum);
  }
  return most;
}

function total(sent: readonly Sent[]): number {
  return sent.reduce((sum, { bytes }) => sum + bytes, 0);
}

describe('the token bucket of a session', () => {
  for (const limit of [BANDWIDTH_LIMIT_MIN, 5e6, 50e6, 200e6, 800e6]) {
    it(`keeps four lanes within 5 % of ${limit} B/s over any second, and above 95 %`, () =>
      withSeed((seeded) => {
        const random = (): number => seeded.word() / 2 ** 32;
        const clock = new TestClock();
        const pacer = new Pacer(clock, limit);
        const frames = pacer.recordPages * 4096 + 500;
        const sent: Sent[] = [];
        for (let lane = 0; lane < 4; lane += 1) {
          greedyLane(clock, pacer, () => Math.ceil(frames * (0.3 + 0.7 * random())), sent, 5000);
        }
        clock.run(5000, () => (random() < 0.1 ? 15 * random() : random()));
        const most = busiestSecond(sent);
        assert.ok(most <= limit * 1.05, `${most} bytes in a second`);
        assert.ok(total(sent) >= limit * 5 * 0.95, `${total(sent)} bytes in 5 s`);
      }));
  }

  it('lets frames that never wait count all the same', () => {
    const clock = new TestClock();
    const pacer = new Pacer(clock, 1e6);
    pacer.charge(500_000);
    assert.equal(pacer.tryTake(1000), false);
    clock.run(499);
    assert.equal(pacer.tryTake(1000), false);
    clock.run(510);
    assert.equal(pacer.tryTake(1000), true);
  });

  it('lets a frame larger than the bucket go, and pays for it afterwards', () => {
    const clock = new TestClock();
    const pacer = new Pacer(clock, 1e6);
    clock.run(1000);
    assert.equal(pacer.tryTake(RECORD_BYTES_MAX), true);
    clock.run(2000);
    assert.equal(pacer.tryTake(100), false);
    clock.run(3000);
    assert.equal(pacer.tryTake(100), true);
  });

  it('wakes those that wait when the limit goes', () => {
    const clock = new TestClock();
    const pacer = new Pacer(clock, BANDWIDTH_LIMIT_MIN);
    const sent: Sent[] = [];
    greedyLane(clock, pacer, () => 100_000, sent, 2);
    assert.equal(sent.length, 0);
    pacer.set(100e6);
    clock.run(1.5);
    assert.equal(sent.length, 1);
  });

  it('follows a limit that changes while it runs', () => {
    const clock = new TestClock();
    const pacer = new Pacer(clock, 10e6);
    const sent: Sent[] = [];
    greedyLane(clock, pacer, () => 50_000, sent, 6000);
    clock.run(2000);
    pacer.set(40e6);
    clock.run(4000);
    pacer.set(5e6);
    clock.run(6000);
    const within = (fromMs: number, toMs: number): number =>
      total(sent.filter(({ atMs }) => atMs >= fromMs && atMs < toMs)) / ((toMs - fromMs) / 1000);
    for (const [fromMs, toMs, rate] of [
      [500, 1900, 10e6],
      [2500, 3900, 40e6],
      [4500, 5900, 5e6],
    ] as const) {
      const measured = within(fromMs, toMs);
      assert.ok(Math.abs(measured / rate - 1) < 0.05, `${measured} B/s at ${rate}`);
    }
  });

  it('asks for records that fit, and for whole ones where nothing limits', () => {
    const clock = new TestClock();
    assert.equal(new Pacer(clock).recordPages, RECORD_DATA_PAGES_MAX);
    assert.equal(new Pacer(clock, 800e6).recordPages, RECORD_DATA_PAGES_MAX);
    assert.equal(new Pacer(clock, BANDWIDTH_LIMIT_MIN).recordPages, 1);
    assert.ok(new Pacer(clock).tryTake(1e12));
  });

  it('leaves no timer behind', () => {
    const clock = new TestClock();
    const pacer = new Pacer(clock, 1e6);
    pacer.wait(1000, () => assert.fail('called after the end'));
    pacer.close();
    assert.equal(clock.timers.size, 0);
  });
});
