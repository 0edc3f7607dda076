import { strict as assert } from 'node:assert';

import { fakeWorld } from '../../support/session/fake-world.js';
import {
  assertCompleted,
  assertRolledBack,
  dispose,
  finish,
  startPair,
  states,
} from '../../support/session/pair.js';
import type { Pair, PairOptions } from '../../support/session/pair.js';

describe('a session, on fakes', () => {
  const pairs: Pair[] = [];

  async function start(options: PairOptions): Promise<Pair> {
    const pair = await startPair(options);
    pairs.push(pair);
    return pair;
  }

  afterEach(async () => {
    for (const pair of pairs.splice(0)) await dispose(pair);
  });

  for (const listener of ['source', 'destination'] as const) {
    for (const address of [undefined, 'tcp://127.0.0.1:0']) {
      it(`moves the guest when the ${listener} listens over ${address ?? 'memory'}`, async () => {
        const world = fakeWorld();
        const pair = await start({ world, listener, ...(address ? { address } : {}), lanes: 3 });
        const outcome = await finish(pair);
        assertCompleted(pair, outcome);
        assert.equal(outcome.source.lanes, 3);
        assert.ok(world.mirrors.every((mirror) => mirror.isClosed));
        assert.ok(world.mirrors.every(({ slots }) => slots.free === slots.total));
        assert.deepEqual(states(pair.source), [
          'connecting',
          'handshake',
          'layout',
          'precopy',
          'stopping',
          'ready',
          'committing',
          'committed',
          'completed',
        ]);
      });
    }
  }

  it('rolls back when the source is stopped', async () => {
    const pair = await start({
      world: fakeWorld(),
      onEvent: (role, event) => {
        if (role === 'source' && event.type === 'state' && event.state === 'precopy') {
          pair.source.abort.abort();
        }
      },
    });
    const outcome = await finish(pair);
    assertRolledBack(pair, outcome);
    assert.equal(outcome.source.error?.code, 'ERR_PAGEFERRY_ABORTED');
    assert.equal(outcome.destination.error?.code, 'ERR_PAGEFERRY_PEER_ABORTED');
  });
});
