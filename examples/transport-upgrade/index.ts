/**
 * What: an example transport, `upgrade://HOST:PORT`: lanes over HTTP/1.1 connections that were
 * upgraded, as a WebSocket is, so that they pass where only HTTP does. docs/transports.md explains
 * it line by line; its package would import from "pageferry/transport".
 */
import { createServer, request } from 'node:http';
import type { IncomingMessage, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';

import {
  StreamLane,
  TRANSPORT_CONTRACT_VERSION,
  abortError,
  checkOpenOptions,
  defaultDialLimitMs,
  formatHostPort,
  laneError,
  parseHostPort,
  systemError,
} from '../../src/transport/index.js';
import type {
  HostPort,
  Lane,
  Listener,
  OpenOptions,
  Transport,
} from '../../src/transport/index.js';

const protocol = 'pageferry-lane';

const capabilities = {
  duplex: true,
  ordered: true,
  durable: false,
  maxFrameBytes: 16 * 1024 * 1024,
  opening: 'listen-dial',
  defaultLanes: 2,
} as const;

function laneOver(socket: Duplex, head: Buffer, remote: string, options: OpenOptions): Lane {
  const { maxFrameBytes, signal } = options;
  socket.pause();
  // What came together with the answer is the beginning of the stream.
  if (head.length > 0) socket.unshift(head);
  return new StreamLane({ socket, remote, maxFrameBytes, signal });
}

function dial(at: HostPort, options: OpenOptions): Promise<Lane> {
  const remote = formatHostPort('upgrade', at);
  const { signal } = options;
  if (signal?.aborted) return Promise.reject(abortError(signal));
  return new Promise((resolve, reject) => {
    const headers = { connection: 'upgrade', upgrade: protocol };
    const asking = request({ ...at, headers, agent: false });
    const limitMs = options.timeoutMs ?? defaultDialLimitMs;
    const timer = setTimeout(() => {
      const message = `cannot dial ${remote}: no answer within ${limitMs} ms`;
      give(laneError('TIMEOUT', message, { phase: 'dial', retryable: true }));
    }, limitMs);
    const onAbort = (): void => {
      if (signal !== undefined) give(abortError(signal));
    };
    const settle = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    };
    const give = (error: Error): void => {
      settle();
      asking.destroy();
      reject(error);
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    asking.on('error', (error) => {
      give(systemError(error, 'dial', `dial ${remote}`));
    });
    asking.on('response', () => {
      give(laneError('REFUSED', `${remote} serves no lanes`, { phase: 'dial' }));
    });
    asking.on('upgrade', (_response: IncomingMessage, socket: Duplex, head: Buffer) => {
      settle();
      resolve(laneOver(socket, head, remote, options));
    });
    asking.end();
  });
}

function bound(server: Server, at: HostPort): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => {
      reject(systemError(error, 'listen', `listen at ${formatHostPort('upgrade', at)}`));
    });
    server.listen(at, resolve);
  });
}

async function listen(
  at: HostPort,
  options: OpenOptions,
  onLane: (lane: Lane) => void,
): Promise<Listener> {
  const { signal } = options;
  if (signal?.aborted) throw abortError(signal);
  const server = createServer((_request, response) => response.writeHead(404).end());
  server.on('upgrade', (asked: IncomingMessage, socket: Duplex, head: Buffer) => {
    if (asked.headers.upgrade !== protocol) {
      socket.destroy();
      return;
    }
    const headers = `connection: upgrade\r\nupgrade: ${protocol}`;
    socket.write(`HTTP/1.1 101 Switching Protocols\r\n${headers}\r\n\r\n`);
    const { remoteAddress: host = 'unknown', remotePort: port = 0 } = asked.socket;
    onLane(laneOver(socket, head, formatHostPort('upgrade', { host, port }), options));
  });
  await bound(server, at);
  const { port } = server.address() as AddressInfo;
  const close = (): Promise<void> => {
    signal?.removeEventListener('abort', stop);
    // Resolves without its lanes: those are no longer the server's requests.
    server.close();
    return new Promise((resolve) => setImmediate(resolve));
  };
  const stop = (): void => void close();
  signal?.addEventListener('abort', stop, { once: true });
  return { address: formatHostPort('upgrade', { host: at.host, port }), close };
}

const transport: Transport = {
  contractVersion: TRANSPORT_CONTRACT_VERSION,
  scheme: 'upgrade',
  capabilities,
  async dial(address, options) {
    checkOpenOptions(options, capabilities);
    return dial(parseHostPort(address, 'dial'), options);
  },
  async listen(address, options, onLane) {
    checkOpenOptions(options, capabilities);
    return listen(parseHostPort(address, 'listen'), options, onLane);
  },
};

export default function upgrade(): Transport {
  return transport;
}
