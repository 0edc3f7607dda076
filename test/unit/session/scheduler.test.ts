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
    const unknown = lane(0);
    assert.equal(pick([lane(0, 1), lane(100, 10), unknown]), unknown);
  });

  it('takes turns among lanes that are about as good', () => {
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

  it('is not known before a frame has been handed on, nor from small ones', () => {
    const rate = new DrainRate();
    assert.equal(rate.bytesPerMs(0), undefined);
    rate.begin(0);
    rate.handedOn(100, 5, true);
    assert.equal(rate.bytesPerMs(5), undefined);
  });

  it('is that of the frames, however long the lane was idle between them', () => {
    const rate = drained(5, 2);
    assert.equal(rate.bytesPerMs(10), 512 * KiB);
    assert.equal(rate.bytesPerMs(500), 512 * KiB);
    assert.equal(rate.busyMs(500), 10);
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
    for (let frame = 1; frame <= 20; frame += 1) rate.handedOn(1024 * KiB, 50 + frame * 8, false);
    const now = rate.bytesPerMs(210) ?? 0;
    assert.ok(now < 160 * KiB && now > 100 * KiB, `${now / KiB} KiB/ms`);
  });

  it('is forgotten after a while', () => {
    assert.equal(drained(5, 2).bytesPerMs(3000), undefined);
  });
});
