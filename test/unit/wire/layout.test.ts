import { strict as assert } from 'node:assert';

import { ProtocolError } from '../../../src/errors.js';
import { decodeControl, encodeControl } from '../../../src/wire/control.js';
import type { WireBlock, WireLayout } from '../../../src/wire/layout.js';
import { checkLayout } from '../../../src/wire/layout.js';
import { withSeed } from '../../support/random.js';
import { mutate } from '../../support/session/mutation.js';

const gib = 1024 ** 3;
const limit = 64 * gib;

const filled = [
  { first: 0, count: 3 },
  { first: 5, count: 507 },
];
const block: WireBlock = { id: 0, name: 'ram', ramAddr: 0, bytes: gib, filled };

const layout: WireLayout = {
  guestKind: 'demo',
  blocks: [block, { id: 1, name: 'vga', ramAddr: gib, bytes: 16 << 20, filled: [] }],
  description: '{"vcpus":1}',
  codec: 'lz4',
  verify: true,
  epochsMax: 30,
  engine: 'kvm',
  vcpus: 2,
};

function arrive(changed: WireLayout): WireLayout {
  const message = decodeControl(encodeControl({ type: 'layout', layout: changed }));
  assert.ok(message.type === 'layout');
  return checkLayout(message.layout, limit);
}

function blocks(...list: Partial<WireBlock>[]): Partial<WireLayout> {
  return { blocks: list.map((part) => ({ ...block, ...part })) };
}

const many = Array.from({ length: 65 }, (_, id) => ({
  id,
  name: `ram${id}`,
  ramAddr: id * 4096,
  bytes: 4096,
  filled: [],
}));

const absurd: Readonly<Record<string, Partial<WireLayout>>> = {
  'no block': { blocks: [] },
  'too many blocks': { blocks: many },
  'an id beyond the table': blocks({ id: 64 }),
  'an id twice': blocks({}, { ramAddr: gib, name: 'other' }),
  'a name twice': blocks({}, { ramAddr: gib, id: 1 }),
  'an empty name': blocks({ name: '' }),
  'a name with control characters': blocks({ name: 'ram\u001b[2J' }),
  'an endless name': blocks({ name: 'x'.repeat(300) }),
  'no bytes': blocks({ bytes: 0 }),
  'bytes that are no whole pages': blocks({ bytes: gib + 1 }),
  'an address between pages': blocks({ ramAddr: 2048 }),
  'overlapping blocks': blocks({}, { id: 1, name: 'other', ramAddr: gib - 4096 }),
  'a block beyond the limit': blocks({ ramAddr: limit }),
  'RAM beyond the limit': blocks({ bytes: limit + 4096 }),
  'four exabytes of RAM': blocks({ bytes: 2 ** 52 }),
  'filled pieces beyond the block': blocks({ filled: [{ first: 511, count: 2 }] }),
  'filled pieces from beyond the block on': blocks({ filled: [{ first: 513, count: 1 }] }),
  'a run of no filled pieces': blocks({ filled: [{ first: 0, count: 0 }] }),
  'filled pieces out of order': blocks({ filled: [...filled].reverse() }),
  'filled pieces twice': blocks({ filled: [filled[0], filled[0]].flatMap((run) => run ?? []) }),
  'endless runs of filled pieces': blocks({ filled: Array(1025).fill({ first: 0, count: 1 }) }),
  'a kind that is no scheme': { guestKind: '../../etc' },
  'an endless description': { description: 'x'.repeat(70_000) },
  'no epochs': { epochsMax: 0 },
  'endless epochs': { epochsMax: 2 ** 31 },
  'no vcpus': { vcpus: 0 },
  'too many vcpus': { vcpus: 17 },
};

describe('the layout a source announces', () => {
  it('arrives as it was sent', () => {
    assert.deepEqual(arrive(layout), layout);
  });

  for (const [name, change] of Object.entries(absurd)) {
    it(`is refused with ${name}`, () => {
      assert.throws(() => arrive({ ...layout, ...change }), ProtocolError);
    });
  }

  it('is refused typed, or sound, whatever its bytes are', async () => {
    const good = encodeControl({ type: 'layout', layout });
    await withSeed((random) => {
      for (let round = 0; round < 10_000; round += 1) {
        const bytes = mutate(random, good);
        try {
          const message = decodeControl(bytes);
          if (message.type !== 'layout') continue;
          const checked = checkLayout(message.layout, limit);
          for (const { ramAddr, bytes: size } of checked.blocks) {
            assert.ok(ramAddr + size <= limit && size > 0);
          }
        } catch (error) {
          const shown = Buffer.from(bytes).toString('hex');
          assert.ok(error instanceof ProtocolError, `bytes ${shown}: ${String(error)}`);
        }
      }
    });
  });
});
