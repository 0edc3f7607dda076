/**
 * A TCP proxy that delays what passes, as a long line does. Each direction holds what came for half
 * the round trip, and at most `bufferBytes`: then it does not read on, like a line that is full.
 * With a round trip of 0 it only passes on: what a delay costs shows against that.
 */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';

/** What one direction holds: 1.6 GB/s over 10 ms. */
export const bufferBytes = 8 * 1024 * 1024;

function delayed(from: Socket, to: Socket, delayMs: number): void {
  let heldBytes = 0;
  let pending = 0;
  let isOver = false;
  const endWhenEmpty = (): void => {
    if (isOver && pending === 0) to.destroy();
  };
  from.on('data', (chunk: Buffer) => {
    heldBytes += chunk.byteLength;
    pending += 1;
    if (heldBytes >= bufferBytes) from.pause();
    const passOn = (): void => {
      pending -= 1;
      to.write(chunk, () => {
        heldBytes -= chunk.byteLength;
        if (heldBytes < bufferBytes) from.resume();
      });
      endWhenEmpty();
    };
    if (delayMs === 0) passOn();
    else setTimeout(passOn, delayMs);
  });
  from.on('error', () => undefined);
  from.on('close', () => {
    isOver = true;
    endWhenEmpty();
  });
}

export class DelayProxy {
  readonly port: number;
  readonly #server: Server;
  readonly #sockets: Set<Socket>;

  private constructor(server: Server, sockets: Set<Socket>) {
    this.#server = server;
    this.#sockets = sockets;
    this.port = (server.address() as AddressInfo).port;
  }

  /** Passes connections on to `port` of loopback. */
  static async start(port: number, roundTripMs: number): Promise<DelayProxy> {
    const sockets = new Set<Socket>();
    const server = createServer({ noDelay: true }, (near) => {
      const far = connect({ host: '127.0.0.1', port, noDelay: true });
      for (const socket of [near, far]) {
        sockets.add(socket);
        socket.on('close', () => sockets.delete(socket));
      }
      delayed(near, far, roundTripMs / 2);
      delayed(far, near, roundTripMs / 2);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new DelayProxy(server, sockets);
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
