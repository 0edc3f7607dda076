/**
 * What: lanes over local sockets, `unix:///path[?mode=660][&owner=UID]`. Frames lie in the stream
 * as over TCP. Who may connect is decided by the file's mode, and who listens is known by its
 * owner; see socket-file.ts. As over TCP, the session authenticates its peer all the same.
 */
import { TRANSPORT_CONTRACT_VERSION } from '../../src/transport/contract.js';
import type { Transport } from '../../src/transport/contract.js';
import { checkOpenOptions, dialNet, listenNet } from '../../src/transport/base/index.js';
import { parseUnixAddress } from './address.js';
import { SocketFile, checkSocket } from './socket-file.js';

const capabilities = {
  duplex: true,
  ordered: true,
  durable: false,
  /** As over TCP: far above any record. */
  maxFrameBytes: 64 * 1024 * 1024,
  opening: 'listen-dial',
  /** As over TCP: one core of the receiver bounds a stream. */
  defaultLanes: 2,
} as const;

const transport: Transport = {
  contractVersion: TRANSPORT_CONTRACT_VERSION,
  scheme: 'unix',
  capabilities,

  async dial(address, options) {
    checkOpenOptions(options, capabilities);
    const at = parseUnixAddress(address);
    await checkSocket(at);
    const remote = `unix://${at.path}`;
    return dialNet({ remote, connect: { path: at.path }, resetOnAbort: false }, options);
  },

  async listen(address, options, onLane) {
    checkOpenOptions(options, capabilities);
    const at = parseUnixAddress(address);
    const file = await SocketFile.prepare(at);
    const local = `unix://${at.path}`;
    let count = 0;
    try {
      return await listenNet(
        {
          local,
          listen: { path: file.bindPath },
          resetOnAbort: false,
          published: () => file.publish(),
          retracted: () => {
            file.retract();
          },
          addressOf: () => local,
          remoteOf() {
            count += 1;
            return `${local} (connection ${count})`;
          },
        },
        options,
        onLane,
      );
    } finally {
      file.removeWorkshop();
    }
  },
};

export default function unix(): Transport {
  return transport;
}
