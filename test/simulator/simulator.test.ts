/**
 * Sessions by the thousand; see session.ts. PAGEFERRY_SIM_SESSIONS=N runs N of them,
 * PAGEFERRY_SIM_FIRST=N begins at another seed, PAGEFERRY_SIM_SEED=N runs that one alone.
 */
import { strict as assert } from 'node:assert';

import { withScratch } from '../support/scratch.js';
import { plant, plantedBugs } from './bugs.js';
import { runSeed, runSeeds, SeedFailure } from './campaign.js';

const SESSIONS_DEFAULT = 20_000;
/** So many in one test, so that its time limit means something. */
const SESSIONS_PER_TEST = 2_000;
/** Every planted bug shows itself in the first few hundred; the slowest says how many it took. */
const SEEDS_PER_BUG = 2_000;

function setting(name: string, otherwise: number): number {
  const text = process.env[name];
  return text === undefined ? otherwise : Number(text);
}

const only = process.env['PAGEFERRY_SIM_SEED'];
const sessions = only === undefined ? setting('PAGEFERRY_SIM_SESSIONS', SESSIONS_DEFAULT) : 1;
const first = only === undefined ? setting('PAGEFERRY_SIM_FIRST', 1) : Number(only);

describe('the simulator', function () {
  this.timeout(600_000);

  for (let done = 0; done < sessions; done += SESSIONS_PER_TEST) {
    const from = first + done;
    const count = Math.min(SESSIONS_PER_TEST, sessions - done);
    it(`breaks no rule with seeds ${from} to ${from + count - 1}`, async () => {
      const { outcomes } = await runSeeds(from, count);
      if (count === 1) return;
      // It would prove nothing if all of them went well, or none.
      const texts = [...outcomes.keys()];
      for (const outcome of ['completed', 'aborted', 'failed', 'IN_DOUBT', 'paused there']) {
        assert.ok(
          count < 500 || texts.some((text) => text.includes(outcome)),
          `none was ${outcome}: ${texts.join('; ')}`,
        );
      }
    });
  }

  it('gives the same session for the same seed', async () => {
    const traces = new Set<number>();
    for (let seed = first; seed < first + 40; seed += 1) {
      const [one, other] = [await runSeed(seed), await runSeed(seed)];
      assert.equal(one.trace, other.trace, `seed ${seed}`);
      assert.equal(one.endMs, other.endMs, `seed ${seed}`);
      assert.equal(one.steps, other.steps, `seed ${seed}`);
      traces.add(one.trace);
    }
    assert.equal(traces.size, 40, 'two seeds give the same session');
  });

  for (const bug of plantedBugs) {
    it(`finds a session that ${bug.name}`, () =>
      withScratch(async (directory) => {
        const subject = await plant(bug, directory);
        const failure = await runSeeds(1, SEEDS_PER_BUG, subject).then(
          () => undefined,
          (error: unknown) => error,
        );
        assert.ok(failure instanceof SeedFailure, `not in ${SEEDS_PER_BUG} seeds`);
        assert.match(failure.message, bug.breach);
        assert.match(failure.message, /PAGEFERRY_SIM_SEED=\d+/);
        // The seed alone shows it again.
        const { breach } = await runSeed(failure.seed, subject);
        assert.equal(breach?.message, (failure.cause as Error).message);
      }));
  }
});
