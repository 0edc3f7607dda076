import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import redis, { redisUnix, rediss } from '../../transports/redis/index.js';
import { transportCompliance } from '../../src/transport/compliance/index.js';
import type { ComplianceTarget } from '../../src/transport/compliance/index.js';
import { Authority } from '../support/authority.js';
import { startCluster } from '../support/redis-cluster.js';
import { RedisServer } from '../support/redis-server.js';
import { refusedPort, silentPort } from '../support/tcp-peers.js';

let names = 0;

/** The address with a name nobody has had. */
function named(address: string): URL {
  names += 1;
  const url = new URL(address);
  url.searchParams.set('name', `lane-${names}`);
  return url;
}

async function stopEmpty(servers: readonly RedisServer[]): Promise<void> {
  try {
    for (const server of servers) await server.becomesEmpty();
  } finally {
    for (const server of servers) await server.stop();
  }
}

transportCompliance({
  name: 'redis',
  hooks: ['refusedAddress', 'unresolvableAddress', 'silentAddress'],
  async create(): Promise<ComplianceTarget> {
    const server = await RedisServer.start();
    return {
      transport: redis(),
      listenAddress: () => named(`redis://127.0.0.1:${server.port}`),
      refusedAddress: async () => named(`redis://127.0.0.1:${await refusedPort()}`),
      unresolvableAddress: () => named('redis://nobody.invalid:7700'),
      async silentAddress() {
        const { port, release } = await silentPort();
        return { address: named(`redis://127.0.0.1:${port}`), release };
      },
      close: () => stopEmpty([server]),
    };
  },
});

transportCompliance({
  name: 'redis+unix',
  hooks: ['refusedAddress'],
  async create(): Promise<ComplianceTarget> {
    const server = await RedisServer.start({ isUnix: true });
    return {
      transport: redisUnix(),
      listenAddress: () => named(`redis+unix://${server.socket}?db=3`),
      refusedAddress: () => Promise.resolve(named('redis+unix:///nowhere/redis.sock')),
      close: () => stopEmpty([server]),
    };
  },
});

/** What a user of lanes needs; see docs/transport-redis.md. */
const aclRules = [
  ...['on', '>secret', '~pageferry:*', '+@stream', '+@keyspace', '+@connection', '+@transaction'],
  ...['+info', '+get', '+set', '-flushall', '-flushdb', '-keys'],
];

transportCompliance({
  name: 'rediss, with certificates both ways and an ACL user',
  cycles: 100,
  async create(): Promise<ComplianceTarget> {
    const authority = new Authority();
    const own = authority.issue('broker', 'DNS:broker.test,IP:127.0.0.1');
    const client = authority.issue('client', 'DNS:client.test');
    const server = await RedisServer.startSecure(authority, own, aclRules);
    const password = join(authority.directory, 'password');
    writeFileSync(password, 'secret\n', { mode: 0o600 });
    const query = new URLSearchParams({ 'password-file': password, ca: authority.ca, ...client });
    query.set('tls-name', 'broker.test');
    return {
      transport: rediss(),
      listenAddress: () => named(`rediss://ferry@127.0.0.1:${server.tlsPort}?${query.toString()}`),
      async close() {
        await stopEmpty([server]);
        authority.remove();
      },
    };
  },
});

transportCompliance({
  name: 'redis, a Cluster of three',
  cycles: 100,
  async create(): Promise<ComplianceTarget> {
    const nodes = await startCluster();
    const [first, ...others] = nodes.map(({ port }) => `127.0.0.1:${port}`);
    return {
      transport: redis(),
      listenAddress: () => named(`redis://${first ?? ''}?nodes=${others.join(',')}`),
      close: () => stopEmpty(nodes),
    };
  },
});
