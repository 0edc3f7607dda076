/**
 * A migration through a network that misbehaves, over each transport: both sides in this process,
 * the in-process engine. It has two ends: completed and verified, or aborted with the source's
 * guest running and checked. What is lost below the session's lanes (a TLS record, an HTTP/2 frame,
 * a reply of the broker) each transport has to notice in its own way.
 */
import { strict as assert } from 'node:assert';
import { join } from 'node:path';

import { FaultProxy } from '../support/fault-proxy.js';
import type { Fault } from '../support/faults.js';
import { flips, laneCuts, latency, outage, stallAndHalfClose } from '../support/faults.js';
import { withSeed } from '../support/random.js';
import { RedisServer } from '../support/redis-server.js';
import { withScratch } from '../support/scratch.js';
import { assertCompleted, assertRolledBack } from '../support/session/pair.js';
import { dispose, finish, startPair } from '../support/session/pair.js';
import { loadParts, realWorld } from '../support/session/real-world.js';
import { writePsk } from '../support/tls-lanes.js';

const MiB = 2 ** 20;
const guest = 'ram=128M&content=random&fill=100%25&dirtyRate=4000&workingSet=32M';

interface Network {
  /** Where the destination listens. */
  readonly listen: string;
  /** The port or socket that faults lie in front of, and what the source dials there. */
  upstream(address: URL): number | string;
  dial(address: URL, proxy: FaultProxy): void;
  close?(): Promise<void>;
}

function throughPort(listen: string): Network {
  const { search } = new URL(listen);
  return {
    listen,
    upstream: (address) => Number(address.port),
    dial(address, proxy) {
      address.port = String(proxy.port);
      address.search = search;
    },
  };
}

/** How each transport's network is made, in a private directory. */
const networks: Readonly<Record<string, (directory: string) => Network | Promise<Network>>> = {
  tcp: () => throughPort('tcp://127.0.0.1:0'),
  tls: (directory) => throughPort(`tls://127.0.0.1:0?psk=${writePsk(join(directory, 'lane.psk'))}`),
  unix: (directory) => ({
    listen: `unix://${join(directory, 'lane.sock')}?mode=0666`,
    upstream: (address) => address.pathname,
    dial(address) {
      address.pathname += '.proxy';
      address.search = '?mode=0666';
    },
  }),
  grpc: () => throughPort('grpc://127.0.0.1:0'),
  /** The source's way to the broker. */
  async redis() {
    const server = await RedisServer.start();
    return {
      ...throughPort(`redis://127.0.0.1:${server.port}?name=faulty`),
      async close() {
        await server.becomesEmpty();
        await server.stop();
      },
    };
  },
};

interface Trouble extends Fault {
  /** So that the migration lasts. */
  readonly bytesPerSecond?: number;
}

const troubles: readonly Trouble[] = [
  { ...laneCuts, bytesPerSecond: 120e6 },
  outage(60e6),
  latency,
  flips,
];

async function migrateThrough(network: Network, trouble: Trouble): Promise<void> {
  const parts = await loadParts();
  await withSeed(async (random) => {
    let proxy: FaultProxy | undefined;
    const patience = { peerTimeoutMs: 20_000, reconnectTimeoutMs: 30_000 };
    const pair = await startPair({
      world: realWorld(parts, 'in-process', guest),
      address: network.listen,
      lanes: 3,
      source: {
        ...patience,
        downtimeLimitMs: 1,
        maxEpochs: 4,
        maxBandwidthBytesPerSecond: trouble.bytesPerSecond ?? null,
      },
      destination: patience,
      via: async (_port, address) => {
        const url = new URL(address);
        proxy = await FaultProxy.start(network.upstream(url), trouble.faults, random);
        network.dial(url, proxy);
        return url.href;
      },
    });
    // A destination listens on when its source has given up.
    void pair.source.report.then(({ outcome }) => {
      if (outcome !== 'completed') pair.destination.abort.abort();
    });
    try {
      const outcome = await finish(pair);
      const { counts } = proxy ?? assert.fail('nobody dialed');
      const told = JSON.stringify(counts);
      if (process.env['PAGEFERRY_TEST_VERBOSE'] !== undefined) {
        console.error(told, outcome.source.outcome, outcome.source.error?.message ?? '');
      }
      assert.ok(trouble.happened(counts), `nothing happened: ${told}`);
      assert.ok(counts.bytes > 120 * MiB, told);
      if (outcome.source.outcome === 'completed') assertCompleted(pair, outcome);
      else {
        assertRolledBack(pair, outcome);
        assert.equal((await pair.source.guest?.selfCheck())?.ok, true);
      }
    } finally {
      await dispose(pair);
      await proxy?.close();
    }
  });
}

for (const [name, networkIn] of Object.entries(networks)) {
  describe(`a migration over ${name} through a faulty network`, function () {
    this.timeout(60_000);

    // How long a lane may stand still is the session's affair, whatever the lane is made of.
    const own = name === 'tcp' ? [stallAndHalfClose(60e6)] : [];
    for (const trouble of [...troubles, ...own]) {
      it(`ends well with ${trouble.name}`, () =>
        withScratch(async (directory) => {
          const network = await networkIn(directory);
          try {
            await migrateThrough(network, trouble);
          } finally {
            await network.close?.();
          }
        }));
    }
  });
}
