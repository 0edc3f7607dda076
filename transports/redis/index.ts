/**
 * What: lanes over a Redis broker: `redis://`, `rediss://` (TLS) and `redis+unix://`. Both sides
 * dial the broker and meet by name, so two hosts can migrate that cannot reach each other.
 * See docs/transport-redis.md.
 */
import { TRANSPORT_CONTRACT_VERSION } from '../../src/transport/contract.js';
import type { Transport } from '../../src/transport/contract.js';
import { checkOpenOptions } from '../../src/transport/base/index.js';
import { parseBrokerAddress } from './address.js';
import { dialRedis } from './dial.js';
import { FRAME_BYTES_MAX } from './limits.js';
import { listenRedis } from './listen.js';

const capabilities = {
  duplex: true,
  ordered: true,
  /** As durable as the broker is: a lane outlives a lost connection, and a restart with AOF. */
  durable: true,
  maxFrameBytes: FRAME_BYTES_MAX,
  opening: 'both-dial',
  /** Redis itself is one thread; a second lane keeps it busy while the first waits. */
  defaultLanes: 2,
} as const;

function transport(scheme: 'redis' | 'rediss' | 'redis+unix'): Transport {
  return {
    contractVersion: TRANSPORT_CONTRACT_VERSION,
    scheme,
    capabilities,

    async dial(address, options) {
      checkOpenOptions(options, capabilities);
      return dialRedis(parseBrokerAddress(address), options);
    },

    async listen(address, options, onLane) {
      checkOpenOptions(options, capabilities);
      return listenRedis(parseBrokerAddress(address), options, onLane);
    },
  };
}

export default function redis(): Transport {
  return transport('redis');
}

export function rediss(): Transport {
  return transport('rediss');
}

export function redisUnix(): Transport {
  return transport('redis+unix');
}
