/**
 * What: what somebody can do to a listener who knows nothing of the transport: he may be turned
 * away or kept waiting, and the rightful peer is served all the while, within bounded memory.
 */
import type { Duplex } from 'node:stream';

import type { Lane, Listener } from '../contract.js';
import { CollectingSink, Random, check, until, within } from './harness.js';
import type { Harness } from './harness.js';

const idleCount = 1000;
/**
 * Both ends of every idle connection are in this process: about 60 KB each where TLS is begun,
 * with the noise of a collector that has its own time.
 */
const memoryMax = 128 * 1024 * 1024;
const rightful = Buffer.from('the rightful peer');

class Doorstep {
  readonly listener: Listener;
  readonly #harness: Harness;
  readonly #visitors: Duplex[] = [];
  /** Whether the rightful peer was served since this was asked last. */
  readonly #served: () => boolean;

  private constructor(harness: Harness, listener: Listener, served: () => boolean) {
    this.#harness = harness;
    this.listener = listener;
    this.#served = served;
  }

  /** A listener that aborts what it gets but the lane whose first frame is the rightful one. */
  static async open(harness: Harness): Promise<Doorstep> {
    let served = false;
    const lanes = new Set<Lane>();
    const listener = await harness.listen(
      (lane) => {
        lanes.add(lane);
        const sink = new CollectingSink();
        sink.deliver = (buffer, bytes) => {
          served ||= rightful.equals(buffer.subarray(0, bytes));
        };
        lane.receive(sink);
        // As every owner of a listener has to: strangers with a lane are bounded too.
        const [oldest] = lanes;
        if (lanes.size > 16 && oldest !== undefined) {
          lanes.delete(oldest);
          oldest.abort();
        }
      },
      { onRefused: () => undefined },
    );
    return new Doorstep(harness, listener, () => {
      const was = served;
      served = false;
      return was;
    });
  }

  async visit(): Promise<Duplex> {
    const visitor = await this.#harness.target.openPasserBy?.(new URL(this.listener.address));
    check(visitor !== undefined, 'the target has the hook');
    visitor.on('error', () => undefined);
    visitor.resume();
    this.#visitors.push(visitor);
    return visitor;
  }

  /** The rightful peer comes, sends a frame, and leaves. */
  async serve(): Promise<void> {
    const lane = await this.#harness.dial(this.listener.address);
    lane.receive(new CollectingSink());
    await within(lane.send([rightful]), 'the rightful peer may send');
    await until(() => this.#served(), 'the rightful peer is served');
    lane.abort();
  }

  leave(): void {
    for (const visitor of this.#visitors) visitor.destroy();
  }
}

async function garbage(harness: Harness, random: Random): Promise<void> {
  const doorstep = await Doorstep.open(harness);
  for (let round = 0; round < 20; round += 1) {
    const visitor = await doorstep.visit();
    const closed = new Promise<void>((resolve) => visitor.once('close', resolve));
    visitor.end(random.bytes(1 + random.below(100_000)));
    if (round % 5 === 0) await doorstep.serve();
    await within(closed, 'whoever sends garbage and leaves is let go');
  }
  doorstep.leave();
}

/** Something plausible, byte by byte. */
async function slowLoris(harness: Harness): Promise<void> {
  const doorstep = await Doorstep.open(harness);
  const visitors: Duplex[] = [];
  for (let index = 0; index < 50; index += 1) visitors.push(await doorstep.visit());
  // The beginning of a ClientHello, which is a plausible length of a frame as well.
  for (const byte of [0x16, 0x03, 0x01, 0x00, 0xc8, 0x01]) {
    for (const visitor of visitors) if (visitor.writable) visitor.write(Buffer.of(byte));
    await doorstep.serve();
  }
  doorstep.leave();
}

async function idle(harness: Harness): Promise<void> {
  const doorstep = await Doorstep.open(harness);
  await doorstep.serve();
  const before = process.memoryUsage().rss;
  for (let index = 0; index < idleCount; index += 1) await doorstep.visit();
  await doorstep.serve();
  await doorstep.serve();
  const grownBytes = process.memoryUsage().rss - before;
  check(grownBytes < memoryMax, `memory stays bounded: ${grownBytes} bytes more`);
  doorstep.leave();
}

export function passerByTests(harness: Harness): void {
  const random = new Random();
  harness.itWith('openPasserBy', `serves its peer through garbage (seed ${random.seed})`, () =>
    garbage(harness, random),
  );
  harness.itWith('openPasserBy', 'serves its peer while others begin and never go on', () =>
    slowLoris(harness),
  );
  harness.itWith('openPasserBy', `serves its peer among ${idleCount} idle connections`, () =>
    idle(harness),
  );
}
