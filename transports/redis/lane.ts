/**
 * What: a lane over two streams of a broker, one a direction, with two connections: one that waits
 * for what comes, one for everything that is written. Both come back after an outage.
 *
 * Each side creates and renews the stream it reads, and deletes it at the end; what nobody renews
 * expires. So a peer that is gone shows as a stream that is gone.
 */
import { BaseLane, laneError } from '../../src/transport/base/index.js';
import type { Outgoing } from '../../src/transport/base/index.js';
import type { BrokerAddress } from './address.js';
import type { BrokerConnection, ConnectLimits } from './connection.js';
import { reachKey } from './broker.js';
import { brokerError, isReply } from './errors.js';
import { Inbound } from './inbound.js';
import { GROUP, garbage, isWindow, laneKeys } from './keys.js';
import type { LaneKeys, LaneRole } from './keys.js';
import { LEASE_MS, RENEWAL_MS, windowOf } from './limits.js';
import { Link } from './link.js';
import { Outbound } from './outbound.js';

export interface RedisLaneOptions {
  readonly address: BrokerAddress;
  readonly lane: string;
  readonly role: LaneRole;
  readonly maxFrameBytes: number;
  readonly signal?: AbortSignal | undefined;
  /** The peer's window, where it is known already. */
  readonly peerWindowBytes?: number | undefined;
}

/** How long a goodbye may still be on its way when the peer's stream is found missing. */
const missingGraceMs = 1_000;
/** How long a broker may take to delete the keys at the end. */
const goodbyeMs = 2_000;

export class RedisLane extends BaseLane {
  /** Settles when the peer has taken the lane; only for the dialer. */
  readonly taken: Promise<void>;
  /** Settles at the lane's end. */
  readonly over: Promise<void>;
  readonly id: string;
  #tellOver: () => void = () => undefined;
  #tellTaken: () => void = () => undefined;
  readonly #options: RedisLaneOptions;
  readonly #keys: LaneKeys;
  readonly #inbound: Inbound;
  readonly #outbound: Outbound;
  readonly #writing: Link;
  readonly #reading: Link;
  /** Entries that are done with, until the broker knows. */
  #settled: string[] = [];
  #renewal: NodeJS.Timeout | undefined;
  #missingTimer: NodeJS.Timeout | undefined;

  constructor(options: RedisLaneOptions) {
    const { address, lane, role, maxFrameBytes } = options;
    const remote = address.shown;
    super({ remote, maxFrameBytes, signal: options.signal });
    this.#options = options;
    this.id = lane;
    this.over = new Promise((resolve) => {
      this.#tellOver = resolve;
    });
    this.#keys = laneKeys(address.name, lane, role);
    this.taken = new Promise((resolve) => {
      this.#tellTaken = resolve;
    });
    const fail = (error: Error): void => {
      this.fail(error);
    };
    this.#outbound = new Outbound(this.#keys.outbound, remote, {
      missing: () => {
        this.#outboundMissing();
      },
      fail,
    });
    const windowBytes = windowOf(maxFrameBytes);
    this.#inbound = new Inbound(
      { key: this.#keys.inbound, shown: remote, maxFrameBytes, windowBytes },
      {
        inbox: this.inbox,
        hello: (bytes) => {
          this.#hello(bytes);
        },
        credited: (sequence) => {
          this.#outbound.credited(sequence);
        },
        goodbye: () => {
          this.peerSaidGoodbye();
        },
        settled: (ids, consumed) => {
          this.#settle(ids);
          if (consumed !== undefined) this.#outbound.giveCredit(consumed);
        },
        fail,
      },
    );
    const reach = (signal: AbortSignal): Promise<BrokerConnection> =>
      reachKey(address, this.#keys.inbound, { signal });
    this.#writing = new Link(reach, {
      up: async (connection) => {
        await this.#outbound.up(connection);
        this.#settle([]);
      },
      down: () => {
        this.#outbound.down();
      },
      lost: fail,
    });
    this.#reading = new Link(reach, {
      up: (connection) => this.#inbound.read(connection),
      down: () => undefined,
      lost: fail,
    });
    if (options.peerWindowBytes !== undefined) this.#outbound.open(options.peerWindowBytes);
  }

  /**
   * Reaches the broker and creates the stream this side reads; then the lane works. On failure
   * nothing is left, once `close` has resolved.
   */
  async open(limits: ConnectLimits): Promise<void> {
    const { address } = this.#options;
    const { inbound } = this.#keys;
    const open = (): Promise<BrokerConnection> => reachKey(address, inbound, limits);
    const writing = await open();
    try {
      await createStream(writing, inbound, LEASE_MS);
      const reading = await open();
      if (this.status === 'closed') {
        reading.close();
        await writing.call('UNLINK', inbound);
        writing.close();
        return;
      }
      this.#writing.start(writing);
      this.#reading.start(reading);
    } catch (error) {
      // As far as the broker can still be reached; else the key expires.
      await writing.call('UNLINK', inbound).catch(() => undefined);
      writing.close();
      throw brokerError(error, 'dial', `reach ${address.shown}`);
    }
    this.#renewal = setInterval(() => {
      this.#renew();
    }, RENEWAL_MS);
  }

  /** Tells the dialer that the lane is taken; false when it does not wait any more. */
  async greet(): Promise<boolean> {
    const { outbound } = this.#keys;
    const head = `h${windowOf(this.maxFrameBytes)}`;
    const id = await this.#writing.connection?.call('XADD', outbound, 'NOMKSTREAM', '*', head, '');
    return Buffer.isBuffer(id);
  }

  protected override transmit(frames: readonly Outgoing[], done: () => void): void {
    this.#outbound.send(frames, done);
  }

  protected override transmitGoodbye(done: () => void): void {
    this.#outbound.goodbye(done);
  }

  protected override startReading(): void {
    this.#inbound.consume();
  }

  protected override release(graceful: boolean): void {
    clearInterval(this.#renewal);
    clearTimeout(this.#missingTimer);
    this.#tellOver();
    this.#inbound.close();
    this.#outbound.close();
    this.#reading.close();
    const { inbound, outbound } = this.#keys;
    // After a graceful end the peer still reads its own stream, and deletes it. Else it notices.
    const keys = graceful ? [inbound] : [inbound, outbound];
    const deleted = this.#writing.connection?.call('UNLINK', ...keys) ?? Promise.resolve(0);
    const free = (): void => {
      clearTimeout(limit);
      this.#writing.close();
      this.released();
    };
    // Where the broker is out of reach, the keys expire.
    const limit = setTimeout(free, goodbyeMs);
    deleted.then(free, free);
  }

  #hello(windowBytes: number): void {
    const isExpected = this.#options.role === 'dialer';
    if (!isExpected || !isWindow(windowBytes)) throw garbage('a hello that does not belong there');
    this.#outbound.open(windowBytes);
    this.#tellTaken();
  }

  /** XACK, then XDEL: an acknowledged entry that is not deleted stays for good. */
  #settle(ids: readonly string[]): void {
    this.#settled.push(...ids);
    const connection = this.#writing.connection;
    if (connection === undefined || this.#settled.length === 0) return;
    const { inbound } = this.#keys;
    const now = this.#settled.splice(0);
    const done = Promise.all([
      connection.call('XACK', inbound, GROUP, ...now),
      connection.call('XDEL', inbound, ...now),
    ]);
    done.catch((error: unknown) => {
      if (this.status === 'closed') return;
      if (isReply(error)) this.fail(brokerError(error, 'receive', `receive from ${this.remote}`));
      else this.#settled.unshift(...now);
    });
  }

  #renew(): void {
    const connection = this.#writing.connection;
    if (connection === undefined) return;
    const { inbound, outbound } = this.#keys;
    const renewed = Promise.all([
      connection.call('PEXPIRE', inbound, LEASE_MS),
      connection.call('EXISTS', outbound),
    ]);
    renewed.then(
      ([own, peers]) => {
        if (this.status === 'closed') return;
        if (own !== 1) this.#peerGone();
        else if (peers !== 1) this.#outboundMissing();
      },
      (error: unknown) => {
        if (this.status === 'closed' || !isReply(error)) return;
        this.fail(brokerError(error, 'receive', `receive from ${this.remote}`));
      },
    );
  }

  /** The peer has left; gracefully, when its goodbye is here or just coming. */
  #outboundMissing(): void {
    if (this.status === 'closed' || this.peerClosed || this.#missingTimer !== undefined) return;
    this.#missingTimer = setTimeout(() => {
      this.#missingTimer = undefined;
      if (!this.peerClosed && !this.#inbound.holdsGoodbye) this.#peerGone();
    }, missingGraceMs);
  }

  #peerGone(): void {
    const message = `${this.remote} is gone without a goodbye`;
    this.fail(laneError('PEER_GONE', message, { phase: 'receive', retryable: true }));
  }
}

/** Creates a stream with its reader's group and its expiry, all or nothing. */
export async function createStream(
  connection: BrokerConnection,
  key: string,
  leaseMs: number,
): Promise<void> {
  const replies = await Promise.all([
    connection.call('MULTI'),
    connection.call('XGROUP', 'CREATE', key, GROUP, '0', 'MKSTREAM'),
    connection.call('PEXPIRE', key, leaseMs),
    connection.call('EXEC'),
  ]);
  const failed = (replies[3] as unknown[]).find((reply) => reply instanceof Error);
  if (failed !== undefined) throw failed;
}
