/**
 * A proxy of TCP or local sockets that does to connections what networks do: cuts them (with a
 * reset), refuses new ones for a while, delays, stalls, half-closes and flips bytes. Every fault is
 * counted, so that a test can tell whether it happened at all.
 */
import { once } from 'node:events';
import type { AddressInfo, Server, Socket } from 'node:net';
import { connect, createServer } from 'node:net';

import type { Random } from './random.js';

export interface Faults {
  /** Cuts one connection, each in its turn, so often. */
  readonly cutEveryMs?: number;
  /** Delay of every chunk, in each direction. */
  readonly latencyMs?: number;
  /** One chunk in so many waits `spikeMs` more; those behind it wait with it. */
  readonly spikeOnceIn?: number;
  readonly spikeMs?: number;
  /** One bit of one byte is flipped each time so many bytes have passed in all. */
  readonly flipEveryBytes?: number;
  /** Done once, when so many bytes have passed in all. */
  readonly atBytes?: readonly [number, (proxy: FaultProxy) => void];
}

/** Chunks of one direction that wait to be sent on. */
const chunksHeldMax = 64;

type Place = { readonly path: string } | { readonly host: string; readonly port: number };

interface Pair {
  readonly client: Socket;
  readonly upstream: Socket;
  isStalled: boolean;
}

export class FaultProxy {
  readonly counts = { connections: 0, cuts: 0, refused: 0, flips: 0, spikes: 0, bytes: 0 };
  readonly #pairs = new Set<Pair>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #cutTimer: NodeJS.Timeout | undefined;
  #isDown = false;
  #hasReached = false;
  #nextFlip: number;

  private constructor(
    private readonly server: Server,
    private readonly upstream: Place,
    private readonly faults: Faults,
    private readonly random: Random,
  ) {
    this.#nextFlip = faults.flipEveryBytes ?? Infinity;
  }

  /**
   * Listens at a free port of 127.0.0.1 in front of a port there; or next to a local socket, at its
   * path with `.proxy` added.
   */
  static async start(
    upstream: number | string,
    faults: Faults,
    random: Random,
  ): Promise<FaultProxy> {
    const server = createServer({ allowHalfOpen: true, noDelay: true });
    const place =
      typeof upstream === 'string' ? { path: upstream } : { host: '127.0.0.1', port: upstream };
    const proxy = new FaultProxy(server, place, faults, random);
    server.on('connection', (client) => {
      proxy.#accept(client);
    });
    server.listen('path' in place ? { path: `${place.path}.proxy` } : { ...place, port: 0 });
    await once(server, 'listening');
    if (faults.cutEveryMs !== undefined) {
      proxy.#cutTimer = setInterval(() => {
        proxy.cutOne();
      }, faults.cutEveryMs);
    }
    return proxy;
  }

  get address(): string {
    return `tcp://127.0.0.1:${this.port}`;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  get connections(): number {
    return this.#pairs.size;
  }

  /** Resets the connection that is open for the longest. */
  cutOne(): void {
    const [pair] = this.#pairs;
    if (pair !== undefined) this.#cut(pair);
  }

  /** Resets every connection, and every new one for `downMs`. */
  cutAll(downMs: number): void {
    this.#isDown = true;
    for (const pair of [...this.#pairs]) this.#cut(pair);
    this.#later(downMs, () => {
      this.#isDown = false;
    });
  }

  /** Lets nothing through on the connection that is open for the longest, and keeps it open. */
  stallOne(): void {
    const [pair] = this.#pairs;
    if (pair === undefined) return;
    pair.isStalled = true;
    for (const socket of [pair.client, pair.upstream]) socket.pause();
  }

  /** Ends the stream of the newest connection towards the listener; the other direction lives. */
  halfCloseOne(): void {
    [...this.#pairs].at(-1)?.upstream.end();
  }

  async close(): Promise<void> {
    clearInterval(this.#cutTimer);
    for (const timer of this.#timers) clearTimeout(timer);
    for (const pair of [...this.#pairs]) this.#cut(pair);
    this.server.close();
    await once(this.server, 'close');
  }

  #accept(client: Socket): void {
    client.on('error', () => undefined);
    this.counts.connections += 1;
    if (this.#isDown) {
      this.counts.refused += 1;
      this.#drop(client);
      return;
    }
    const upstream = connect({ ...this.upstream, allowHalfOpen: true, noDelay: true });
    upstream.on('error', () => undefined);
    const pair = { client, upstream, isStalled: false };
    this.#pairs.add(pair);
    this.#forward(pair, client, upstream);
    this.#forward(pair, upstream, client);
    for (const socket of [client, upstream]) {
      socket.once('close', () => {
        this.#pairs.delete(pair);
        (socket === client ? upstream : client).destroy();
      });
    }
  }

  /** In order and with backpressure: at most a few chunks are on their way at a time. */
  #forward(pair: Pair, from: Socket, to: Socket): void {
    const held: { chunk: Buffer; dueMs: number }[] = [];
    let lastDueMs = 0;
    let unsent = 0;
    let hasEnded = false;
    const endWhenSent = (): void => {
      if (hasEnded && unsent === 0 && to.writable) to.end();
    };
    const sendDue = (): void => {
      for (;;) {
        const [next] = held;
        if (next === undefined) return;
        const leftMs = next.dueMs - performance.now();
        if (leftMs > 0) {
          this.#later(leftMs, sendDue);
          return;
        }
        held.shift();
        to.write(next.chunk, () => {
          unsent -= 1;
          if (unsent < chunksHeldMax && !pair.isStalled) from.resume();
          endWhenSent();
        });
      }
    };
    from.on('data', (chunk: Buffer) => {
      this.counts.bytes += chunk.length;
      this.#flip(chunk);
      this.#reach();
      unsent += 1;
      if (unsent >= chunksHeldMax) from.pause();
      lastDueMs = Math.max(lastDueMs, performance.now() + this.#delayMs());
      held.push({ chunk, dueMs: lastDueMs });
      if (held.length === 1) sendDue();
    });
    from.on('end', () => {
      hasEnded = true;
      endWhenSent();
    });
  }

  #delayMs(): number {
    const { latencyMs = 0, spikeOnceIn, spikeMs = 0 } = this.faults;
    if (spikeOnceIn === undefined || !this.random.once(spikeOnceIn)) return latencyMs;
    this.counts.spikes += 1;
    return latencyMs + spikeMs;
  }

  #flip(chunk: Buffer): void {
    while (this.counts.bytes >= this.#nextFlip) {
      this.#nextFlip += this.faults.flipEveryBytes ?? Infinity;
      const at = this.random.below(chunk.length);
      chunk.writeUInt8(chunk.readUInt8(at) ^ (1 << this.random.below(8)), at);
      this.counts.flips += 1;
    }
  }

  #reach(): void {
    const { atBytes } = this.faults;
    if (atBytes === undefined || this.#hasReached || this.counts.bytes < atBytes[0]) return;
    this.#hasReached = true;
    atBytes[1](this);
  }

  #cut(pair: Pair): void {
    this.#pairs.delete(pair);
    this.counts.cuts += 1;
    this.#drop(pair.client);
    this.#drop(pair.upstream);
  }

  /** With a reset, which local sockets have not. */
  #drop(socket: Socket): void {
    if ('path' in this.upstream) socket.destroy();
    else socket.resetAndDestroy();
  }

  #later(delayMs: number, run: () => void): void {
    const timer = setTimeout(
      () => {
        this.#timers.delete(timer);
        run();
      },
      Math.max(0, delayMs),
    );
    this.#timers.add(timer);
  }
}
