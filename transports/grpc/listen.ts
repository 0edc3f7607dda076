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
  systemError,
} from '../../src/transport/base/index.js';
import type { Lane, Listener, OpenOptions } from '../../src/transport/contract.js';
import type { GrpcAddress } from './address.js';
import { CallLane, CallStream, endedBy } from './call-stream.js';
import type { CallEnd } from './call-stream.js';
import { laneService, serverOptions } from './service.js';
import { ServerStreams } from './server-windows.js';

/** A connection without a call ends after this: handshakes included, it takes three round trips. */
const callLimitMs = 10_000;

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
  /** Connections, by their peer's address and port, with the timer of those without a call. */
  readonly #connections = new Map<string, { socket: Socket; timer: NodeJS.Timeout }>();
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
    if (this.#connections.size >= connectionLimit) {
      socket.destroy();
      return false;
    }
    const key = `${socket.remoteAddress ?? ''}:${socket.remotePort ?? 0}`;
    const timer = setTimeout(() => {
      socket.destroy();
    }, callLimitMs);
    this.#connections.set(key, { socket, timer });
    socket.once('close', () => {
      clearTimeout(timer);
      this.#connections.delete(key);
      this.#endWhenEmpty();
    });
    return true;
  }

  #accept(call: ServerCall): void {
    const peer = call.getPeer();
    clearTimeout(this.#connections.get(peer)?.timer);
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
