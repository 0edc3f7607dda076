/**
 * What: listens for lanes over TLS. Whoever connects is a visitor until both sides are
 * authenticated; visitors are bounded in number and time, and have no frame memory. When there are
 * too many, the oldest has to leave: strangers who only hold connections keep nobody out.
 *
 *     visitor ──handshake, checks──▶ lane
 *        └─────failure, too slow, too many──▶ refused
 */
import { createServer as createNetServer } from 'node:net';
import type { AddressInfo, Server as NetServer, Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import type { Server as TlsServer, TLSSocket } from 'node:tls';

import {
  FrameReader,
  NetListener,
  StreamLane,
  abortError,
  bound,
  connectionLimit,
  formatHostPort,
  keepAliveDelayMs,
  laneError,
  tooMany,
  withReader,
} from '../../src/transport/base/index.js';
import type { HostPort, TlsCredentials } from '../../src/transport/base/index.js';
import type { Lane, Listener, OpenOptions } from '../../src/transport/contract.js';
import {
  handshakeError,
  laneProtocol,
  nameProblem,
  tlsReadAheadBytes,
  unauthenticated,
  welcomeByte,
} from './context.js';
import type { TlsContext } from './context.js';

/** A handshake takes two round trips and a millisecond of arithmetic; 10 s allow for losses. */
const handshakeLimitMs = 10_000;
/** Each costs about 50 KB (node:tls and OpenSSL), so they take 13 MB at most. */
const visitorsMax = 256;

interface Visitor {
  readonly raw: Socket;
  readonly remote: string;
  readonly timer: NodeJS.Timeout;
}

/** Where node:tls keeps the socket a TLS socket was made of. */
interface TlsInside {
  readonly _parent?: Socket | null;
  ssl?: unknown;
}

class TlsDoor {
  readonly #credentials: TlsCredentials<TlsContext>;
  readonly #options: OpenOptions;
  readonly #onLane: (lane: Lane) => void;
  /** Oldest first. */
  readonly #visitors = new Map<Socket, Visitor>();
  #connections = 0;
  #context: TlsContext | undefined;
  #tls: TlsServer | undefined;

  constructor(
    credentials: TlsCredentials<TlsContext>,
    options: OpenOptions,
    onLane: (lane: Lane) => void,
  ) {
    this.#credentials = credentials;
    this.#options = options;
    this.#onLane = onLane;
  }

  /** Somebody has connected; `raw` is paused. */
  visit(raw: Socket): void {
    // Each way a connection ends is told once, by `close`.
    raw.on('error', () => undefined);
    const { remoteAddress: host = 'unknown', remotePort: port = 0 } = raw;
    const remote = formatHostPort('tls', { host, port });
    if (this.#connections >= connectionLimit) {
      raw.destroy();
      this.#options.onRefused?.(remote, tooMany(connectionLimit, 'connections'));
      return;
    }
    this.#connections += 1;
    const timer = setTimeout(() => {
      this.#refuse(raw, tooSlow());
    }, handshakeLimitMs);
    this.#visitors.set(raw, { raw, remote, timer });
    raw.once('close', () => {
      this.#connections -= 1;
      this.#refuse(raw, leftEarly());
    });
    const [oldest] = this.#visitors.keys();
    if (this.#visitors.size > visitorsMax && oldest !== undefined) {
      this.#refuse(oldest, tooMany(visitorsMax, 'handshakes'));
    }
    this.#credentials.current().then(
      (context) => {
        if (this.#visitors.has(raw)) this.#shakeHands(raw, context);
      },
      (error: unknown) => {
        this.#refuse(raw, error as Error);
      },
    );
  }

  /** Sends all visitors away; lanes live on. */
  close(): void {
    for (const { raw, timer } of this.#visitors.values()) {
      clearTimeout(timer);
      raw.destroy();
    }
    this.#visitors.clear();
  }

  #shakeHands(raw: Socket, context: TlsContext): void {
    if (this.#tls === undefined) this.#tls = this.#makeServer(context);
    else if (context !== this.#context) this.#tls.setSecureContext(context.options);
    this.#context = context;
    this.#tls.emit('connection', raw);
  }

  #makeServer(context: TlsContext): TlsServer {
    const server = createTlsServer({
      ...context.options,
      requestCert: context.keys === undefined,
      // Looked at in #problemOf, where it can be told what was wrong.
      rejectUnauthorized: false,
      ALPNProtocols: [laneProtocol],
      pauseOnConnect: true,
      ...(context.keys === undefined
        ? {}
        : {
            pskCallback: (_socket: TLSSocket, identity: string) =>
              this.#context?.keys?.get(identity) ?? null,
          }),
    });
    server.on('secureConnection', (socket) => {
      this.#admit(socket);
    });
    server.on('tlsClientError', (error, socket) => {
      const raw = (socket as TlsInside)._parent;
      if (raw) this.#refuse(raw, handshakeError(error, 'accept', 'let a peer in'));
      else socket.destroy();
    });
    return server;
  }

  #admit(socket: TLSSocket): void {
    const raw = (socket as TlsInside)._parent;
    const visitor = raw ? this.#visitors.get(raw) : undefined;
    if (visitor === undefined) {
      socket.destroy();
      return;
    }
    const problem = this.#problemOf(socket);
    if (problem !== undefined) {
      this.#refuse(visitor.raw, problem);
      return;
    }
    clearTimeout(visitor.timer);
    this.#visitors.delete(visitor.raw);
    this.#onLane(this.#open(socket, visitor));
  }

  #problemOf(socket: TLSSocket): Error | undefined {
    const { files } = this.#credentials;
    if (socket.alpnProtocol !== laneProtocol) {
      return unauthenticated('accept', 'the peer does not ask for a lane');
    }
    // Nobody who may speak has anything to say before the welcome.
    if (socket.readableLength > 0) {
      return laneError('GARBAGE', 'the peer spoke before its turn', { phase: 'accept' });
    }
    if (files.kind === 'psk') {
      // In TLS 1.3 a key shared beforehand counts as a session that is resumed; there is no other.
      return socket.isSessionReused()
        ? undefined
        : unauthenticated('accept', 'the peer did not use the shared key');
    }
    if (!socket.authorized) {
      const why = String(socket.authorizationError);
      return unauthenticated('accept', `the peer's certificate is not accepted: ${why}`);
    }
    if (files.name === undefined) return undefined;
    const wrong = nameProblem(files.name, socket.getPeerCertificate());
    return wrong === undefined
      ? undefined
      : unauthenticated('accept', "the peer's certificate has another name", wrong);
  }

  #open(secure: TLSSocket, { raw, remote }: Visitor): Lane {
    const { maxFrameBytes, signal } = this.#options;
    const reader = new FrameReader(maxFrameBytes, tlsReadAheadBytes);
    const { ssl } = secure as TlsInside;
    const direct = withReader(secure, reader);
    if (direct !== undefined) {
      // Whoever owns the handle frees what OpenSSL has; the emptied socket must not.
      (direct as TlsInside).ssl = ssl;
      (secure as TlsInside).ssl = null;
      // The system's handle holds the raw socket, and nothing below holds the TLS handle: without
      // this, a lane nobody keeps would be collected while bytes still come for it.
      raw.once('close', () => direct.destroy());
    }
    const socket = direct ?? secure;
    socket.allowHalfOpen = true;
    socket.write(Buffer.of(welcomeByte));
    return new StreamLane({
      remote,
      maxFrameBytes,
      signal,
      socket,
      readsToEnd: true,
      reader: direct === undefined ? undefined : reader,
    });
  }

  #refuse(raw: Socket, error: Error): void {
    const visitor = this.#visitors.get(raw);
    if (visitor === undefined) return;
    this.#visitors.delete(raw);
    clearTimeout(visitor.timer);
    raw.destroy();
    this.#options.onRefused?.(visitor.remote, error);
  }
}

function tooSlow(): Error {
  const message = `the peer did not finish the handshake within ${handshakeLimitMs} ms`;
  return laneError('TIMEOUT', message, { phase: 'accept', retryable: true });
}

function leftEarly(): Error {
  const message = 'the peer left in the handshake';
  return laneError('PEER_GONE', message, { phase: 'accept', retryable: true });
}

/** Rejects with TransportError (phase listen), ConfigurationError, or AbortError. */
export async function listenTls(
  at: HostPort,
  credentials: TlsCredentials<TlsContext>,
  options: OpenOptions,
  onLane: (lane: Lane) => void,
): Promise<Listener> {
  const { signal } = options;
  if (signal?.aborted) throw abortError(signal);
  // Unusable files are told now, not when somebody comes.
  await credentials.current();
  const door = new TlsDoor(credentials, options, onLane);
  // Not half-open before there is a lane: a visitor who ends his side has left.
  const server: NetServer = createNetServer({
    pauseOnConnect: true,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: keepAliveDelayMs,
  });
  server.on('connection', (raw) => {
    door.visit(raw);
  });
  await bound(server, { local: formatHostPort('tls', at), listen: at });
  const { port } = server.address() as AddressInfo;
  const closed = (): void => {
    door.close();
  };
  return new NetListener(server, formatHostPort('tls', { host: at.host, port }), {
    signal,
    closed,
  });
}
