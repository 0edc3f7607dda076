/**
 * What: one connection to a broker, over ioredis: opened and checked, or not at all. It does not
 * reconnect by itself: what was under way when it was lost is for its user to know (see link.ts).
 * What the broker sends unasked, or beyond what was asked for, ends it.
 */
import { isIP } from 'node:net';

import { Redis } from 'ioredis';
import type { RedisOptions as AllOptions } from 'ioredis';

import { abortError, laneError } from '../../src/transport/base/index.js';
import type { BrokerAddress } from './address.js';
import { brokerError } from './errors.js';
import { checkFacts, factsOf } from './facts.js';
import type { BrokerFacts } from './facts.js';
import { CONNECT_MS_MAX } from './limits.js';

type NetStream = Redis['stream'];
type RedisOptions = Omit<AllOptions, 'replyMapping'>;

export type Argument = string | number | Buffer;

/** Where to connect when it is not the address itself: a node of a Cluster. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

export interface ConnectLimits {
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What a reply may have unless its asker says more; INFO has some 6 KiB. */
const replyBytesDefault = 1024 * 1024;

/** Where the connection goes. */
function placeOf(address: BrokerAddress, endpoint: Endpoint | undefined): RedisOptions {
  const { place, sentinelMaster } = address;
  if ('path' in place) return { path: place.path };
  if (sentinelMaster !== undefined) {
    const sentinels = place.servers.map(({ host, port }) => ({ host, port }));
    return { sentinels, name: sentinelMaster, sentinelRetryStrategy: () => null };
  }
  return endpoint ?? place.servers[0] ?? {};
}

async function optionsOf(
  address: BrokerAddress,
  endpoint: Endpoint | undefined,
  timeoutMs: number,
): Promise<RedisOptions> {
  const password = await address.readPassword();
  const options: RedisOptions = {
    ...placeOf(address, endpoint),
    db: address.database,
    ...(address.username === undefined ? {} : { username: address.username }),
    ...(password === undefined ? {} : { password }),
    connectTimeout: timeoutMs,
    protocol: 2,
    lazyConnect: true,
    enableOfflineQueue: false,
    enableReadyCheck: false,
    disableClientInfo: true,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: null,
    retryStrategy: () => null,
  };
  if (!address.isSecure) return options;
  const { ca, identity } = await address.readTls();
  const tls = { ...(ca === undefined ? {} : { ca }), ...identity };
  const name = address.tlsName ?? options.host ?? '';
  return {
    ...options,
    // An IP address cannot be asked for by name.
    tls: { ...tls, ...(name === '' || isIP(name) !== 0 ? {} : { servername: name }) },
    enableTLSForSentinelMode: true,
  };
}

export class BrokerConnection {
  /** Settles when the connection is over. */
  readonly over: Promise<void>;
  #facts: BrokerFacts | undefined;
  #repliesBytes = 0;
  #allowedBytes = replyBytesDefault;
  #lastError: Error | undefined;

  private constructor(private readonly redis: Redis) {
    this.over = new Promise((resolve) => {
      redis.once('end', resolve);
    });
    redis.on('error', (error: Error) => {
      this.#lastError = error;
    });
    redis.on('connect', () => {
      redis.stream.on('data', (chunk: Buffer) => {
        this.#count(chunk.byteLength);
      });
    });
  }

  /**
   * Connects and checks that the broker can carry lanes. Rejects with TransportError of phase dial
   * (the broker is dialed on both sides), ConfigurationError, or AbortError.
   */
  static async open(
    address: BrokerAddress,
    limits: ConnectLimits,
    endpoint?: Endpoint,
  ): Promise<BrokerConnection> {
    const { timeoutMs = CONNECT_MS_MAX, signal } = limits;
    const options = await optionsOf(address, endpoint, timeoutMs);
    if (signal?.aborted) throw abortError(signal);
    const connection = new BrokerConnection(new Redis(options));
    const giveUp = (): void => {
      connection.close();
    };
    signal?.addEventListener('abort', giveUp, { once: true });
    const timer = setTimeout(giveUp, timeoutMs);
    let isLate = true;
    try {
      await connection.redis.connect();
      connection.#facts = factsOf(await connection.call('INFO'));
      checkFacts(connection.#facts, address.shown);
      isLate = false;
      return connection;
    } catch (error) {
      connection.close();
      if (signal?.aborted) throw abortError(signal);
      const cause = connection.#lastError ?? error;
      if (isLate && connection.#lastError === undefined && isClosed(error)) {
        const message = `cannot reach ${address.shown}: no answer within ${timeoutMs} ms`;
        throw laneError('TIMEOUT', message, { phase: 'dial', retryable: true, cause });
      }
      throw brokerError(cause, 'dial', `reach ${address.shown}`);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', giveUp);
    }
  }

  get facts(): BrokerFacts {
    if (this.#facts === undefined) throw new Error('facts of a connection that was never opened');
    return this.#facts;
  }

  /** Sends a command; bulk strings come back as Buffers. Rejects as ioredis does. */
  call(name: string, ...args: Argument[]): Promise<unknown> {
    return this.ask(replyBytesDefault, name, ...args);
  }

  /** As `call`, with at most `replyBytes` from the broker until the next command. */
  ask(replyBytes: number, name: string, ...args: Argument[]): Promise<unknown> {
    this.#repliesBytes = 0;
    this.#allowedBytes = replyBytes;
    return this.redis.callBuffer(name, ...args);
  }

  /** Whether the broker sent more than it was asked for; that ended the connection. */
  get isFlooded(): boolean {
    return this.#repliesBytes > this.#allowedBytes;
  }

  /** Closes at once; what is under way rejects. Idempotent. */
  close(): void {
    this.redis.disconnect();
    // ioredis would wait for the other end, also for one that never answered.
    const { stream } = this.redis as { stream?: NetStream };
    stream?.destroy();
  }

  #count(bytes: number): void {
    this.#repliesBytes += bytes;
    if (this.isFlooded) this.close();
  }
}

function isClosed(error: unknown): boolean {
  return error instanceof Error && error.message === 'Connection is closed.';
}
