import assert from 'node:assert/strict';

import { ConfigurationError } from '../../../src/errors.js';
import type { GuestLayout } from '../../../src/guest/contract.js';
import { checkDemoLayout, parseDemoUrl } from '../../../src/guest/demo/options.js';
import { demoProvider } from '../../../src/guest/demo/provider.js';

const MiB = 2 ** 20;

function parse(query: string): ReturnType<typeof parseDemoUrl> {
  return parseDemoUrl(new URL(`demo:${query}`));
}

function layoutOf(changes: Partial<GuestLayout> = {}): GuestLayout {
  return {
    kind: 'demo',
    blocks: [{ id: 0, name: 'ram', ramAddr: 0, bytes: 64 * MiB }],
    description: JSON.stringify({ version: 1, backend: 'kvm' }),
    ...changes,
  };
}

describe('the address of a demo guest', () => {
  it('has a value for everything that is left out', () => {
    assert.deepEqual(parse(''), {
      ram: 512 * MiB,
      dirtyRate: 2000,
      workingSet: 64 * MiB,
      fillBytes: 384 * MiB,
      content: 'mixed',
      seed: 1,
      backend: 'auto',
      hugePages: 'auto',
    });
    assert.equal(parse('?ram=16M').workingSet, 16 * MiB);
  });

  for (const query of [
    ...['?ram=3M', '?ram=65G', '?ram=4097K', '?ram=', '?ram=-1', '?ram=1e99'],
    ...['?dirtyRate=-1', '?dirtyRate=10000001', '?dirtyRate=many', '?workingSet=1G&ram=512M'],
    ...['?workingSet=5000', '?fill=101%25', '?fill=64M', '?seed=-1', '?seed=1.5'],
    ...['?content=novel', '?backend=xen', '?hugePages=yes', '?ram=8M&ram=16M', '?rma=512M'],
    ...['//host/?ram=8M', 'guest', '#ram=8M'],
  ]) {
    it(`refuses ${query}`, async () => {
      assert.throws(() => parse(query), ConfigurationError);
      const opened = demoProvider.openSource(new URL(`demo:${query}`));
      await assert.rejects(opened, ConfigurationError);
    });
  }
});

describe('the layout of a demo guest', () => {
  it('gives size and backend', () => {
    assert.deepEqual(checkDemoLayout(layoutOf(), 'auto'), { ram: 64 * MiB, backend: 'kvm' });
  });

  const block = { id: 0, name: 'ram', ramAddr: 0, bytes: 64 * MiB };
  const wrong: [string, Partial<GuestLayout>][] = [
    ['another kind', { kind: 'qemu' }],
    ['no block', { blocks: [] }],
    ['two blocks', { blocks: [block, { ...block, id: 1 }] }],
    ['another number', { blocks: [{ ...block, id: 1 }] }],
    ['another name', { blocks: [{ ...block, name: 'rom' }] }],
    ['another place', { blocks: [{ ...block, ramAddr: 4096 }] }],
    ['a size that is no number', { blocks: [{ ...block, bytes: NaN }] }],
    ['a size of half a page', { blocks: [{ ...block, bytes: 64 * MiB + 2048 }] }],
    ['too large a size', { blocks: [{ ...block, bytes: 2 ** 50 }] }],
    ['no description', { description: '' }],
    ['a description that is a list', { description: '[]' }],
    ['an endless description', { description: `"${'x'.repeat(2000)}"` }],
    ['another version', { description: '{"version":2,"backend":"kvm"}' }],
    ['another backend', { description: '{"version":1,"backend":"xen"}' }],
  ];
  for (const [name, changes] of wrong) {
    it(`is refused with ${name}`, async () => {
      const refused = { name: 'ConfigurationError', code: 'ERR_PAGEFERRY_GUEST_LAYOUT' };
      assert.throws(() => checkDemoLayout(layoutOf(changes), 'auto'), refused);
      const opened = demoProvider.openDestination(new URL('demo:'), layoutOf(changes));
      await assert.rejects(opened, refused);
    });
  }

  it('is refused when this side was asked for another backend', () => {
    assert.throws(() => checkDemoLayout(layoutOf(), 'in-process'), ConfigurationError);
  });
});
