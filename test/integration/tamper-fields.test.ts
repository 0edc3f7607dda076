import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import * as abi from '../../src/native/abi.generated.js';
import { onBothEngines } from '../support/peer/engines.js';
import type { PagesWanted } from '../support/peer/forge.js';
import {
  HEADER_BYTES,
  KIND_CONTROL,
  KIND_TOKEN,
  PAGE_BYTES,
  decodeHeader,
  encodeHeader,
  type Header,
} from '../support/peer/records.js';
import {
  foreign,
  isFatal,
  malformed,
  notAuthentic,
  violation,
  wrongSize,
} from '../support/peer/refusals.js';
import { Rig, assertRefused, type Refusal } from '../support/peer/rig.js';
import { projectRoot } from '../support/project.js';

type Case = readonly [change: Partial<Header>, refusal: Refusal];

interface FieldCases {
  /** The field is changed in a sealed record. */
  readonly onTheWay: readonly Case[];
  /** The record is sealed with the wrong field in it: authentic, and wrong all the same. */
  readonly sealed: readonly Case[];
}

const someSession = Buffer.alloc(16, 0xab);

/** Every field of the header; the test below counts them. The peer has two streams, 0 and 1. */
const fields: Readonly<Record<keyof Header, FieldCases>> = {
  magic: {
    onTheWay: [[{ magic: 'PFR2' }, malformed('magic')]],
    sealed: [[{ magic: 'PFHI' }, malformed('magic')]],
  },
  version: {
    onTheWay: [
      [{ version: 0 }, malformed('version')],
      [{ version: 2 }, malformed('version')],
    ],
    sealed: [[{ version: 2 }, malformed('version')]],
  },
  kind: {
    onTheWay: [0, 2, 3, 4, 5, 6, 33, 255].map((kind) => [{ kind }, malformed('kind')]),
    sealed: [
      [{ kind: KIND_CONTROL }, malformed('kind')],
      [{ kind: KIND_TOKEN }, malformed('kind')],
    ],
  },
  direction: {
    onTheWay: [
      [{ direction: 1 }, foreign('direction')],
      [{ direction: 2 }, malformed('direction')],
    ],
    sealed: [[{ direction: 1 }, foreign('direction')]],
  },
  codec: {
    onTheWay: [
      [{ codec: 1 }, notAuthentic],
      [{ codec: 2 }, notAuthentic],
      [{ codec: 3 }, malformed('codec')],
      [{ codec: 255 }, malformed('codec')],
    ],
    sealed: [
      [{ codec: 1 }, violation('CONTENT')],
      [{ codec: 2 }, violation('CONTENT')],
      [{ codec: 3 }, malformed('codec')],
    ],
  },
  session: {
    onTheWay: [[{ session: someSession }, foreign('session')]],
    sealed: [[{ session: someSession }, foreign('session')]],
  },
  stream: {
    onTheWay: [
      [{ stream: 1 }, notAuthentic],
      [{ stream: 2 }, foreign('stream')],
      [{ stream: 0xffffffff }, foreign('stream')],
    ],
    sealed: [[{ stream: 2 }, foreign('stream')]],
  },
  generation: {
    onTheWay: [[{ generation: 1 }, foreign('generation')]],
    sealed: [[{ generation: 1 }, foreign('generation')]],
  },
  counter: {
    onTheWay: [
      [{ counter: 0n }, malformed('counter')],
      [{ counter: 2n }, notAuthentic],
      [{ counter: 2n ** 64n - 1n }, malformed('counter')],
    ],
    sealed: [
      [{ counter: 0n }, malformed('counter')],
      [{ counter: BigInt(abi.PF_STREAM_WINDOW) + 1n }, violation('WINDOW')],
    ],
  },
  epoch: {
    onTheWay: [
      [{ epoch: 0n }, notAuthentic],
      [{ epoch: 2n }, notAuthentic],
    ],
    sealed: [
      [{ epoch: 0n }, violation('EPOCH')],
      [{ epoch: 2n }, violation('EPOCH')],
      [{ epoch: 2n ** 64n - 1n }, violation('EPOCH')],
    ],
  },
  listBytes: {
    onTheWay: [
      [{ listBytes: 0 }, malformed('listBytes')],
      [{ listBytes: 8 }, wrongSize],
      [{ listBytes: 17 }, malformed('listBytes')],
      [{ listBytes: 24 }, wrongSize],
      [{ listBytes: abi.PF_RECORD_LIST_BYTES_MAX + 8 }, malformed('listBytes')],
      [{ listBytes: 0xfffffff8 }, malformed('listBytes')],
    ],
    sealed: [
      [{ listBytes: 8 }, wrongSize],
      [{ listBytes: 24 }, wrongSize],
    ],
  },
  pages: {
    onTheWay: [
      [{ pages: 0 }, malformed('pages')],
      [{ pages: 4 }, notAuthentic],
      [{ pages: abi.PF_RECORD_PAGES_MAX + 1 }, malformed('pages')],
    ],
    sealed: [
      [{ pages: 4 }, violation('LIST')],
      [{ pages: 2 }, violation('LIST')],
    ],
  },
  dataPages: {
    onTheWay: [
      [{ dataPages: 1 }, malformed('plainBytes')],
      [{ dataPages: 4 }, malformed('dataPages')],
      [{ dataPages: abi.PF_RECORD_DATA_PAGES_MAX + 1 }, malformed('dataPages')],
    ],
    sealed: [
      [{ dataPages: 3, plainBytes: 3 * PAGE_BYTES }, malformed('sealedBytes')],
      [{ dataPages: 3, plainBytes: 3 * PAGE_BYTES, codec: 1 }, violation('LIST')],
    ],
  },
  sealedBytes: {
    onTheWay: [
      [{ sealedBytes: 0 }, malformed('sealedBytes')],
      [{ sealedBytes: 2 * PAGE_BYTES - 1 }, malformed('sealedBytes')],
      [{ sealedBytes: abi.PF_RECORD_SEALED_BYTES_MAX + 1 }, malformed('sealedBytes')],
      [{ sealedBytes: 0xffffffff }, malformed('sealedBytes')],
    ],
    sealed: [[{ sealedBytes: PAGE_BYTES, codec: 1 }, wrongSize]],
  },
  plainBytes: {
    onTheWay: [
      [{ plainBytes: 0 }, malformed('plainBytes')],
      [{ plainBytes: PAGE_BYTES }, malformed('plainBytes')],
    ],
    sealed: [[{ plainBytes: 2 * PAGE_BYTES + 1 }, malformed('plainBytes')]],
  },
  flags: {
    onTheWay: [
      [{ flags: 1 }, notAuthentic],
      [{ flags: 2 }, malformed('flags')],
      [{ flags: 2 ** 31 }, malformed('flags')],
    ],
    sealed: [
      [{ flags: 1 }, violation('CONTENT')],
      [{ flags: 2 }, malformed('flags')],
    ],
  },
  reserved: {
    onTheWay: [[{ reserved: 1n }, malformed('reserved')]],
    sealed: [[{ reserved: 2n ** 63n }, malformed('reserved')]],
  },
};

/** The names of the header's fields, from the C struct itself. */
function fieldsOfTheAbi(): string[] {
  const text = readFileSync(join(projectRoot, 'native/abi/record.h'), 'utf8');
  const [, body] = /struct pf_record_header \{\n(.*?)\n\};/s.exec(text) ?? [];
  assert.ok(body !== undefined, 'the struct is there');
  return [...body.matchAll(/^\s+uint\d+_t (\w+)/gm)].map((match) => match[1]!);
}

function camelCase(name: string): string {
  return name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
}

/** Two pages of content and one of zeros. */
function goodPages(counter = 1): PagesWanted {
  const runs = [
    { first: 3, pages: 2, zero: false },
    { first: 7, pages: 1, zero: true },
  ];
  return { counter, epoch: 1, runs, content: randomBytes(2 * PAGE_BYTES) };
}

describe('the table of changed header fields', () => {
  it('has cases for every field that the ABI has, and for no other', () => {
    const inStruct = fieldsOfTheAbi();
    assert.deepEqual(inStruct.map(camelCase).sort(), Object.keys(fields).sort());
    const inEnum = Object.values(abi.PF_RECORD_FIELD_NAMES).map((name) =>
      name.slice('PF_FIELD_'.length).toLowerCase(),
    );
    assert.deepEqual([...inStruct, 'bytes'].sort(), inEnum.sort());
    for (const [field, cases] of Object.entries(fields)) {
      assert.ok(cases.onTheWay.length > 0 && cases.sealed.length > 0, field);
    }
  });
});

onBothEngines('a record with a wrong header', (engine) => {
  let rig: Rig;

  beforeEach(async () => {
    rig = await Rig.open({ engine, role: 'destination', streams: 2 });
  });

  afterEach(() => rig.close());

  for (const [field, { onTheWay, sealed }] of Object.entries(fields)) {
    it(`is refused and writes nothing: ${field}`, async () => {
      const before = rig.ramHash();
      const honest = rig.forge.pages(goodPages());
      for (const [change, refusal] of onTheWay) {
        const changed = Buffer.from(honest);
        encodeHeader({ ...decodeHeader(honest), ...change }).copy(changed);
        await assertRefused(rig.offer(changed), refusal, `${field} on the way`);
        assert.equal(rig.ramHash(), before);
      }
      assert.equal(await rig.offer(honest), 'imported', 'the session has gone on');
      for (const [header, refusal] of sealed) {
        await rig.renew();
        rig.spoilRam();
        assert.equal(rig.ramHash(), before);
        const record = rig.forge.pages({ ...goodPages(), header });
        await assertRefused(rig.offer(record), refusal, `${field}, sealed`);
        const next = rig.forge.pages(goodPages());
        if (isFatal(refusal)) await assertRefused(rig.offer(next), refusal, `after ${field}`);
        assert.equal(rig.ramHash(), before);
        if (!isFatal(refusal)) assert.equal(await rig.offer(next), 'imported');
      }
    });
  }
});

onBothEngines('a small record', (engine) => {
  let rig: Rig;

  before(async () => {
    rig = await Rig.open({ engine, role: 'destination' });
  });

  after(() => rig.close());

  const codes = ['ERR_PAGEFERRY_RECORD', 'ERR_PAGEFERRY_TAG', 'ERR_PAGEFERRY_SESSION'];

  /** Refused with any one bit flipped, and shortened or lengthened by any number of bytes. */
  async function refusesAllChanges(
    record: Buffer,
    offer: (record: Buffer) => Promise<unknown>,
  ): Promise<void> {
    const before = rig.ramHash();
    for (let bit = 0; bit < record.length * 8; bit += 1) {
      const flipped = Buffer.from(record);
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      await assert.rejects(offer(flipped), (error: { code?: string }) => {
        assert.ok(codes.includes(error.code ?? ''), `bit ${bit}: ${error.code}`);
        // What the fields' own checks let pass, the tag does not.
        if (bit >= HEADER_BYTES * 8) assert.equal(error.code, 'ERR_PAGEFERRY_TAG');
        return true;
      });
    }
    for (let bytes = 0; bytes < record.length; bytes += 1) {
      await assertRefused(offer(record.subarray(0, bytes)), wrongSize, `${bytes} bytes of it`);
    }
    const longer = Buffer.concat([record, Buffer.alloc(1)]);
    await assertRefused(offer(longer), wrongSize, 'a byte more');
    assert.equal(rig.ramHash(), before);
  }

  it('of pages is refused with any bit changed and at any length', async () => {
    const runs = [
      { first: 3, pages: 1, zero: true },
      { first: 5, pages: 1, zero: false },
    ];
    const content = Buffer.alloc(PAGE_BYTES, 'small ');
    const record = rig.forge.pages({ counter: 1, epoch: 1, runs, content, codec: 1 });
    assert.ok(record.length < 256);
    await refusesAllChanges(record, (changed) => rig.offer(changed));
    assert.equal(await rig.offer(record), 'imported');
    assert.ok(rig.page(3).every((byte) => byte === 0));
    assert.ok(rig.page(5).equals(content));
  });

  it('with a message is refused with any bit changed and at any length', async () => {
    const record = rig.forge.message({ kind: KIND_CONTROL, counter: 1, plain: Buffer.from('go') });
    await refusesAllChanges(record, (changed) => rig.mirror.openMessage(changed));
    const opened = await rig.mirror.openMessage(record);
    assert.ok(opened.outcome === 'opened');
    assert.equal(Buffer.from(opened.bytes).toString(), 'go');
  });

  it('with a token is refused with any bit changed and at any length', async () => {
    const record = rig.forge.token({ counter: 1, epoch: 1, counts: [1], blocks: rig.layout });
    await refusesAllChanges(record, (changed) => rig.mirror.checkToken(changed));
    assert.equal((await rig.mirror.checkToken(record)).outcome, 'accepted');
  });
});
