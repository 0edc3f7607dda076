/**
 * What: listens on a socket of node:net (TCP or a local socket) and makes lanes of what connects.
 *
 * A server of node:net makes its sockets without `onread`, and `onread` can only be given when a
 * socket is made. So the accepted socket is made again around the same handle: it is accepted
 * paused, its handle is taken out, as node:child_process does when it passes a socket on, and a
 * socket with `onread` is made of it. Where there is no such handle the lane reads by events.
 */
import { createServer, Socket } from 'node:net';
import type { ListenOptions, Server } from 'node:net';

import type { Lane, Listener, OpenOptions } from '../contract.js';
import { abortError, systemError, tooMany } from './errors.js';
import { FrameReader } from './framing.js';
import { keepAliveDelayMs } from './net-dial.js';
import { StreamLane } from './stream-lane.js';

/** Connections at once on one listener: strangers beyond that are dropped at the door. */
export const connectionLimit = 2048;

export interface NetListen {
  /** For errors: the address as URL. */
  readonly local: string;
  readonly listen: ListenOptions;
  readonly resetOnAbort: boolean;
  readonly connectionLimit?: number | undefined;
  /** Called once it is bound; the listener is closed again when it rejects. */
  published?(): Promise<void>;
  /** Called once when it stops accepting. */
  retracted?(): void;
  /** The address peers dial. */
  addressOf(server: Server): string;
  /** For people: who this socket's peer is. */
  remoteOf(socket: Socket): string;
}

interface Handle {
  readStart?: unknown;
  useUserBuffer?: unknown;
}

interface SocketInside {
  _handle: Handle | null;
}

/** The same connection as a socket that reads through `reader`; undefined where that cannot be. */
export function withReader(accepted: Socket, reader: FrameReader): Socket | undefined {
  const inside = accepted as unknown as SocketInside;
  const handle = inside._handle;
  if (typeof handle?.readStart !== 'function' || typeof handle.useUserBuffer !== 'function') {
    return undefined;
  }
  inside._handle = null;
  // Lets the server forget the emptied socket; the connection lives on in its handle.
  accepted.destroy();
  const options = { handle, allowHalfOpen: true, pauseOnCreate: true, onread: reader.onread };
  return new Socket(options);
}

/** Rejects with TransportError (phase listen), or AbortError when the signal fired. */
export async function listenNet(
  what: NetListen,
  options: OpenOptions,
  onLane: (lane: Lane) => void,
): Promise<Listener> {
  const { signal } = options;
  if (signal?.aborted) throw abortError(signal);
  const server = createServer({
    pauseOnConnect: true,
    allowHalfOpen: true,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: keepAliveDelayMs,
  });
  const closed = (): void => what.retracted?.();
  const limit = what.connectionLimit ?? connectionLimit;
  let connections = 0;
  server.on('connection', (accepted) => {
    if (connections >= limit) {
      const remote = what.remoteOf(accepted);
      accepted.destroy();
      options.onRefused?.(remote, tooMany(limit, 'connections'));
      return;
    }
    const reader = new FrameReader(options.maxFrameBytes);
    const direct = withReader(accepted, reader);
    const socket = direct ?? accepted;
    connections += 1;
    socket.once('close', () => {
      connections -= 1;
    });
    const lane = new StreamLane({
      remote: what.remoteOf(socket),
      maxFrameBytes: options.maxFrameBytes,
      signal,
      socket,
      reader: direct === undefined ? undefined : reader,
      reset: what.resetOnAbort ? () => socket.resetAndDestroy() : undefined,
    });
    onLane(lane);
  });
  await bound(server, what);
  const listener = new NetListener(server, what.addressOf(server), { signal, closed });
  try {
    await what.published?.();
  } catch (error) {
    await listener.close();
    throw error;
  }
  return listener;
}

/** Resolves when `server` listens; rejects with TransportError (phase listen). */
export function bound(
  server: Server,
  what: { readonly local: string; readonly listen: ListenOptions },
): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (error: Error): void => {
      reject(systemError(error, 'listen', `listen at ${what.local}`));
    };
    server.once('error', onError);
    server.listen(what.listen, () => {
      server.off('error', onError);
      // A failed accept concerns one stranger (or want of descriptors); the listener goes on.
      server.on('error', () => undefined);
      resolve();
    });
  });
}

export interface NetListenerOptions {
  readonly signal: AbortSignal | undefined;
  /** Called once, when it stops accepting. */
  readonly closed: () => void;
}

export class NetListener implements Listener {
  readonly address: string;
  readonly #server: Server;
  readonly #options: NetListenerOptions;
  readonly #onAbort = (): void => {
    void this.close();
  };
  #closed: Promise<void> | undefined;

  constructor(server: Server, address: string, options: NetListenerOptions) {
    const { signal } = options;
    this.#server = server;
    this.address = address;
    this.#options = options;
    if (signal?.aborted) this.#onAbort();
    signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  /**
   * The address is free when this resolves. Not the server's own end is waited for: that would
   * come only with the end of connections it counts, and lanes live on.
   */
  close(): Promise<void> {
    this.#closed ??= new Promise((resolve) => {
      this.#options.signal?.removeEventListener('abort', this.#onAbort);
      this.#options.closed();
      this.#server.close();
      setImmediate(resolve);
    });
    return this.#closed;
  }
}
