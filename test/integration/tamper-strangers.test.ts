import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';

import { encodeControl, type OutgoingControl } from '../../src/wire/control.js';
import { onBothEngines } from '../support/peer/engines.js';
import { CLASS_LANE, CLASS_MESSAGE, CLASS_PAGES, CLASS_TOKEN } from '../support/peer/keys.js';
import {
  KIND_CONTROL,
  KIND_DEVICE_STATE,
  KIND_LANE,
  KIND_PAGES,
  PAGE_BYTES,
  TAG_BYTES,
  decodeHeader,
  encodeHeader,
  seal,
  type Header,
} from '../support/peer/records.js';
import { foreign, malformed, notAuthentic } from '../support/peer/refusals.js';
import { Rig, assertRefused } from '../support/peer/rig.js';

const runs = [{ first: 4, pages: 1, zero: false }];

function pagesOf(rig: Rig, stream = 0): Buffer {
  const content = randomBytes(PAGE_BYTES);
  return rig.forge.pages({ counter: 1, epoch: 1, runs, content, stream });
}

/** The record with another header, and the same list, ciphertext and tag. */
function relabeled(record: Buffer, change: Partial<Header>): Buffer {
  const copy = Buffer.from(record);
  encodeHeader({ ...decodeHeader(record), ...change }).copy(copy);
  return copy;
}

onBothEngines('a page record', (engine) => {
  let rig: Rig;
  let before: string;

  beforeEach(async () => {
    rig = await Rig.open({ engine, role: 'destination', streams: 3 });
    before = rig.ramHash();
  });

  afterEach(async () => {
    assert.equal(rig.ramHash(), before, 'RAM is as it was');
    assert.equal(await rig.offer(pagesOf(rig)), 'imported', 'and the session goes on');
    await rig.close();
  });

  it('of another session is refused, under its own name and under ours', async () => {
    const record = pagesOf(rig);
    await rig.renew();
    await assertRefused(rig.offer(record), foreign('session'), 'as it was');
    const renamed = relabeled(record, { session: rig.peer.session });
    await assertRefused(rig.offer(renamed), notAuthentic, 'renamed');
  });

  it('of another stream is refused', async () => {
    const record = pagesOf(rig, 1);
    await assertRefused(rig.offer(relabeled(record, { stream: 2 })), notAuthentic, 'of stream 2');
    await assertRefused(rig.offer(relabeled(record, { stream: 3 })), foreign('stream'), 'of none');
  });

  it('of the other direction is refused, and under ours as well', async () => {
    const direction = { header: { direction: 1 } };
    const content = randomBytes(PAGE_BYTES);
    const record = rig.forge.pages({ counter: 1, epoch: 1, runs, content, ...direction });
    await assertRefused(rig.offer(record), foreign('direction'), 'as it was');
    await assertRefused(rig.offer(relabeled(record, { direction: 0 })), notAuthentic, 'turned');
  });

  it('under the counter of another one is refused', async () => {
    const record = relabeled(pagesOf(rig), { counter: 2n });
    await assertRefused(rig.offer(record), notAuthentic, 'with counter 2');
  });

  it('sealed with the key of another class is refused', async () => {
    const header = decodeHeader(pagesOf(rig));
    const list = pagesOf(rig).subarray(80, 88);
    for (const other of [CLASS_MESSAGE, CLASS_TOKEN, CLASS_LANE]) {
      const key = rig.peer.recordKey(0, other, 0);
      const record = seal(rig.peer, header, list, randomBytes(PAGE_BYTES), key);
      await assertRefused(rig.offer(record), notAuthentic, `class ${other}`);
    }
  });

  it('is no message and no token, nor are they pages', async () => {
    const record = pagesOf(rig);
    await assertRefused(rig.mirror.openMessage(record), malformed('kind'), 'as a message');
    await assertRefused(rig.mirror.checkToken(record), malformed('kind'), 'as a token');
    const token = rig.forge.token({ counter: 1, epoch: 1, counts: [0, 0, 0], blocks: rig.layout });
    await assertRefused(rig.offer(token), malformed('kind'), 'a token as pages');
    await assertRefused(rig.mirror.openMessage(token), malformed('kind'), 'a token as a message');
  });
});

const digest = new Uint8Array(32).fill(7);
const reason = { code: 'ERR_TEST', message: 'forged' };
const forgeries: readonly (readonly ['source' | 'destination', OutgoingControl])[] = [
  ['source', { type: 'ready', digest }],
  ['source', { type: 'epoch-accepted', epoch: 1, start: true, digestMs: 0, measuringMs: 0 }],
  ['source', { type: 'committed' }],
  ['source', { type: 'aborted', ...reason }],
  ['source', { type: 'abort', asks: false, ...reason }],
  ['destination', { type: 'commit', digest, ticks: 1, peakRssBytes: 1 }],
  ['destination', { type: 'abort', asks: false, ...reason }],
];

for (const [role, message] of forgeries) {
  onBothEngines(`a forged ${message.type} to the ${role}`, (engine) => {
    const plain = Buffer.from(encodeControl(message));
    const wanted = { kind: KIND_CONTROL, counter: 1, plain };
    let rig: Rig;
    let before: string;

    beforeEach(async () => {
      rig = await Rig.open({ engine, role, streams: 2 });
      before = rig.ramHash();
    });

    afterEach(async () => {
      assert.equal(rig.ramHash(), before, 'RAM is as it was');
      const opened = await rig.mirror.openMessage(rig.forge.message(wanted));
      assert.ok(opened.outcome === 'opened', 'the rightful one is still awaited');
      await rig.close();
    });

    it('is refused in the clear, with a made-up tag', async () => {
      const record = rig.forge.message(wanted);
      plain.copy(record, 80);
      await assertRefused(rig.mirror.openMessage(record), notAuthentic, 'plaintext');
      randomBytes(TAG_BYTES).copy(record, record.length - TAG_BYTES);
      await assertRefused(rig.mirror.openMessage(record), notAuthentic, 'a random tag');
    });

    it('is refused when it was sealed in another session', async () => {
      const record = rig.forge.message(wanted);
      await rig.renew();
      await assertRefused(rig.mirror.openMessage(record), foreign('session'), 'as it was');
      const renamed = relabeled(record, { session: rig.peer.session });
      await assertRefused(rig.mirror.openMessage(renamed), notAuthentic, 'renamed');
    });

    it('is refused when the helper itself has sealed it, in the other role', async () => {
      const own = Buffer.from((await rig.mirror.sealMessage('control', plain)).bytes);
      await assertRefused(rig.mirror.openMessage(own), foreign('direction'), 'reflected');
      const { direction } = decodeHeader(rig.forge.message(wanted));
      const turned = relabeled(own, { direction });
      await assertRefused(rig.mirror.openMessage(turned), notAuthentic, 'turned around');
    });

    it('is refused when it was sealed for another stream, class or kind', async () => {
      const record = rig.forge.message(wanted);
      const header = decodeHeader(record);
      const inStream = rig.forge.message({ ...wanted, header: { stream: 1 } });
      await assertRefused(rig.mirror.openMessage(inStream), foreign('stream'), 'stream 1');
      const toZero = relabeled(inStream, { stream: 0 });
      await assertRefused(rig.mirror.openMessage(toZero), notAuthentic, 'stream 1 as 0');
      for (const other of [CLASS_PAGES, CLASS_TOKEN, CLASS_LANE]) {
        const key = rig.peer.recordKey(header.direction, other, 0);
        const sealed = seal(rig.peer, header, Buffer.alloc(0), plain, key);
        await assertRefused(rig.mirror.openMessage(sealed), notAuthentic, `class ${other}`);
      }
      for (const kind of [KIND_DEVICE_STATE, KIND_LANE]) {
        const relabel = relabeled(record, { kind });
        await assertRefused(rig.mirror.openMessage(relabel), notAuthentic, `kind ${kind}`);
      }
      const asPages = relabeled(record, { kind: KIND_PAGES });
      await assertRefused(rig.mirror.openMessage(asPages), malformed('kind'), 'as pages');
    });

    it('is kept for later, not opened, when others before it are missing', async () => {
      const early = rig.forge.message({ ...wanted, counter: 2 });
      const outcome = { outcome: 'early', expected: 1 };
      assert.deepEqual(await rig.mirror.openMessage(early), outcome);
    });
  });
}
