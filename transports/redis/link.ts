/**
 * What: a connection that is opened again when it was lost, until an outage lasts too long. What
 * was under way is lost each time: `up` is where its user finds out how far things got.
 */
import type { BrokerConnection } from './connection.js';
import { OUTAGE_MS_MAX } from './limits.js';
import { TransportError } from '../../src/transport/index.js';

const pauseMsFirst = 20;
const pauseMsLongest = 1_000;

export interface LinkUser {
  /** A connection is there; also the first one. A rejection counts as its loss. */
  up(connection: BrokerConnection): Promise<void>;
  /** It is gone; another may come. */
  down(): void;
  /** The outage lasts too long, or reaching the broker cannot succeed. */
  lost(error: Error): void;
}

export class Link {
  readonly #reach: (signal: AbortSignal) => Promise<BrokerConnection>;
  readonly #user: LinkUser;
  readonly #stop = new AbortController();
  #connection: BrokerConnection | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(reach: (signal: AbortSignal) => Promise<BrokerConnection>, user: LinkUser) {
    this.#reach = reach;
    this.#user = user;
  }

  /** The present connection, if there is one. */
  get connection(): BrokerConnection | undefined {
    return this.#connection;
  }

  /** Takes the first connection. */
  start(connection: BrokerConnection): void {
    this.#take(connection);
  }

  /** Closes for good; `up`, `down` and `lost` are not called any more. */
  close(): void {
    this.#stop.abort();
    clearTimeout(this.#timer);
    this.#connection?.close();
    this.#connection = undefined;
  }

  #take(connection: BrokerConnection): void {
    this.#connection = connection;
    void connection.over.then(() => {
      if (this.#stop.signal.aborted) return;
      this.#connection = undefined;
      this.#user.down();
      this.#again(performance.now(), pauseMsFirst);
    });
    this.#user.up(connection).catch((error: unknown) => {
      if (this.#stop.signal.aborted) return;
      if (cannotMend(error)) this.#user.lost(error as Error);
      else connection.close();
    });
  }

  #again(sinceMs: number, pauseMs: number): void {
    this.#timer = setTimeout(() => {
      const { signal } = this.#stop;
      this.#reach(signal).then(
        (connection) => {
          if (signal.aborted) connection.close();
          else this.#take(connection);
        },
        (error: unknown) => {
          if (signal.aborted) return;
          if (cannotMend(error) || performance.now() - sinceMs > OUTAGE_MS_MAX) {
            this.#user.lost(error as Error);
          } else {
            this.#again(sinceMs, Math.min(2 * pauseMs, pauseMsLongest));
          }
        },
      );
    }, pauseMs);
  }
}

/** Whether another attempt would meet the same. */
function cannotMend(error: unknown): boolean {
  return error instanceof TransportError && !error.retryable;
}
