/** Pageferry's compliance suite on this transport: npx mocha test/compliance.test.mjs */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { transportCompliance } from 'pageferry/transport-compliance';

import websocket from '../index.mjs';

/** A port of this host where nobody listens: one that was free a moment ago. */
async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** An address where somebody listens and never says a word. */
async function silentAddress() {
  const sockets = new Set();
  const server = createServer((socket) => sockets.add(socket)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    address: new URL(`ws://127.0.0.1:${server.address().port}`),
    async release() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

async function openPasserBy(address) {
  const socket = connect({ host: address.hostname, port: Number(address.port) });
  await once(socket, 'connect');
  return socket;
}

transportCompliance({
  name: 'ws',
  hooks: ['refusedAddress', 'unresolvableAddress', 'silentAddress', 'openPasserBy'],
  create: async () => ({
    transport: websocket(),
    listenAddress: () => new URL('ws://127.0.0.1:0'),
    refusedAddress: async () => new URL(`ws://127.0.0.1:${await freePort()}`),
    unresolvableAddress: () => new URL('ws://nobody.invalid:7700'),
    silentAddress,
    openPasserBy,
  }),
});
