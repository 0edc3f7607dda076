import { strict as assert } from 'node:assert';

import { IntegrityError } from '../../../src/errors.js';
import type { Mirror, OpenedMessage } from '../../../src/mirror/contract.js';
import { systemClock } from '../../../src/session/clock.js';
import { MessageInbox } from '../../../src/session/message-inbox.js';
import { SessionLane } from '../../../src/session/session-lane.js';
import type { Lane } from '../../../src/transport/contract.js';
import { withSeed } from '../../support/random.js';

/** A record of which only the counter counts. */
function record(counter: number): Uint8Array {
  const bytes = Buffer.alloc(96);
  bytes.write('PFR1', 'latin1');
  bytes.writeBigUInt64LE(BigInt(counter), 32);
  return bytes;
}

/** An inbox whose helper opens messages in counter order, as the real one does. */
function makeInbox(judge: (record: Uint8Array) => void = () => undefined) {
  const opened: number[] = [];
  let expected = 1;
  const mirror: Pick<Mirror, 'openMessage'> = {
    openMessage: async (bytes): Promise<OpenedMessage> => {
      await Promise.resolve();
      judge(bytes);
      const counter = Number(Buffer.from(bytes).readBigUInt64LE(32));
      if (counter > expected) return { outcome: 'early', expected };
      if (counter < expected) return { outcome: 'duplicate', counter };
      expected += 1;
      return { outcome: 'opened', kind: 'control', counter, bytes: new Uint8Array(0) };
    },
  };
  const inbox = new MessageInbox(mirror, {
    opened: ({ counter }) => opened.push(counter),
    duplicate: () => undefined,
    acknowledge: () => undefined,
    fail: (error) => {
      throw error;
    },
  });
  return { inbox, opened };
}

const lane = new SessionLane({ receive: () => undefined } as unknown as Lane, systemClock);

describe('the inbox of messages', () => {
  it('ends the lane of a record whose counter was changed on the way, at once', async () => {
    const aborts: Error[] = [];
    const broken = new SessionLane(
      {
        receive: () => undefined,
        abort: (error: Error) => aborts.push(error),
      } as unknown as Lane,
      systemClock,
    );
    const refusal = new IntegrityError('ERR_PAGEFERRY_TAG', 'a record is not authentic');
    const { inbox, opened } = makeInbox((bytes) => {
      if (bytes.length > 96) throw refusal;
    });
    inbox.offer(broken, Buffer.concat([record(1 + 2 ** 40), Buffer.alloc(1)]));
    await inbox.idle();
    assert.deepEqual(aborts, [refusal]);
    inbox.offer(lane, record(1));
    await inbox.idle();
    assert.deepEqual(opened, [1]);
  });

  it('opens what an early one waited for when both come in one piece', async () => {
    const { inbox, opened } = makeInbox();
    inbox.offer(lane, record(2));
    inbox.offer(lane, record(1));
    await inbox.idle();
    assert.deepEqual(opened, [1, 2]);
  });

  it('opens all in order, however they come and come again', () =>
    withSeed(async (random) => {
      for (let run = 0; run < 200; run += 1) {
        const { inbox, opened } = makeInbox();
        const counters = Array.from({ length: 20 }, (_, index) => index + 1);
        const left = [...counters];
        while (left.length > 0) {
          const [counter = 0] = left.splice(random.below(Math.min(left.length, 8)), 1);
          inbox.offer(lane, record(counter));
          if (random.once(4)) inbox.offer(lane, record(counter));
          for (let turns = random.below(4); turns > 0; turns -= 1) await Promise.resolve();
        }
        await inbox.idle();
        assert.deepEqual(opened, counters);
      }
    }));
});
