import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';

import { onBothEngines } from '../support/peer/engines.js';
import type { TokenWanted } from '../support/peer/forge.js';
import { PAGE_BYTES } from '../support/peer/records.js';
import { violation } from '../support/peer/refusals.js';
import { Rig, assertRefused } from '../support/peer/rig.js';

const blockPages = [48, 16];
const allPages = 64;

onBothEngines('epochs and their tokens', (engine) => {
  let rig: Rig;

  beforeEach(async () => {
    rig = await Rig.open({ engine, role: 'destination', blockPages, streams: 2 });
  });

  afterEach(() => rig.close());

  interface PageRecord {
    counter?: number;
    epoch?: number;
    first?: number;
    pages?: number;
    stream?: number;
  }

  function pages(given: PageRecord = {}): Buffer {
    const { counter = 1, epoch = 1, first = 0, pages: count = 1, stream = 0 } = given;
    const runs = [{ first, pages: count, zero: false }];
    const content = randomBytes(count * PAGE_BYTES);
    return rig.forge.pages({ counter, epoch, runs, content, stream });
  }

  function token(given: Partial<TokenWanted> = {}): Buffer {
    return rig.forge.token({ counter: 1, epoch: 1, counts: [0, 0], blocks: rig.layout, ...given });
  }

  async function accepts(record: Buffer, epoch: number, start = false): Promise<void> {
    const accepted = { outcome: 'accepted', epoch, start };
    assert.deepEqual(await rig.mirror.checkToken(record), accepted);
  }

  /** Refused for good: `attempt`, and whatever comes after it; RAM stays as it is. */
  async function ends(attempt: () => Promise<unknown>, name: string): Promise<void> {
    const before = rig.ramHash();
    await assertRefused(attempt(), violation(name), name);
    await assertRefused(rig.offer(pages({ counter: 50, first: 40 })), violation(name), 'a record');
    await assertRefused(rig.mirror.checkToken(token()), violation(name), 'a token');
    assert.equal(rig.ramHash(), before);
  }

  it('wait for a record that is missing, in any stream', async () => {
    const late = pages({ counter: 1, stream: 1, first: 9 });
    await rig.offer(pages({ counter: 1 }));
    await rig.offer(pages({ counter: 3, first: 2 }));
    const counted = token({ counts: [3, 1] });
    const before = rig.ramHash();
    assert.deepEqual(await rig.mirror.checkToken(counted), { outcome: 'early', missing: 2 });
    await rig.offer(pages({ counter: 2, first: 1 }));
    assert.deepEqual(await rig.mirror.checkToken(counted), { outcome: 'early', missing: 1 });
    assert.notEqual(rig.ramHash(), before);
    await rig.offer(late);
    await accepts(counted, 1);
    assert.equal((await rig.mirror.checkToken(counted)).outcome, 'duplicate');
  });

  it('end the session at a record of the next epoch while the token is early', async () => {
    const counted = token({ counts: [1, 0] });
    assert.equal((await rig.mirror.checkToken(counted)).outcome, 'early');
    await ends(() => rig.offer(pages({ counter: 1, epoch: 2 })), 'EPOCH');
  });

  it('take a token that overtook the one before it as early', async () => {
    const second = token({ counter: 2, epoch: 2 });
    assert.equal((await rig.mirror.checkToken(second)).outcome, 'early');
    await accepts(token(), 1);
    await accepts(second, 2);
  });

  it('answer an earlier record that comes again with DUPLICATE, writing nothing', async () => {
    const record = pages({ first: 5, pages: 3 });
    assert.equal(await rig.offer(record), 'imported');
    rig.spoilRam();
    const before = rig.ramHash();
    assert.equal(await rig.offer(record), 'duplicate');
    await accepts(token({ counts: [1, 0] }), 1);
    assert.equal(await rig.offer(record), 'duplicate');
    assert.equal(rig.ramHash(), before);
  });

  it('end the session at a new record of an earlier epoch', async () => {
    await accepts(token(), 1);
    await ends(() => rig.offer(pages({ counter: 1, epoch: 1 })), 'EPOCH');
  });

  const wrongTokens: Readonly<Record<string, readonly [string, () => Partial<TokenWanted>]>> = {
    'counts fewer records than came': ['TOKEN', () => ({ counts: [1, 0] })],
    'counts records in a stream that is none': ['TOKEN', () => ({ counts: [2, 0, 1] })],
    'knows fewer streams': ['TOKEN', () => ({ counts: [2] })],
    'counts beyond its streams': ['TOKEN', () => ({ counts: [2, 0, 1], payload: { streams: 2 } })],
    'ends another epoch': ['TOKEN', () => ({ counts: [2, 0], epoch: 2 })],
    'names another epoch inside': ['TOKEN', () => ({ counts: [2, 0], payload: { epoch: 2 } })],
    'starts inside and not outside': ['TOKEN', () => ({ counts: [2, 0], payload: { flags: 2 } })],
    'starts outside and not inside': ['TOKEN', () => ({ counts: [2, 0], header: { flags: 2 } })],
    'is made over another layout': [
      'LAYOUT',
      () => ({ counts: [2, 0], blocks: [{ id: 0, ramAddr: 0, bytes: rig.ramBytes }] }),
    ],
  };

  for (const [what, [name, change]] of Object.entries(wrongTokens)) {
    it(`end the session at a token that ${what}`, async () => {
      await rig.offer(pages({ counter: 1 }));
      await rig.offer(pages({ counter: 2, first: 1 }));
      await ends(() => rig.mirror.checkToken(token(change())), name);
    });
  }

  for (const [what, first, count] of [
    ['the first page', 1, allPages - 1],
    ['a page in the middle', 0, 30],
    ['the last page of a block', 0, 47],
    ['the first page of the second block', 0, 48],
    ['the last page of all', 0, allPages - 1],
  ] as const) {
    it(`end the session at a start token before ${what} has come once`, async () => {
      await rig.offer(pages({ first, pages: count }));
      await ends(() => rig.mirror.checkToken(token({ counts: [1, 0], start: true })), 'INCOMPLETE');
    });
  }

  it('count a page once in the session, in whichever epoch it came', async () => {
    await rig.offer(pages({ first: 0, pages: 40 }));
    await accepts(token({ counts: [1, 0] }), 1);
    await rig.offer(pages({ counter: 2, epoch: 2, first: 30, pages: 34 }));
    await accepts(token({ counter: 2, epoch: 2, counts: [2, 0], start: true }), 2, true);
  });

  describe('after the start token', () => {
    const everything = { first: 0, pages: allPages };
    let all: Buffer;

    beforeEach(async () => {
      all = pages(everything);
      await rig.offer(all);
      await accepts(token({ counts: [1, 0], start: true }), 1, true);
    });

    it('answer what comes again with DUPLICATE, writing nothing', async () => {
      rig.spoilRam();
      const before = rig.ramHash();
      assert.equal(await rig.offer(all), 'duplicate');
      const again = token({ counts: [1, 0], start: true });
      assert.equal((await rig.mirror.checkToken(again)).outcome, 'duplicate');
      assert.equal(rig.ramHash(), before);
    });

    for (const epoch of [1, 2]) {
      it(`end the session at a page record of epoch ${epoch}`, () =>
        ends(() => rig.offer(pages({ counter: 2, epoch })), 'AFTER_START'));
    }

    it('end the session at another token', () =>
      ends(
        () => rig.mirror.checkToken(token({ counter: 2, epoch: 2, counts: [1, 0] })),
        'AFTER_START',
      ));
  });
});
