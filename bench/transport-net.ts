/**
 * What: the bare pipes of tcp, unix and tls: sockets of node:net and node:tls with their default
 * settings, `data` events on one side, write() and `drain` on the other. TLS is the version and
 * the cipher of our lanes, with a key both sides share.
 */
import { readFileSync } from 'node:fs';
import { once } from 'node:events';
import { connect as connectNet, createServer as createNetServer } from 'node:net';
import type { NetConnectOpts, Server, Socket } from 'node:net';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import type { TlsOptions } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { measureTransportPipe, push, runListener } from './transport-pipe.js';
import type {
  PipeEnds,
  Task,
  TransportPipeOptions,
  TransportPipeResult,
} from './transport-pipe.js';

const versions = { minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3' } as const;
const ciphers = 'TLS_AES_128_GCM_SHA256';

/** The first line of the file `psk` names: IDENTITY:HEX. */
function keyOf(address: URL): { identity: string; psk: Buffer } {
  const [line = ''] = readFileSync(address.searchParams.get('psk') ?? '', 'latin1').split('\n');
  const [identity = '', hex = ''] = line.split(':');
  return { identity, psk: Buffer.from(hex, 'hex') };
}

async function carry(socket: Socket, task: Task): Promise<void> {
  socket.on('error', () => undefined);
  socket.on('data', (chunk) => task.meter?.add(chunk.byteLength));
  if (task.meter !== undefined) return;
  await push(task, (chunk) => (socket.write(chunk) ? undefined : once(socket, 'drain')));
}

function serverFor(address: URL, onSocket: (socket: Socket) => void): Server {
  if (address.protocol !== 'tls:') return createNetServer(onSocket);
  const { psk } = keyOf(address);
  const options: TlsOptions = { ...versions, ciphers, pskCallback: () => psk };
  return createTlsServer(options, onSocket);
}

function placeOf(address: URL): NetConnectOpts & { readonly host?: string } {
  if (address.protocol === 'unix:') return { path: address.pathname };
  return { host: address.hostname, port: Number(address.port) };
}

async function connected(address: URL): Promise<Socket> {
  if (address.protocol !== 'tls:') {
    const socket = connectNet(placeOf(address));
    await once(socket, 'connect');
    return socket;
  }
  const socket = connectTls({
    host: address.hostname,
    port: Number(address.port),
    ...versions,
    ciphers,
    pskCallback: () => keyOf(address),
    checkServerIdentity: () => undefined,
  });
  await once(socket, 'secureConnect');
  return socket;
}

const bare: PipeEnds = {
  async listen(task) {
    const address = new URL(task.options.place);
    const server = serverFor(address, (socket) => void carry(socket, task));
    server.listen(placeOf(address));
    await once(server, 'listening');
    const bound = server.address();
    if (bound !== null && typeof bound === 'object') address.port = String(bound.port);
    return address.href;
  },
  async dial(address, task) {
    const socket = await connected(new URL(address));
    await carry(socket, task);
    return () => {
      socket.destroy();
    };
  },
};

/** `options.place` is an address of one of the three schemes. */
export function measureNetPipe(options: TransportPipeOptions): Promise<TransportPipeResult> {
  return measureTransportPipe(import.meta.url, options, bare);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({ options: { listen: { type: 'string', default: '' } } });
  await runListener(values.listen, bare);
}
