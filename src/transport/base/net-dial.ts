/**
 * What: opens a lane over a socket of node:net (TCP or a local socket), with a time limit and an
 * AbortSignal.
 */
import { connect } from 'node:net';
import type { Socket, NetConnectOpts } from 'node:net';

import type { Lane, OpenOptions } from '../contract.js';
import { abortError, laneError, systemError } from './errors.js';
import { FrameReader } from './framing.js';
import { StreamLane } from './stream-lane.js';

/** When the caller sets no limit: long enough for a lost SYN or two, short enough to wait for. */
export const defaultDialLimitMs = 10_000;

/** How long a silent connection lives before the system asks the peer whether it is there. */
export const keepAliveDelayMs = 15_000;

export interface NetDial {
  /** For people and errors: the address as URL. */
  readonly remote: string;
  readonly connect: NetConnectOpts;
  readonly resetOnAbort: boolean;
}

/** Rejects with TransportError (phase dial), or AbortError when the signal fired. */
export function dialNet(dial: NetDial, options: OpenOptions): Promise<Lane> {
  const { signal, maxFrameBytes } = options;
  if (signal?.aborted) return Promise.reject(abortError(signal));
  const reader = new FrameReader(maxFrameBytes);
  const socket = connect({
    ...dial.connect,
    allowHalfOpen: true,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: keepAliveDelayMs,
    onread: reader.onread,
  });
  // Nothing is read before the lane has a sink.
  socket.pause();
  const opening = {
    remote: dial.remote,
    event: 'connect',
    errorOf: (error: Error | undefined) =>
      error === undefined
        ? endedBeforeOpen(dial.remote)
        : systemError(error, 'dial', `dial ${dial.remote}`),
  };
  return opened(socket, opening, options).then(
    () =>
      new StreamLane({
        remote: dial.remote,
        maxFrameBytes,
        signal,
        socket,
        reader,
        reset: dial.resetOnAbort ? () => socket.resetAndDestroy() : undefined,
      }),
  );
}

export interface Opening {
  /** For people and errors: the address as URL. */
  readonly remote: string;
  /** The socket's event that says it is open. */
  readonly event: string;
  /** What a failure means; undefined: the peer ended the connection without one. */
  readonly errorOf: (error: Error | undefined) => Error;
}

/** Waits until `socket` is open; on failure it is destroyed. */
export function opened(socket: Socket, opening: Opening, options: OpenOptions): Promise<void> {
  const limitMs = options.timeoutMs ?? defaultDialLimitMs;
  const { signal } = options;
  return new Promise((resolve, reject) => {
    const settle = (error?: Error): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      socket.off(opening.event, onOpen);
      socket.off('error', onError);
      socket.off('end', onEnd);
      socket.off('close', onEnd);
      if (error === undefined) {
        resolve();
        return;
      }
      // A late error of a connection nobody waits for any more says nothing new.
      socket.on('error', () => undefined);
      socket.destroy();
      reject(error);
    };
    const onOpen = (): void => {
      settle();
    };
    const onError = (error: Error): void => {
      settle(opening.errorOf(error));
    };
    const onEnd = (): void => {
      settle(opening.errorOf(undefined));
    };
    const onAbort = (): void => {
      if (signal !== undefined) settle(abortError(signal));
    };
    const timer = setTimeout(() => {
      const message = `cannot dial ${opening.remote}: no answer within ${limitMs} ms`;
      settle(laneError('TIMEOUT', message, { phase: 'dial', retryable: true }));
    }, limitMs);
    socket.once(opening.event, onOpen);
    socket.once('error', onError);
    socket.once('end', onEnd);
    socket.once('close', onEnd);
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/** The peer took the connection and ended it before it was open. */
export function endedBeforeOpen(remote: string): Error {
  const message = `cannot dial ${remote}: the peer ended the connection at once`;
  return laneError('PEER_GONE', message, { phase: 'dial', retryable: true });
}
