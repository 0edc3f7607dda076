/** Pairs of lanes over a broker, for tests that disturb it. */
import redis from '../../transports/redis/index.js';
import { CollectingSink, within } from '../../src/transport/compliance/harness.js';
import type { Lane, Listener } from '../../src/transport/contract.js';
import type { RedisServer } from './redis-server.js';

export interface LaneEnd {
  readonly lane: Lane;
  readonly sink: CollectingSink;
}

const limits = { maxFrameBytes: 1024 * 1024 };
let names = 0;

export class RedisLanes {
  readonly address: string;
  readonly accepted: LaneEnd[] = [];
  readonly dialed: LaneEnd[] = [];
  readonly refused: (readonly [remote: string, error: Error])[] = [];
  #listener: Listener | undefined;
  #arrived: () => void = () => undefined;

  constructor(place: string) {
    names += 1;
    this.address = `${place}${place.includes('?') ? '&' : '?'}name=test-${names}`;
  }

  static at(server: RedisServer): RedisLanes {
    return new RedisLanes(`redis://127.0.0.1:${server.port}`);
  }

  async listen(): Promise<void> {
    const onRefused = (remote: string, error: Error): void => {
      this.refused.push([remote, error]);
    };
    const options = { ...limits, onRefused };
    this.#listener = await redis().listen(new URL(this.address), options, (lane) => {
      const sink = new CollectingSink();
      lane.receive(sink);
      this.accepted.push({ lane, sink });
      this.#arrived();
    });
  }

  /** A further lane, both ends of it. `give` may hold back the accepted end's memory. */
  async open(): Promise<{ dialed: LaneEnd; accepted: LaneEnd }> {
    if (this.#listener === undefined) await this.listen();
    const arrival = new Promise<void>((resolve) => {
      this.#arrived = resolve;
    });
    const lane = await redis().dial(new URL(this.address), limits);
    const dialed = { lane, sink: new CollectingSink() };
    lane.receive(dialed.sink);
    this.dialed.push(dialed);
    await within(arrival, 'the listener hands over the lane');
    const accepted = this.accepted.at(-1);
    if (accepted === undefined) throw new Error('a lane that did not arrive');
    return { dialed, accepted };
  }

  async close(): Promise<void> {
    const ends = [...this.dialed, ...this.accepted];
    for (const { lane } of ends) lane.abort();
    await Promise.all(ends.map(({ lane }) => lane.close()));
    await this.#listener?.close();
  }
}
