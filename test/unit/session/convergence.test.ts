import { strict as assert } from 'node:assert';

import { decideStop, measuredRate } from '../../../src/session/convergence.js';
import type { StopQuestion } from '../../../src/session/convergence.js';

const question: StopQuestion = {
  pagesLeft: 1000,
  rounds: [{ contentPages: 100_000, durationMs: 1000 }],
  fixed: { collectMs: 1, roundTripMs: 2, digestMs: 10 },
  pagesPerSecondMost: Infinity,
  downtimeLimitMs: 300,
  epochsDone: 1,
  maxEpochs: 30,
};

describe('the decision to stop the guest', () => {
  it('estimates what is left against the measured rate, and the fixed cost', () => {
    assert.equal(decideStop(question).estimatedDowntimeMs, 10 + 1 + 2 * 2 + 10);
  });

  it('knows a bandwidth limit before a round has felt it', () => {
    const limited = decideStop({ ...question, pagesPerSecondMost: 10_000 });
    assert.equal(limited.estimatedDowntimeMs, 100 + 1 + 2 * 2 + 10);
    assert.equal(limited.pagesPerSecond, 10_000);
  });

  it('stops when the estimate is within the limit, and not before', () => {
    assert.equal(decideStop({ ...question, pagesLeft: 28_500 }).stop, 'fits');
    assert.equal(decideStop({ ...question, pagesLeft: 28_501 }).stop, undefined);
  });

  it('stops when only a cost is left that further rounds cannot lower', () => {
    const fixed = { ...question.fixed, digestMs: 5000 };
    assert.equal(decideStop({ ...question, fixed, pagesLeft: 10_000 }).stop, undefined);
    assert.equal(decideStop({ ...question, fixed, pagesLeft: 3000 }).stop, 'fixed-cost');
  });

  it('stops after the last epoch allowed, whatever is left', () => {
    const hopeless = { ...question, pagesLeft: 1e7 };
    assert.equal(decideStop({ ...hopeless, epochsDone: 29 }).stop, undefined);
    assert.equal(decideStop({ ...hopeless, epochsDone: 30 }).stop, 'epoch-limit');
  });

  it('takes its rate from a round long enough to tell, the last such', () => {
    const long = { contentPages: 10_000, durationMs: 100 };
    assert.equal(measuredRate([long, { contentPages: 3, durationMs: 50 }]), 100_000);
    assert.equal(measuredRate([long, { contentPages: 2000, durationMs: 10 }]), 200_000);
    assert.ok(measuredRate([]) > 0);
    assert.ok(Number.isFinite(measuredRate([{ contentPages: 5000, durationMs: 0 }])));
  });
});
