/**
 * What: lets lanes in as the server of calls. The listening socket is our own (errors of the system
 * stay errors of the system, strangers are counted at the door); gRPC gets the connections.
 */
import { createServer } from 'node:net';
import type { AddressInfo, Server as NetServer, Socket } from 'node:net';
import type { ServerHttp2Stream } from 'node:http2';
import { constants } from 'node:http2';

import { Metadata, Server, ServerCredentials, status } from '@grpc/grpc-js';
import type { ServerDuplexStream } from '@grpc/grpc-js';

import {
  abortError,
  connectionLimit,
  formatHostPort,
  keepAliveDelayMs,
  laneError,
  systemError,
  tooMany,
} from '../../src/transport/base/index.js';
import type { Lane, Listener, OpenOptions } from '../../src/transport/contract.js';
import type { GrpcAddress } from './address.js';
import { CallLane, CallStream, endedBy } from './call-stream.js';
import type { CallEnd } from './call-stream.js';
import { laneService, serverOptions } from './service.js';
import { ServerStreams } from './server-windows.js';

/** A connection without a call ends after this: handshakes included, it takes three round trips. */
const callLimitMs = 10_000;

/** A connection and what is known of who made it. */
interface Visitor {
  readonly socket: Socket;
  readonly remote: string;
  readonly timer: NodeJS.Timeout;
  /** Has a lane, or was told to have been refused. */
  isSettled: boolean;
}

type ServerCall = ServerDuplexStream<Buffer, Buffer>;

class ServerEnd implements CallEnd {
  constructor(
    private readonly call: ServerCall,
    private readonly stream: ServerHttp2Stream | undefined,
  ) {}

  halfClose(): void {
    // A server's status ends both directions; the goodbye in the byte stream says as much.
  }

  async complete(): Promise<void> {
    this.call.end();
    const { stream } = this;
    if (stream?.closed === true) return;
    await endedBy(stream ?? this.call, 'close', () => stream?.close(constants.NGHTTP2_CANCEL));
  }

  async cut(): Promise<void> {
    if (this.stream === undefined) this.call.emit('error', { code: status.ABORTED });
    else this.stream.close(constants.NGHTTP2_CANCEL);
    await Promise.resolve();
  }
}

async function credentialsOf(address: GrpcAddress): Promise<ServerCredentials> {
  if (!address.isSecure) return ServerCredentials.createInsecure();
  const { ca, identity } = await address.readTls();
  const pairs = identity === undefined ? [] : [identity];
  return ServerCredentials.createSsl(
    ca ?? null,
    pairs.map(({ cert, key }) => ({ cert_chain: cert, private_key: key })),
    ca !== undefined,
  );
}

class GrpcListener implements Listener {
  address = '';
  readonly #net: NetServer;
  readonly #grpc: Server;
  readonly #options: OpenOptions;
  readonly #onLane: (lane: Lane) => void;
  readonly #streams = new ServerStreams();
  /** Connections, by their peer's address and port. */
  readonly #connections = new Map<string, Visitor>();
  readonly #onAbort = (): void => {
    void this.close();
  };
  #isClosed = false;

  constructor(
    private readonly at: GrpcAddress,
    credentials: ServerCredentials,
    options: OpenOptions,
    onLane: (lane: Lane) => void,
  ) {
    this.#options = options;
    this.#onLane = onLane;
    this.#grpc = new Server({ ...serverOptions, interceptors: [this.#streams.interceptor] });
    this.#grpc.addService(laneService, {
      Carry: (call: ServerCall) => {
        this.#accept(call);
      },
    });
    const injector = this.#grpc.createConnectionInjector(credentials);
    this.#net = createServer({
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: keepAliveDelayMs,
    });
    this.#net.on('connection', (socket) => {
      if (this.#watch(socket)) injector.injectConnection(socket);
    });
  }

  async bind(): Promise<void> {
    const { host, port, scheme, query } = this.at;
    await new Promise<void>((resolve, reject) => {
      const onError = (error: Error): void => {
        this.#grpc.forceShutdown();
        reject(systemError(error, 'listen', `listen at ${formatHostPort(scheme, this.at)}`));
      };
      this.#net.once('error', onError);
      this.#net.listen({ host, port }, () => {
        this.#net.off('error', onError);
        // A failed accept concerns one stranger (or want of descriptors); the listener goes on.
        this.#net.on('error', () => undefined);
        resolve();
      });
    });
    const bound = (this.#net.address() as AddressInfo).port;
    this.address = formatHostPort(scheme, { host, port: bound }) + query;
    const { signal } = this.#options;
    if (signal?.aborted) this.#onAbort();
    signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  /** Resolves at once: the port is free, and what was accepted lives on. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#options.signal?.removeEventListener('abort', this.#onAbort);
    this.#net.close();
    this.#endWhenEmpty();
    await Promise.resolve();
  }

  /** Counts a connection in; false when there are too many. */
  #watch(socket: Socket): boolean {
    const key = `${socket.remoteAddress ?? ''}:${socket.remotePort ?? 0}`;
    const remote = `${this.at.scheme}://${key}`;
    if (this.#connections.size >= connectionLimit) {
      socket.destroy();
      this.#options.onRefused?.(remote, tooMany(connectionLimit, 'connections'));
      return false;
    }
    const timer = setTimeout(() => {
      this.#refuse(visitor, tooSlow());
      socket.destroy();
    }, callLimitMs);
    const visitor: Visitor = { socket, remote, timer, isSettled: false };
    this.#connections.set(key, visitor);
    socket.once('close', () => {
      clearTimeout(timer);
      this.#connections.delete(key);
      this.#refuse(visitor, this.#leftWithout(socket));
      this.#endWhenEmpty();
    });
    return true;
  }

  #refuse(visitor: Visitor, error: Error): void {
    if (visitor.isSettled || this.#isClosed) return;
    visitor.isSettled = true;
    this.#options.onRefused?.(visitor.remote, error);
  }

  /** gRPC tells nobody why it hung up: what is known is how far the peer came. */
  #leftWithout(socket: Socket): Error {
    const details = { phase: 'accept' } as const;
    if (socket.bytesRead === 0) {
      return laneError('PEER_GONE', 'the peer left without a word', {
        ...details,
        retryable: true,
      });
    }
    return this.at.isSecure
      ? laneError('UNAUTHENTICATED', 'TLS did not let the peer in, or it opened no lane', details)
      : laneError('GARBAGE', 'the peer does not speak gRPC, or opened no lane', details);
  }

  #accept(call: ServerCall): void {
    const peer = call.getPeer();
    const visitor = this.#connections.get(peer);
    if (visitor !== undefined) visitor.isSettled = true;
    clearTimeout(visitor?.timer);
    const end = new ServerEnd(call, this.#streams.of(call.metadata));
    const stream = new CallStream(call, end);
    const { maxFrameBytes, signal } = this.#options;
    const lane = new CallLane(stream, {
      remote: `${this.at.scheme}://${peer}`,
      maxFrameBytes,
      signal,
    });
    call.sendMetadata(new Metadata());
    this.#onLane(lane);
  }

  #endWhenEmpty(): void {
    if (this.#isClosed && this.#connections.size === 0) this.#grpc.forceShutdown();
  }
}

function tooSlow(): Error {
  const message = `the peer opened no lane within ${callLimitMs} ms`;
  return laneError('TIMEOUT', message, { phase: 'accept', retryable: true });
}

/** Rejects with TransportError (phase listen), or AbortError when the signal fired. */
export async function listenGrpc(
  address: GrpcAddress,
  options: OpenOptions,
  onLane: (lane: Lane) => void,
): Promise<Listener> {
  const { signal } = options;
  if (signal?.aborted) throw abortError(signal);
  const listener = new GrpcListener(address, await credentialsOf(address), options, onLane);
  await listener.bind();
  return listener;
}
