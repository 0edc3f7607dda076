/**
 * What: lanes over gRPC, `grpc://HOST:PORT` and `grpcs://HOST:PORT`: for networks whose proxies,
 * meshes and load balancers speak HTTP/2. A lane is one call on a channel of its own (lane.proto);
 * several lanes are several channels. See docs/transport-grpc.md.
 */
import { TRANSPORT_CONTRACT_VERSION } from '../../src/transport/contract.js';
import type { Transport } from '../../src/transport/contract.js';
import { checkOpenOptions } from '../../src/transport/base/index.js';
import { parseGrpcAddress } from './address.js';
import { dialGrpc } from './dial.js';
import { listenGrpc } from './listen.js';

const capabilities = {
  duplex: true,
  ordered: true,
  durable: false,
  /** Far above any record; larger ones cross in several messages. */
  maxFrameBytes: 64 * 1024 * 1024,
  opening: 'listen-dial',
  /** HTTP/2 costs each side one core for less than 2 GB/s; two lanes keep both busy. */
  defaultLanes: 2,
} as const;

function transport(scheme: 'grpc' | 'grpcs'): Transport {
  return {
    contractVersion: TRANSPORT_CONTRACT_VERSION,
    scheme,
    capabilities,

    async dial(address, options) {
      checkOpenOptions(options, capabilities);
      return dialGrpc(parseGrpcAddress(address, 'dial'), options);
    },

    async listen(address, options, onLane) {
      checkOpenOptions(options, capabilities);
      return listenGrpc(parseGrpcAddress(address, 'listen'), options, onLane);
    },
  };
}

export default function grpc(): Transport {
  return transport('grpc');
}

export function grpcs(): Transport {
  return transport('grpcs');
}
