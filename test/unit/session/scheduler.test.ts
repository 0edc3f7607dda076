import { strict as assert } from 'node:assert';

import { DrainRate } from '../../../src/session/drain-rate.js';
import { pickLane } from '../../../src/session/scheduler.js';

const KiB = 1024;

interface FakeLane {
  readonly queuedBytes: number;
  readonly givenBytes: number;
  readonly isOpen: boolean;
  bytesPerMs(nowMs: number): number | undefined;
}

function lane(queuedBytes: number, rate?: number, more: Partial<FakeLane> = {}): FakeLane {
  return { queuedBytes, givenBytes: 0, isOpen: true, bytesPerMs: () => rate, ...more };
}

const pick = (lanes: readonly FakeLane[], bytes = 1): FakeLane | undefined =>
  pickLane(lanes, bytes, 0);

describe('the choice of a lane', () => {
  it('falls on the open lane with the fewest queued bytes while no rate is known', () => {
    const best = lane(10);
    assert.equal(pick([lane(20), best, lane(5, 1, { isOpen: false }), lane(30)]), best);
  });

  it('falls on the lane that drains first, whatever is queued', () => {
    const fast = lane(4000, 100);
    assert.equal(pick([lane(1000, 10), fast]), fast);
    const slowAndIdle = lane(0, 1);
    assert.equal(pick([slowAndIdle, fast], 1000), fast);
    assert.equal(pick([slowAndIdle, fast], 10), slowAndIdle);
  });

  it('takes a lane of unknown rate for as fast as the fastest', () => {
    const unknown = lane(50);
    assert.equal(pick([lane(0, 1), lane(100, 10), unknown], 1000), unknown);
  });

  it('falls on the one with least to do, in turns, where all drain at once', () => {
    const least = lane(0, 20_000);
    assert.equal(pick([lane(50_000, 90_000), least], 1000), least);
    const fresh = lane(0, 90, { givenBytes: 100 });
    assert.equal(pick([lane(0, 100, { givenBytes: 200 }), fresh]), fresh);
  });

  it('falls on none when none is open', () => {
    assert.equal(pick([lane(0, 1, { isOpen: false })]), undefined);
    assert.equal(pick([]), undefined);
  });
});

describe('the rate at which a lane drains', () => {
  /** A lane that hands on `count` frames of 1 MiB, one every `everyMs`. */
  function drained(count: number, everyMs: number): DrainRate {
    const rate = new DrainRate();
    rate.begin(0);
    for (let frame = 1; frame <= count; frame += 1) {
      rate.handedOn(1024 * KiB, frame * everyMs, frame === count);
    }
    return rate;
  }

  it('is not known before a few frames have been handed on, nor from small ones', () => {
    assert.equal(drained(3, 2).bytesPerMs(6), undefined);
    assert.notEqual(drained(4, 2).bytesPerMs(8), undefined);
    const rate = new DrainRate();
    for (let frame = 1; frame <= 10; frame += 1) {
      rate.begin(frame);
      rate.handedOn(100, frame, true);
    }
    assert.equal(rate.bytesPerMs(10), undefined);
  });

  it('is that of the frames, however long the lane was idle between them', () => {
    const rate = drained(5, 2);
    assert.equal(rate.bytesPerMs(10), 512 * KiB);
    assert.equal(rate.bytesPerMs(500), 512 * KiB);
    assert.equal(rate.busyMs(500), 10);
  });

  it('does not sink because one frame took long', () => {
    const rate = drained(5, 2);
    rate.begin(100);
    rate.handedOn(1024 * KiB, 200, true);
    assert.equal(rate.bytesPerMs(200), 512 * KiB);
  });

  it('sinks while a frame is not handed on', () => {
    const rate = drained(5, 2);
    rate.begin(100);
    const before = rate.bytesPerMs(100) ?? 0;
    assert.ok((rate.bytesPerMs(200) ?? Infinity) < before / 10);
  });

  it('follows a line that becomes slower', () => {
    const rate = drained(50, 1);
    rate.begin(50);
    for (let frame = 1; frame <= 4; frame += 1) rate.handedOn(1024 * KiB, 50 + frame * 8, false);
    assert.equal(rate.bytesPerMs(82), 128 * KiB);
  });

  it('is forgotten after a while', () => {
    assert.equal(drained(5, 2).bytesPerMs(3000), undefined);
  });
});
