/**
 * What every session has to show, whatever it is made of: run on fakes as a unit test, and on real
 * mirrors and guests as an integration test.
 */
import { strict as assert } from 'node:assert';
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';

import type { CodecName, EngineName } from '../../../src/mirror/contract.js';
import type { Lane } from '../../../src/transport/contract.js';
import { encodeControl } from '../../../src/wire/control.js';
import type { OutgoingControl } from '../../../src/wire/control.js';
import { kindOf, LaneTap } from './lane-tap.js';
import type { Pair, PairOptions, World } from './pair.js';
import { assertCompleted, assertRolledBack, dispose, finish, startPair } from './pair.js';

export interface SuiteOptions {
  readonly name: string;
  readonly engine: EngineName;
  readonly codecs: readonly CodecName[];
  /** Called in each test; the world's own set-up may fail or skip. */
  readonly world: () => World;
}

const tcp = 'tcp://127.0.0.1:0';

/** A record of kind control as a stranger on the way would make it: right form, wrong tag. */
function forgedControl(
  session: Uint8Array,
  toSource: boolean,
  counter: number,
  message: OutgoingControl,
): Buffer {
  const plain = encodeControl(message);
  const record = Buffer.alloc(80 + plain.length + 16);
  record.write('PFR1', 'latin1');
  record.set([1, 2, toSource ? 1 : 0], 4);
  record.set(session, 8);
  record.writeBigUInt64LE(BigInt(counter), 32);
  record.writeUInt32LE(plain.length, 60);
  record.writeUInt32LE(plain.length, 64);
  record.set(plain, 80);
  record.set(randomBytes(16), 80 + plain.length);
  return record;
}

const forgeries: readonly (readonly [string, boolean, OutgoingControl])[] = [
  ['READY', true, { type: 'ready', digest: new Uint8Array(32) }],
  ['an abort to the source', true, { type: 'abort', asks: false, code: 'X', message: 'x' }],
  ['COMMITTED', true, { type: 'committed' }],
  ['COMMIT', false, { type: 'commit', digest: undefined, ticks: 0, peakRssBytes: 0 }],
  ['an abort to the destination', false, { type: 'abort', asks: false, code: 'X', message: 'x' }],
];

export function sessionSuite({ name, engine, codecs, world }: SuiteOptions): void {
  describe(`a session on ${name}`, () => {
    const pairs: Pair[] = [];

    async function start(options: Partial<PairOptions> = {}): Promise<Pair> {
      const pair = await startPair({ world: world(), engine, ...options });
      pairs.push(pair);
      return pair;
    }

    afterEach(async () => {
      for (const pair of pairs.splice(0)) await dispose(pair);
    });

    for (const codec of codecs) {
      it(`moves a running guest over tcp, verified, with codec ${codec}`, async () => {
        const pair = await start({ address: tcp, lanes: 2, source: { codec } });
        const outcome = await finish(pair);
        assertCompleted(pair, outcome);
        assert.equal(outcome.source.engine.source, engine);
        assert.equal(outcome.source.engine.destination, engine);
        assert.equal(outcome.destination.codec, codec);
      });
    }

    it('moves it over memory lanes, when the source listens', async () => {
      const pair = await start({ listener: 'source', lanes: 3 });
      const outcome = await finish(pair);
      assertCompleted(pair, outcome);
      assert.equal(outcome.source.lanes, 3);
    });

    it('moves it with one lane cut in mid-epoch', async () => {
      let records = 0;
      const tap = (role: string, lane: Lane): Lane => {
        if (role !== 'source') return lane;
        return new LaneTap(lane, (tapped, frame) => {
          if (kindOf(frame) === 1) records += 1;
          if (records === 4) tapped.abort(new Error('cut by the test'));
          return true;
        });
      };
      const pair = await start({ address: tcp, lanes: 2, tap });
      assertCompleted(pair, await finish(pair));
      assert.ok(records >= 4);
    });

    it('refuses another key, and lets both sides go', async () => {
      const pair = await start({ address: tcp, source: { secret: randomBytes(32) } });
      const source = await pair.source.report;
      assert.equal(source.error?.code, 'ERR_PAGEFERRY_SECRET');
      // The refusal travels; a destination stopped at once might not have seen it yet.
      const refused = (): boolean => pair.destination.events.some(({ type }) => type === 'refused');
      for (let waits = 0; waits < 500 && !refused(); waits += 1) await delay(10);
      pair.destination.abort.abort();
      assertRolledBack(pair, await finish(pair));
      assert.ok(refused());
    });

    it('refuses RAM above the limit of the destination before it opens a guest', async () => {
      const pair = await start({ destination: { ramLimitBytes: 1 << 20 } });
      const outcome = await finish(pair);
      assertRolledBack(pair, outcome);
      assert.equal(outcome.destination.error?.code, 'ERR_PAGEFERRY_PROTOCOL');
      assert.equal(pair.destination.guest, undefined);
    });

    for (const role of ['source', 'destination'] as const) {
      it(`rolls back when the ${role} is stopped in precopy`, async () => {
        const holder: { pair?: Pair } = {};
        const pair = await start({
          address: tcp,
          onEvent: (at, event) => {
            if (at !== role || event.type !== 'state' || event.state !== 'precopy') return;
            holder.pair?.[role].abort.abort();
          },
        });
        holder.pair = pair;
        if (pair[role].events.some((e) => e.type === 'state' && e.state === 'precopy')) {
          pair[role].abort.abort();
        }
        assertRolledBack(pair, await finish(pair));
      });
    }

    for (const [forgery, toSource, message] of forgeries) {
      it(`is not moved by a forgery of ${forgery}`, async () => {
        const role = toSource ? 'source' : 'destination';
        const holder: { pair?: Pair; forged?: boolean } = {};
        const pair = await start({
          lanes: 2,
          tap: (_, lane) => new LaneTap(lane),
          onEvent: (at, event) => {
            if (at !== role || event.type !== 'established') return;
            const session = Buffer.from(event.sessionId, 'hex');
            holder.forged = true;
            const [lane] = holder.pair?.[role].lanes ?? [];
            // The counter that the helper expects next, so that it has to look at the tag.
            const frame = forgedControl(session, toSource, toSource ? 1 : 2, message);
            if (lane instanceof LaneTap) void lane.inject(frame);
          },
        });
        holder.pair = pair;
        assertCompleted(pair, await finish(pair));
        assert.ok(holder.forged);
        const lost = pair[role].events.filter((event) => event.type === 'lane' && !event.open);
        assert.ok(lost.length >= 1);
      });
    }
  });
}
