/**
 * What: lanes over WebSockets, `ws://HOST:PORT`; the package's factory. Everything that is the same
 * in all transports comes from 'pageferry/transport'.
 */
import { createServer } from 'node:http';
import {
  TRANSPORT_CONTRACT_VERSION,
  abortError,
  checkOpenOptions,
  defaultDialLimitMs,
  formatHostPort,
  laneError,
  parseHostPort,
  systemError,
} from 'pageferry/transport';
import { WebSocket, WebSocketServer } from 'ws';

import { WebSocketLane } from './lane.mjs';

const protocol = 'pageferry-lane';

const capabilities = {
  duplex: true,
  ordered: true,
  durable: false,
  maxFrameBytes: 16 * 1024 * 1024,
  opening: 'listen-dial',
  defaultLanes: 2,
};

/** Frames are sealed and do not compress; `maxPayload` is checked before a message is taken. */
function socketOptions({ maxFrameBytes }) {
  return { perMessageDeflate: false, maxPayload: maxFrameBytes, skipUTF8Validation: true };
}

function dial(at, options) {
  const { signal, maxFrameBytes } = options;
  const remote = formatHostPort('ws', at);
  if (signal?.aborted) return Promise.reject(abortError(signal));
  const handshakeTimeout = options.timeoutMs ?? defaultDialLimitMs;
  const socket = new WebSocket(remote, protocol, { ...socketOptions(options), handshakeTimeout });
  return new Promise((resolve, reject) => {
    const settle = (error) => {
      signal?.removeEventListener('abort', onAbort);
      socket.removeAllListeners();
      if (error === undefined) {
        // Nothing is read before the lane has a sink.
        socket.pause();
        resolve(new WebSocketLane({ socket, remote, maxFrameBytes, signal }));
        return;
      }
      // Giving up an attempt under way is an error to ws; nobody waits for it any more.
      socket.on('error', () => undefined);
      socket.terminate();
      reject(error);
    };
    const onAbort = () => settle(abortError(signal));
    socket.once('open', () => settle());
    socket.once('error', (error) => settle(dialError(error, remote)));
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

function dialError(error, remote) {
  if (error.message === 'Opening handshake has timed out') {
    const message = `cannot dial ${remote}: no answer in time`;
    return laneError('TIMEOUT', message, { phase: 'dial', retryable: true });
  }
  return systemError(error, 'dial', `dial ${remote}`);
}

function bound(server, at) {
  return new Promise((resolve, reject) => {
    const onError = (error) => {
      reject(systemError(error, 'listen', `listen at ${formatHostPort('ws', at)}`));
    };
    server.once('error', onError);
    server.listen(at, () => {
      server.off('error', onError);
      resolve();
    });
  });
}

async function listen(at, options, onLane) {
  const { signal, maxFrameBytes } = options;
  if (signal?.aborted) throw abortError(signal);
  const server = createServer((_request, response) => response.writeHead(426).end());
  const upgrader = new WebSocketServer({
    ...socketOptions(options),
    noServer: true,
    clientTracking: false,
    handleProtocols: (offered) => (offered.has(protocol) ? protocol : false),
  });
  const remoteOf = ({ remoteAddress: host = 'unknown', remotePort: port = 0 }) =>
    formatHostPort('ws', { host, port });
  upgrader.on('wsClientError', (error, stream) => {
    options.onRefused?.(remoteOf(stream), error);
    stream.destroy();
  });
  server.on('clientError', (error, stream) => {
    options.onRefused?.(remoteOf(stream), error);
    stream.destroy();
  });
  server.on('upgrade', (request, stream, head) => {
    // As soon as the server has let go of it, nobody else listens.
    stream.on('error', () => undefined);
    upgrader.handleUpgrade(request, stream, head, (socket) => {
      const remote = remoteOf(request.socket);
      if (socket.protocol !== protocol) {
        options.onRefused?.(
          remote,
          laneError('GARBAGE', 'no lane is asked for', { phase: 'accept' }),
        );
        socket.on('error', () => undefined);
        socket.terminate();
        return;
      }
      socket.pause();
      onLane(new WebSocketLane({ socket, remote, maxFrameBytes, signal }));
    });
  });
  await bound(server, at);
  const address = formatHostPort('ws', { host: at.host, port: server.address().port });
  const close = () => {
    signal?.removeEventListener('abort', close);
    server.close();
    // Those who have not asked for a lane yet; lanes are no longer the server's.
    server.closeAllConnections();
    return Promise.resolve();
  };
  signal?.addEventListener('abort', close, { once: true });
  return { address, close };
}

const transport = {
  contractVersion: TRANSPORT_CONTRACT_VERSION,
  scheme: 'ws',
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

export default function websocket() {
  return transport;
}
