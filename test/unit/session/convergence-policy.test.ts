import { strict as assert } from 'node:assert';

import type { StopDecision } from '../../../src/session/convergence.js';
import {
  converges,
  ConvergencePolicy,
  roundsNeeded,
  type Trend,
} from '../../../src/session/convergence-policy.js';
import type { ConvergenceReport } from '../../../src/session/types.js';

const trend: Trend = {
  pagesLeft: 64_000,
  budgetPages: 1000,
  sentPagesPerSecond: 100_000,
  dirtyPagesPerSecond: 50_000,
  roundsLeft: 10,
};
const hopeless: Trend = { ...trend, dirtyPagesPerSecond: 120_000 };
const open: StopDecision = {
  estimatedDowntimeMs: 640,
  downtimeLimitMs: 300,
  budgetPages: 1000,
  pagesPerSecond: 100_000,
  stop: undefined,
};

function policyOf(guest: { throttle?: (percent: number) => Promise<void> } = {}): {
  policy: ConvergencePolicy;
  told: ConvergenceReport[];
} {
  const told: ConvergenceReport[] = [];
  const policy = new ConvergencePolicy(guest, (report) => told.push(report));
  return { policy, told };
}

describe('the prediction of precopy', () => {
  it('counts the rounds until what is left fits', () => {
    // 64,000 halves six times to 1000.
    assert.equal(roundsNeeded(trend), 6);
    assert.equal(converges(trend), true);
    assert.equal(roundsNeeded({ ...trend, pagesLeft: 900 }), 0);
    assert.equal(roundsNeeded({ ...trend, dirtyPagesPerSecond: 0 }), 1);
  });

  it('sees no end where the guest writes as fast as the lanes carry', () => {
    assert.equal(roundsNeeded(hopeless), Infinity);
    assert.equal(roundsNeeded({ ...trend, dirtyPagesPerSecond: 96_000 }), Infinity);
    assert.equal(roundsNeeded({ ...trend, sentPagesPerSecond: 0 }), Infinity);
  });

  it('sees no end in more rounds than there may be', () => {
    assert.equal(converges({ ...trend, roundsLeft: 5 }), false);
    assert.equal(converges({ ...trend, roundsLeft: 6 }), true);
  });
});

describe('the policy for a stall', () => {
  it('does nothing after one bad round, or without a policy', async () => {
    const { policy, told } = policyOf();
    assert.equal(await policy.decide(open, hopeless, 'stop'), false);
    assert.equal(await policy.decide(open, trend, 'stop'), false);
    assert.equal(await policy.decide(open, hopeless, 'stop'), false);
    for (let round = 0; round < 5; round += 1) {
      assert.equal(await policy.decide(open, hopeless, null), false);
    }
    assert.deepEqual(told, []);
  });

  it('stop: accepts the downtime, and says why', async () => {
    const { policy } = policyOf();
    await policy.decide(open, hopeless, 'stop');
    assert.equal(await policy.decide(open, hopeless, 'stop'), true);
    assert.equal(policy.report?.chosen, 'stop');
    assert.equal(policy.report.reason, 'stalled');
    assert.equal(policy.report.estimatedDowntimeMs, 640);
    assert.match(policy.report.detail, /120,000 new pages\/s, the lanes carry 100,000/);
  });

  it('abort: gives up with a typed error, also at the limit of rounds', async () => {
    const { policy } = policyOf();
    await policy.decide(open, hopeless, 'abort');
    const refused = { code: 'ERR_PAGEFERRY_NOT_CONVERGING', name: 'AbortError' };
    await assert.rejects(policy.decide(open, hopeless, 'abort'), refused);
    assert.equal(policy.report?.chosen, 'abort');
    const atLimit: StopDecision = { ...open, stop: 'epoch-limit' };
    await assert.rejects(policyOf().policy.decide(atLimit, trend, 'abort'), refused);
  });

  it('throttle: step by step to the most there is, then stops all the same', async () => {
    const steps: number[] = [];
    const { policy } = policyOf({
      throttle: (percent) => Promise.resolve(void steps.push(percent)),
    });
    let rounds = 0;
    while (!(await policy.decide(open, hopeless, 'throttle'))) rounds += 1;
    assert.deepEqual(steps, [20, 30, 40, 50, 60, 70, 80, 90, 99]);
    assert.equal(rounds, steps.length * 2 + 1);
    assert.equal(policy.report?.chosen, 'stop');
    assert.equal(policy.report.reason, 'throttle-exhausted');
    assert.equal(policy.report.throttlePercent, 99);
    await policy.release();
    assert.equal(steps.at(-1), 0);
  });

  it('throttle: says that it was what let precopy converge', async () => {
    const { policy } = policyOf({ throttle: () => Promise.resolve() });
    await policy.decide(open, hopeless, 'throttle');
    await policy.decide(open, hopeless, 'throttle');
    assert.equal(await policy.decide({ ...open, stop: 'fits' }, trend, 'throttle'), true);
    assert.equal(policy.report?.chosen, 'throttle');
    assert.equal(policy.report.reason, 'fits');
    assert.equal(policy.report.throttlePercent, 20);
  });

  it('throttle: stops a guest that cannot be slowed down', async () => {
    const { policy } = policyOf();
    await policy.decide(open, hopeless, 'throttle');
    assert.equal(await policy.decide(open, hopeless, 'throttle'), true);
    assert.equal(policy.report?.reason, 'throttle-unsupported');
  });

  it('leaves a guest alone that was never slowed down', async () => {
    const { policy } = policyOf({ throttle: () => assert.fail('slowed down') });
    await policy.release();
    await policy.decide({ ...open, stop: 'fits' }, trend, 'throttle');
    assert.equal(policy.report?.chosen, 'none');
  });
});
