/** A Cluster of three Redis servers. */
import { setTimeout as sleep } from 'node:timers/promises';

import { RedisServer } from './redis-server.js';
import { refusedPort } from './tcp-peers.js';

const slots = 16_384;
const patienceMs = 20_000;

/** Starts three nodes that share all slots, and waits until each knows that it does. */
export async function startCluster(): Promise<readonly RedisServer[]> {
  const nodes: RedisServer[] = [];
  const busPorts: number[] = [];
  for (let index = 0; index < 3; index += 1) {
    const busPort = await refusedPort();
    const cluster = ['--cluster-enabled', 'yes', '--cluster-port', String(busPort)];
    busPorts.push(busPort);
    nodes.push(await RedisServer.start({ arguments: cluster }));
  }
  for (const [index, node] of nodes.entries()) {
    const first = Math.ceil((slots * index) / 3);
    const last = Math.ceil((slots * (index + 1)) / 3) - 1;
    await node.command('CLUSTER', 'ADDSLOTSRANGE', first, last);
    // Equal epochs are sorted out in the end; different ones need not be.
    await node.command('CLUSTER', 'SET-CONFIG-EPOCH', index + 1);
  }
  for (const [index, node] of nodes.entries()) {
    await nodes[0]?.command('CLUSTER', 'MEET', '127.0.0.1', node.port, busPorts[index] ?? 0);
  }
  const endMs = performance.now() + patienceMs;
  for (const node of nodes) {
    for (;;) {
      const info = String(await node.command('CLUSTER', 'INFO'));
      if (info.includes('cluster_state:ok') && info.includes('cluster_known_nodes:3')) break;
      if (performance.now() > endMs) throw new Error(`no cluster: ${info}`);
      await sleep(20);
    }
  }
  return nodes;
}
