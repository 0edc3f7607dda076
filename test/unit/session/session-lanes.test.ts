import { strict as assert } from 'node:assert';
import { setTimeout as delay } from 'node:timers/promises';

import { encodeAck } from '../../../src/wire/ack.js';
import type { Lane } from '../../../src/transport/contract.js';
import { fakeWorld } from '../../support/session/fake-world.js';
import { kindOf, LaneTap } from '../../support/session/lane-tap.js';
import {
  assertCompleted,
  assertRolledBack,
  dispose,
  finish,
  startPair,
} from '../../support/session/pair.js';
import type { Pair, PairOptions } from '../../support/session/pair.js';

const kindPages = 1;
const kindControl = 2;
const kindToken = 4;

function flipped(frame: Buffer): Buffer {
  const changed = Buffer.from(frame);
  const at = changed.length - 20;
  changed.writeUInt8(changed.readUInt8(at) ^ 1, at);
  return changed;
}

describe('the lanes of a session', () => {
  const pairs: Pair[] = [];

  async function start(options: Partial<PairOptions>): Promise<Pair> {
    const pair = await startPair({ world: fakeWorld({ bytes: 32 * 1024 * 1024 }), ...options });
    pairs.push(pair);
    return pair;
  }

  afterEach(async () => {
    for (const pair of pairs.splice(0)) await dispose(pair);
  });

  /** Taps the n-th lane of the source and leaves the others alone. */
  function tapSource(number: number, onSend: ConstructorParameters<typeof LaneTap>[1]) {
    let count = -1;
    return (role: string, lane: Lane): Lane => {
      if (role !== 'source') return lane;
      count += 1;
      return count === number ? new LaneTap(lane, onSend) : lane;
    };
  }

  for (const address of [undefined, 'tcp://127.0.0.1:0']) {
    it(`resends what a lane lost in mid-epoch, over ${address ?? 'memory'}`, async () => {
      let records = 0;
      const tap = tapSource(1, (lane, frame) => {
        if (kindOf(frame) === kindPages) records += 1;
        if (records === 5) lane.abort(new Error('cut by the test'));
        return true;
      });
      const pair = await start({ tap, lanes: 2, ...(address ? { address } : {}) });
      assertCompleted(pair, await finish(pair));
      assert.equal(records, 5);
    });
  }

  it('gives a lane that drains slowly less, and says what each carried', async () => {
    const tap = tapSource(1, async (_, frame) => {
      if (kindOf(frame) === kindPages) await delay(40);
      return true;
    });
    const world = fakeWorld({ bytes: 64 * 1024 * 1024 });
    const pair = await start({ tap, lanes: 2, world });
    const outcome = await finish(pair);
    assertCompleted(pair, outcome);
    const [fast, slow] = outcome.source.perLane ?? [];
    assert.ok(fast !== undefined && slow !== undefined);
    assert.deepEqual([fast.lane, slow.lane, fast.connections, slow.connections], [0, 1, 1, 1]);
    assert.ok(slow.bytesSent < fast.bytesSent / 2, JSON.stringify([fast, slow]));
    assert.ok(slow.sendBytesPerSecond < fast.sendBytesPerSecond);
    const received = outcome.destination.perLane?.map(({ bytesReceived }) => bytesReceived);
    assert.deepEqual(received, [fast.bytesSent, slow.bytesSent]);
  });

  it('resends records that were sent and never arrived', async () => {
    let swallowed = 0;
    const tap = tapSource(1, (lane, frame) => {
      if (kindOf(frame) !== kindPages) return true;
      swallowed += 1;
      if (swallowed === 4)
        setTimeout(() => {
          lane.abort(new Error('cut by the test'));
        }, 50);
      return false;
    });
    const pair = await start({ tap, lanes: 2 });
    assertCompleted(pair, await finish(pair));
    assert.ok(swallowed >= 4);
  });

  for (const [name, kind] of [
    ['a page record', kindPages],
    ['a control message', kindControl],
    ['a token', kindToken],
  ] as const) {
    it(`drops the lane on which ${name} was changed, and goes on`, async () => {
      let changed = 0;
      const tap = (role: string, lane: Lane): Lane => {
        if (role !== 'source') return lane;
        return new LaneTap(lane, (tapped, frame) => {
          if (kindOf(frame) !== kind || changed > 0) return true;
          changed += 1;
          void tapped.send([flipped(frame)]);
          return false;
        });
      };
      const pair = await start({ tap, lanes: 2 });
      const outcome = await finish(pair);
      assertCompleted(pair, outcome);
      assert.equal(changed, 1);
      const lost = pair.destination.events.filter((event) => event.type === 'lane' && !event.open);
      assert.ok(lost.length >= 1);
    });
  }

  it('takes records, tokens and messages that come twice', async () => {
    const tap = (role: string, lane: Lane): Lane => {
      if (role !== 'source') return lane;
      const seen = new WeakSet<Buffer>();
      return new LaneTap(lane, async (tapped, frame) => {
        if (kindOf(frame) === 0 || kindOf(frame) === 5 || seen.has(frame)) return true;
        await lane.send([frame]);
        return tapped.status === 'open';
      });
    };
    const pair = await start({ tap, lanes: 2 });
    assertCompleted(pair, await finish(pair));
  });

  it('ends when every lane is lost, with the guest running at the source', async () => {
    let records = 0;
    const tap = (role: string, lane: Lane): Lane => {
      if (role !== 'source') return lane;
      return new LaneTap(lane, (tapped, frame) => {
        if (kindOf(frame) === kindPages) records += 1;
        if (records > 6) tapped.abort(new Error('cut by the test'));
        return true;
      });
    };
    const pair = await start({ tap, lanes: 2 });
    const outcome = await finish(pair);
    assertRolledBack(pair, outcome);
    assert.equal(outcome.source.error?.code, 'ERR_PAGEFERRY_LANES_LOST');
    assert.equal(outcome.destination.error?.code, 'ERR_PAGEFERRY_LANES_LOST');
  });

  it('ends by its deadline when a peer falls silent on open lanes', async () => {
    let isSilent = false;
    const tap = (role: string, lane: Lane): Lane =>
      new LaneTap(lane, (_, frame) => {
        if (role === 'source' && kindOf(frame) === kindToken) isSilent = true;
        return !isSilent;
      });
    const peerTimeoutMs = 400;
    const source = { peerTimeoutMs };
    const pair = await start({ tap, lanes: 2, source, destination: { peerTimeoutMs } });
    const startedMs = performance.now();
    assertRolledBack(pair, await finish(pair));
    assert.ok(performance.now() - startedMs < 5000);
  });

  it('loses nothing to forged acknowledgements while the lanes live', async () => {
    const tap = tapSource(0, (lane, frame) => {
      if (kindOf(frame) !== kindToken) return true;
      const ranges = [{ first: 1, count: 4096 }];
      void lane.inject(encodeAck([{ recordClass: 1, stream: 0, ranges }]));
      return true;
    });
    const pair = await start({ tap, lanes: 1 });
    assertCompleted(pair, await finish(pair));
  });
});
