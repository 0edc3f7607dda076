/**
 * What: listens by a name on a broker: holds the name with a lease, and makes a lane of everybody
 * who knocks. Who that is, the session finds out.
 */
import { abortError, laneError, tooMany } from '../../src/transport/base/index.js';
import type { Lane, Listener, OpenOptions } from '../../src/transport/contract.js';
import type { BrokerAddress } from './address.js';
import { reachKey } from './broker.js';
import type { BrokerConnection } from './connection.js';
import { brokerError, isReply } from './errors.js';
import { decodeKnock, garbage, GROUP, listenerKeys, newLaneId } from './keys.js';
import type { Knock } from './keys.js';
import { createStream, RedisLane } from './lane.js';
import {
  BLOCK_MS,
  LANES_AT_ONCE,
  LISTENER_LEASE_MS,
  LISTENER_RENEWAL_MS,
  READ_ENTRIES,
} from './limits.js';
import { Link } from './link.js';

class RedisListener implements Listener {
  readonly address: string;
  readonly #at: BrokerAddress;
  readonly #options: OpenOptions;
  readonly #onLane: (lane: Lane) => void;
  readonly #keys: { listener: string; knocks: string };
  /** Tells this listener from another by the same name. */
  readonly #token = newLaneId();
  readonly #holding: Link;
  readonly #hearing: Link;
  readonly #onAbort = (): void => {
    void this.close();
  };
  #renewal: NodeJS.Timeout | undefined;
  #lanes = 0;
  #closed: Promise<void> | undefined;

  constructor(at: BrokerAddress, options: OpenOptions, onLane: (lane: Lane) => void) {
    this.#at = at;
    this.address = at.href;
    this.#options = options;
    this.#onLane = onLane;
    this.#keys = listenerKeys(at.name);
    const reach = (signal: AbortSignal): Promise<BrokerConnection> => this.#reach(signal);
    const lost = (): void => {
      // Nobody can be told but those who dial; the next listener may have the name.
      void this.close();
    };
    this.#holding = new Link(reach, {
      up: (connection) => this.#hold(connection),
      down: () => undefined,
      lost,
    });
    this.#hearing = new Link(reach, {
      up: (connection) => this.#hear(connection),
      down: () => undefined,
      lost,
    });
  }

  async open(): Promise<void> {
    const { signal } = this.#options;
    const holding = await this.#reach(signal);
    try {
      await this.#hold(holding);
      this.#holding.start(holding);
      this.#hearing.start(await this.#reach(signal));
    } catch (error) {
      await this.close();
      holding.close();
      if (signal?.aborted) throw abortError(signal);
      throw brokerError(error, 'listen', `listen at ${this.#at.shown}`);
    }
    this.#renewal = setInterval(() => {
      const connection = this.#holding.connection;
      if (connection === undefined) return;
      this.#hold(connection).catch((error: unknown) => {
        // A lost connection comes back; a name that somebody else has does not.
        if (!isReply(error) && this.#holding.connection !== connection) return;
        void this.close();
      });
    }, LISTENER_RENEWAL_MS);
    if (signal?.aborted) this.#onAbort();
    signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  close(): Promise<void> {
    this.#closed ??= this.#leave();
    return this.#closed;
  }

  async #leave(): Promise<void> {
    clearInterval(this.#renewal);
    this.#options.signal?.removeEventListener('abort', this.#onAbort);
    this.#hearing.close();
    const connection = this.#holding.connection;
    try {
      if (connection !== undefined && (await this.#isMine(connection))) {
        await connection.call('UNLINK', this.#keys.listener, this.#keys.knocks);
      }
    } catch (error) {
      // Out of reach: the name expires.
      if (isReply(error)) throw brokerError(error, 'close', `leave ${this.#at.shown}`);
    } finally {
      this.#holding.close();
    }
  }

  async #isMine(connection: BrokerConnection): Promise<boolean> {
    const token = await connection.call('GET', this.#keys.listener);
    return Buffer.isBuffer(token) && token.toString('latin1') === this.#token;
  }

  #reach(signal: AbortSignal | undefined): Promise<BrokerConnection> {
    return reachKey(this.#at, this.#keys.knocks, { signal });
  }

  /** Takes the name, or renews it. */
  async #hold(connection: BrokerConnection): Promise<void> {
    const { listener, knocks } = this.#keys;
    const lease = ['PX', LISTENER_LEASE_MS, 'NX'];
    const taken = await connection.call('SET', listener, this.#token, ...lease);
    if (taken === null && !(await this.#isMine(connection))) {
      const message = `cannot listen at ${this.#at.shown}: somebody listens by that name`;
      throw laneError('ADDRESS_IN_USE', message, { phase: 'listen' });
    }
    await connection.call('PEXPIRE', listener, LISTENER_LEASE_MS);
    const isThere = await connection.call('PEXPIRE', knocks, LISTENER_LEASE_MS);
    if (isThere !== 1) await createStream(connection, knocks, LISTENER_LEASE_MS);
  }

  async #hear(connection: BrokerConnection): Promise<void> {
    const { knocks } = this.#keys;
    while (this.#closed === undefined) {
      const reply = await connection.call(
        ...(['XREADGROUP', 'GROUP', GROUP, GROUP, 'COUNT', READ_ENTRIES] as const),
        ...['BLOCK', BLOCK_MS, 'NOACK', 'STREAMS', knocks, '>'],
      );
      const [stream] = Array.isArray(reply) ? (reply as unknown[]) : [];
      if (!Array.isArray(stream)) continue;
      const [, items] = stream as [unknown, unknown];
      if (!Array.isArray(items)) throw garbage('no list of knocks');
      const ids: string[] = [];
      for (const item of items as unknown[]) {
        const [id, fields] = item as [unknown, unknown];
        ids.push(String(id));
        const knock = Array.isArray(fields) ? decodeKnock(fields as Buffer[]) : undefined;
        if (knock === undefined) this.#refuse(garbage('a knock of another form'));
        else this.#admit(knock);
      }
      await connection.call('XDEL', knocks, ...ids);
    }
  }

  #admit(knock: Knock): void {
    if (this.#lanes >= LANES_AT_ONCE) {
      this.#refuse(tooMany(LANES_AT_ONCE, 'lanes'));
      return;
    }
    this.#lanes += 1;
    const { maxFrameBytes, signal } = this.#options;
    const lane = new RedisLane({
      address: this.#at,
      lane: knock.lane,
      role: 'listener',
      maxFrameBytes,
      signal,
      peerWindowBytes: knock.windowBytes,
    });
    void lane.over.then(() => {
      this.#lanes -= 1;
    });
    const opening = lane.open({ signal }).then(() => lane.greet());
    opening.then(
      (isAwaited) => {
        if (isAwaited && this.#closed === undefined) {
          this.#onLane(lane);
          return;
        }
        lane.abort();
        const message = 'who knocked has left';
        this.#refuse(laneError('PEER_GONE', message, { phase: 'accept', retryable: true }));
      },
      (error: unknown) => {
        // A broker out of reach, for instance: the dialer sees it in time.
        lane.abort(error as Error);
        this.#refuse(error as Error);
      },
    );
  }

  /** Who it was, only the broker knows. */
  #refuse(error: Error): void {
    if (this.#closed === undefined) this.#options.onRefused?.(this.#at.shown, error);
  }
}

/** Rejects with TransportError (phase listen or dial), ConfigurationError, or AbortError. */
export async function listenRedis(
  address: BrokerAddress,
  options: OpenOptions,
  onLane: (lane: Lane) => void,
): Promise<Listener> {
  const { signal } = options;
  if (signal?.aborted) throw abortError(signal);
  const listener = new RedisListener(address, options, onLane);
  await listener.open();
  return listener;
}
