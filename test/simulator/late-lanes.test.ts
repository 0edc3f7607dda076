/**
 * All lanes are lost when the destination is READY, and come back. The source gives up after its
 * reconnect timeout, and goes on saying so for once as long: within that the destination has to
 * learn it, and after that both have to end all the same.
 */
import { strict as assert } from 'node:assert';

import type { Role } from '../../src/session/types.js';
import { runPlan } from './campaign.js';
import { quietPlan } from './plan.js';
import type { Plan } from './plan.js';
import type { Run } from './session.js';

const seeds = Array.from({ length: 12 }, (_, index) => index + 1);

/** `outage` in source's reconnect timeouts; the destination is far more patient. */
async function outageAtReady(
  seed: number,
  listener: Role,
  timeoutMs: number,
  outage: number,
): Promise<Run> {
  const forMs = timeoutMs * outage;
  const when = { role: 'destination', state: 'ready', afterMs: 0 } as const;
  const quiet = quietPlan(seed, [{ act: 'part', forMs, isSilent: false, when }]);
  const plan: Plan = {
    ...quiet,
    listener,
    source: { ...quiet.source, reconnectTimeoutMs: timeoutMs },
    destination: { ...quiet.destination, reconnectTimeoutMs: timeoutMs * 10 },
  };
  const run = await runPlan(plan);
  if (run.breach !== undefined) throw run.breach;
  return run;
}

describe('lanes that are lost at READY', () => {
  for (const listener of ['source', 'destination'] as const) {
    for (const timeoutMs of [1500, 2000, 5000]) {
      const name = `and the source's limit is ${timeoutMs} ms, the ${listener} listening`;

      it(`and come back in time, ${name}, cost no more than the outage`, async () => {
        for (const seed of seeds) {
          const { source, decisions } = await outageAtReady(seed, listener, timeoutMs, 0.5);
          assert.equal(source?.outcome, 'completed', source?.error?.message);
          assert.deepEqual(decisions, ['committed']);
        }
      });

      for (const outage of [1.1, 1.5]) {
        it(`and come back at ${outage} of the limit, ${name}, tell that it gave up`, async () => {
          for (const seed of seeds) {
            const run = await outageAtReady(seed, listener, timeoutMs, outage);
            assert.equal(run.source?.guest.state, 'running');
            assert.equal(run.destination?.guest.state, 'gone', `seed ${seed}`);
            assert.deepEqual(run.decisions, ['aborted']);
          }
        });
      }

      it(`and come back when the source is gone, ${name}, leave a doubt that ends`, async () => {
        for (const seed of seeds) {
          const run = await outageAtReady(seed, listener, timeoutMs, 2.5);
          assert.equal(run.source?.guest.state, 'running');
          assert.equal(run.destination?.error?.code, 'ERR_PAGEFERRY_IN_DOUBT');
          assert.equal(run.destination.guest.state, 'paused');
        }
      });
    }
  }
});
