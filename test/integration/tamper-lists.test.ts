import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';

import { PF_RECORD_DATA_PAGES_MAX, PF_RECORD_RUNS_MAX } from '../../src/native/abi.generated.js';
import { onBothEngines } from '../support/peer/engines.js';
import type { PagesWanted } from '../support/peer/forge.js';
import {
  CODEC_LZ4,
  CODEC_NONE,
  FLAG_PADDED,
  PAGE_BYTES,
  lz4Compress,
  type Header,
  type Run,
} from '../support/peer/records.js';
import { isFatal, malformed, violation } from '../support/peer/refusals.js';
import { Rig, assertRefused, type Refusal } from '../support/peer/rig.js';

const ramPages = 64;

function data(first: number, pages = 1): Run {
  return { first, pages, zero: false };
}

function zeros(first: number, pages = 1): Run {
  return { first, pages, zero: true };
}

/** A record of these runs that is right but for the runs themselves. */
function wanted(runs: Run[], counter = 1, header: Partial<Header> = {}): PagesWanted {
  const pages = runs.reduce((sum, run) => sum + (run.zero ? 0 : run.pages), 0);
  return { counter, epoch: 1, runs, content: randomBytes(pages * PAGE_BYTES), header };
}

const lists: Readonly<Record<string, readonly [Run[], Refusal]>> = {
  'that descends': [[data(5), data(3)], violation('LIST')],
  'that overlaps': [[data(3, 3), zeros(5)], violation('LIST')],
  'that names a page twice': [[data(3), data(3)], violation('LIST')],
  'that begins behind the last block': [[data(ramPages)], violation('BLOCK')],
  'that runs out of the last block': [[data(ramPages - 1, 2)], violation('BLOCK')],
  'with zero pages outside every block': [[zeros(ramPages - 1, 2)], violation('BLOCK')],
  'with one good run and one far away': [[data(1), zeros(2 ** 43)], violation('BLOCK')],
  'at the end of all addresses': [[zeros(2 ** 44 - 1, 2 ** 19)], violation('BLOCK')],
  'of nothing': [[], malformed('listBytes')],
  'of more runs than a record holds': [
    Array.from({ length: PF_RECORD_RUNS_MAX + 1 }, (_, index) => zeros(index)),
    malformed('listBytes'),
  ],
  'of more data pages than a record holds': [
    [data(0, PF_RECORD_DATA_PAGES_MAX + 1)],
    malformed('dataPages'),
  ],
};

const twice: Readonly<Record<string, readonly [Run[], Run[]]>> = {
  'content after content': [[data(5)], [data(5)]],
  'zeros after content': [[data(5)], [zeros(5)]],
  'content after zeros': [[zeros(5)], [data(5)]],
  'zeros after zeros': [[zeros(4, 3)], [zeros(6)]],
  'at the end of new pages': [[data(5)], [data(2, 4)]],
  'in the middle of new pages': [[data(5)], [zeros(0, ramPages)]],
};

/** A padding prefix, then the encoded bytes and zeros. */
function padded(encoded: Buffer, codec: number, change: (prefix: Buffer) => void): Buffer {
  const text = Buffer.alloc(Math.ceil((8 + encoded.length) / PAGE_BYTES) * PAGE_BYTES);
  text.writeUInt32LE(encoded.length, 0);
  text[4] = codec;
  encoded.copy(text, 8);
  change(text);
  return text;
}

const page = Buffer.alloc(PAGE_BYTES, 'compressible ');
const twoPages = Buffer.concat([page, page]);
const block = lz4Compress(page);
const inPadding = { flags: FLAG_PADDED, codec: CODEC_LZ4 };

/** Ciphertexts of one data page that do not open to it. */
const contents: Readonly<Record<string, readonly [Buffer, Partial<Header>]>> = {
  'an LZ4 block that is none': [Buffer.alloc(100, 0xff), { codec: CODEC_LZ4 }],
  'an LZ4 block of fewer bytes': [lz4Compress(page.subarray(1)), { codec: CODEC_LZ4 }],
  'an LZ4 block of more bytes': [lz4Compress(twoPages), { codec: CODEC_LZ4 }],
  'an LZ4 block cut short': [block.subarray(0, -1), { codec: CODEC_LZ4 }],
  'an LZ4 block with a byte behind it': [
    Buffer.concat([block, Buffer.alloc(1)]),
    { codec: CODEC_LZ4 },
  ],
  'an LZ4 block called zstd': [block, { codec: 2 }],
  'padding longer than its record': [
    padded(block, CODEC_LZ4, (text) => text.writeUInt32LE(text.length - 7, 0)),
    inPadding,
  ],
  'padding with all bits set in its length': [
    padded(block, CODEC_LZ4, (text) => text.writeUInt32LE(0xffffffff, 0)),
    inPadding,
  ],
  'padding with a codec of its own': [
    padded(block, CODEC_LZ4, (text) => text.writeUInt8(2, 4)),
    inPadding,
  ],
  'padding with a reserved byte': [
    padded(block, CODEC_LZ4, (text) => text.writeUInt8(1, 7)),
    inPadding,
  ],
  'padding that is not zero': [
    padded(block, CODEC_LZ4, (text) => text.writeUInt8(1, text.length - 1)),
    inPadding,
  ],
  'padding around half a page': [
    padded(page.subarray(0, 2048), CODEC_NONE, () => undefined),
    { flags: FLAG_PADDED },
  ],
};

onBothEngines('an authentic record', (engine) => {
  let rig: Rig;
  let before: string;

  beforeEach(async () => {
    rig = await Rig.open({ engine, role: 'destination', blockPages: [ramPages - 16, 16] });
    before = rig.ramHash();
  });

  afterEach(() => rig.close());

  async function refused(record: Buffer, refusal: Refusal): Promise<void> {
    await assertRefused(rig.offer(record), refusal, 'the record');
    const next = rig.forge.pages(wanted([data(20)], 9));
    if (isFatal(refusal)) {
      await assertRefused(rig.offer(next), refusal, 'the next one');
      await assertRefused(
        rig.mirror.sealMessage('control', Buffer.from('x')),
        refusal,
        'a message',
      );
    }
    assert.equal(rig.ramHash(), before, 'RAM is as it was');
    if (!isFatal(refusal)) assert.equal(await rig.offer(next), 'imported');
  }

  for (const [name, [runs, refusal]] of Object.entries(lists)) {
    it(`is refused and writes nothing with a list ${name}`, () =>
      refused(rig.forge.pages(wanted(runs)), refusal));
  }

  for (const [name, [first, second]] of Object.entries(twice)) {
    it(`is refused and writes nothing when a page comes twice in an epoch: ${name}`, async () => {
      assert.equal(await rig.offer(rig.forge.pages(wanted(first))), 'imported');
      before = rig.ramHash();
      await refused(rig.forge.pages(wanted(second, 2)), violation('PAGE_TWICE'));
    });
  }

  for (const [name, [content, header]] of Object.entries(contents)) {
    it(`is refused and writes nothing with ${name}`, () => {
      const sizes = { dataPages: 1, plainBytes: PAGE_BYTES, ...header };
      const record = rig.forge.pages({ ...wanted([data(3)], 1, sizes), content });
      return refused(record, violation('CONTENT'));
    });
  }

  it('is refused when its encoding is no smaller than its pages', () => {
    const header = { codec: CODEC_LZ4 };
    const record = rig.forge.pages({ ...wanted([data(3)], 1, header), content: twoPages });
    return refused(record, malformed('sealedBytes'));
  });

  it('may fill a run over the border of two blocks', async () => {
    const record = wanted([data(ramPages - 18, 4)]);
    assert.equal(await rig.offer(rig.forge.pages(record)), 'imported');
    const written = rig.memory.read((ramPages - 18) * PAGE_BYTES, 4 * PAGE_BYTES);
    assert.ok(written.equals(record.content));
  });
});
