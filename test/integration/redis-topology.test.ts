import { strict as assert } from 'node:assert';

import { until, within } from '../../src/transport/compliance/harness.js';
import { startCluster } from '../support/redis-cluster.js';
import { RedisLanes } from '../support/redis-lanes.js';
import { RedisServer } from '../support/redis-server.js';

describe('lanes over a Redis Cluster', () => {
  it('hash to different slots, and so to different nodes', async () => {
    const nodes = await startCluster();
    const lanes = new RedisLanes(`redis://127.0.0.1:${nodes[0]?.port ?? 0}`);
    try {
      for (let count = 0; count < 12; count += 1) await lanes.open();
      const perNode = await Promise.all(nodes.map((node) => node.command('KEYS', '*:[dl]')));
      const keys = perNode.map((names) => names as string[]);
      assert.equal(keys.flat().length, 24);
      // 12 lanes all on one of three nodes: once in 177,147 runs.
      assert.ok(keys.filter((names) => names.length > 0).length > 1, 'several nodes carry lanes');
      const slots = new Set<unknown>();
      for (const key of keys.flat()) slots.add(await nodes[0]?.command('CLUSTER', 'KEYSLOT', key));
      assert.ok(slots.size >= 10, `${slots.size} slots`);
      assert.ok(slots.size <= 12, 'both directions of a lane share a slot');
    } finally {
      await lanes.close();
      for (const node of nodes) await node.stop();
    }
  });
});

describe('lanes over Redis with a Sentinel', () => {
  it('find the master, and the next one after a failover', async () => {
    const master = await RedisServer.start();
    const replica = await RedisServer.start({
      arguments: ['--replicaof', `127.0.0.1 ${master.port}`, '--repl-diskless-sync-delay', '0'],
    });
    const sentinel = await RedisServer.startSentinel('ferry', master);
    const place = `redis://127.0.0.1:${sentinel.port}?sentinel=ferry`;
    const lanes = new RedisLanes(place);
    const after = new RedisLanes(place);
    try {
      const { dialed, accepted } = await lanes.open();
      await dialed.lane.send([Buffer.alloc(100_000)]);
      await until(() => accepted.sink.frames.length === 1, 'a frame crosses');
      // Refused until the Sentinel has heard from the replica.
      await sentinel.waitFor('the failover begins', () =>
        sentinel.command('SENTINEL', 'FAILOVER', 'ferry').then(
          () => true,
          (error: unknown) => {
            assert.match(String(error), /NOGOODSLAVE/);
            return false;
          },
        ),
      );
      await sentinel.waitFor('the replica takes over', async () => {
        const [, port] = (await sentinel.command(
          ...(['SENTINEL', 'GET-MASTER-ADDR-BY-NAME', 'ferry'] as const),
        )) as string[];
        return Number(port) === replica.port;
      });
      await lanes.close();
      const again = await within(after.open(), 'a new lane opens');
      await again.dialed.lane.send([Buffer.alloc(100_000)]);
      await until(() => again.accepted.sink.frames.length === 1, 'it works');
      assert.equal(String(await replica.command('KEYS', '*:l')).length > 0, true);
    } finally {
      await lanes.close();
      await after.close();
      for (const server of [sentinel, replica, master]) await server.stop();
    }
  }).timeout(90_000);
});
