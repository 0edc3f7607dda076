/**
 * What: lanes over TCP, `tcp://HOST:PORT`. Frames lie in the stream as src/transport/base/framing
 * says. There is no authentication and no encryption here: what crosses is sealed already, and who
 * the peer is, the session finds out.
 */
import type { AddressInfo } from 'node:net';

import { TRANSPORT_CONTRACT_VERSION } from '../../src/transport/contract.js';
import type { Transport } from '../../src/transport/contract.js';
import {
  checkOpenOptions,
  dialNet,
  formatHostPort,
  listenNet,
  parseHostPort,
} from '../../src/transport/base/index.js';

const capabilities = {
  duplex: true,
  ordered: true,
  durable: false,
  /** Far above any record; what one lane can be made to hold is bounded by the session's limit. */
  maxFrameBytes: 64 * 1024 * 1024,
  opening: 'listen-dial',
  /** One stream is bound by one core of the receiver; more than a few do not help. */
  defaultLanes: 2,
} as const;

const transport: Transport = {
  contractVersion: TRANSPORT_CONTRACT_VERSION,
  scheme: 'tcp',
  capabilities,

  async dial(address, options) {
    checkOpenOptions(options, capabilities);
    const at = parseHostPort(address, 'dial');
    const remote = formatHostPort('tcp', at);
    return dialNet({ remote, connect: at, resetOnAbort: true }, options);
  },

  async listen(address, options, onLane) {
    checkOpenOptions(options, capabilities);
    const at = parseHostPort(address, 'listen');
    return listenNet(
      {
        local: formatHostPort('tcp', at),
        listen: at,
        resetOnAbort: true,
        addressOf(server) {
          const { port } = server.address() as AddressInfo;
          return formatHostPort('tcp', { host: at.host, port });
        },
        remoteOf(socket) {
          const host = socket.remoteAddress ?? 'unknown';
          return formatHostPort('tcp', { host, port: socket.remotePort ?? 0 });
        },
      },
      options,
      onLane,
    );
  },
};

export default function tcp(): Transport {
  return transport;
}
