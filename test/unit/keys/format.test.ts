import { strict as assert } from 'node:assert';
import { randomBytes } from 'node:crypto';

import {
  decodeBase64,
  decodeHex,
  formatKeyFile,
  headerOf,
  parseBareKey,
  parseKeyFile,
} from '../../../src/keys/format.js';

const parse = (text: string): Buffer => parseKeyFile(Buffer.from(text), 'session', 'K');
const refused = (text: string, code: string): void => {
  assert.throws(() => parse(text), { code: `ERR_PAGEFERRY_KEY_FILE_${code}` }, text);
};
const base64 = (bytes: number): string => Buffer.alloc(bytes, 0xa5).toString('base64');

describe('key file format', () => {
  it('reads back every length it writes', () => {
    for (let length = 32; length <= 1024; length += 1) {
      const secret = randomBytes(length);
      const text = formatKeyFile(secret, 'session');
      assert.equal(text.toString('latin1').split('\n')[1], secret.toString('base64'));
      assert.deepEqual(parseKeyFile(text, 'session', 'K'), secret);
    }
  });

  it('has the two lines that docs/cli.md shows', () => {
    const text = formatKeyFile(Buffer.alloc(32), 'session').toString('latin1');
    assert.equal(text, `pageferry-key v1 session\n${'A'.repeat(43)}=\n`);
  });

  it('takes line ends of other systems and a missing last one', () => {
    const body = base64(32);
    const expected = Buffer.alloc(32, 0xa5);
    assert.deepEqual(parse(`${headerOf('session')}\r\n${body}\r\n`), expected);
    assert.deepEqual(parse(`${headerOf('session')}\n${body}`), expected);
  });

  it('refuses a short key, a long one, and none', () => {
    refused('', 'SHORT');
    refused(`${headerOf('session')}\n`, 'SHORT');
    refused(`${headerOf('session')}\n${base64(31)}\n`, 'SHORT');
    refused(`${headerOf('session')}\n${base64(1025)}\n`, 'LARGE');
  });

  it('refuses another version, another kind, no header, and what follows the key', () => {
    refused(`pageferry-key v2 session\n${base64(32)}\n`, 'FORMAT');
    refused(`pageferry-key v1 chain\n${base64(32)}\n`, 'FORMAT');
    refused(`${base64(32)}\n`, 'FORMAT');
    refused(`${headerOf('session')}\n${base64(32)}\n${base64(32)}\n`, 'FORMAT');
    refused(`${headerOf('session')}\n\n${base64(32)}\n`, 'FORMAT');
    refused(`${headerOf('session')}\nnot base64 at all\n`, 'FORMAT');
  });

  it('never shows the secret in an error', () => {
    const secret = randomBytes(32).toString('base64');
    for (const text of [secret, `${secret}\n${secret}`, `${headerOf('session')}\n!${secret}`]) {
      assert.throws(
        () => parse(text),
        (error: Error) => !error.message.includes(secret.slice(0, 16)),
      );
    }
  });

  it('decodes base64 strictly', () => {
    for (const length of [1, 2, 3, 4, 5, 100]) {
      const bytes = randomBytes(length);
      assert.deepEqual(decodeBase64(Buffer.from(bytes.toString('base64'))), bytes);
    }
    for (const bad of ['', 'A', 'AB', 'ABC', 'AB=C', 'A===', 'AB==\n', 'AAF=', 'AF==', 'A-_A']) {
      assert.equal(decodeBase64(Buffer.from(bad)), undefined, bad);
    }
  });

  it('decodes hexadecimal strictly', () => {
    assert.deepEqual(decodeHex(Buffer.from('00fFa9')), Buffer.from([0, 0xff, 0xa9]));
    for (const bad of ['', '0', '0g', '0x00', ' 00', '@0', '`0']) {
      assert.equal(decodeHex(Buffer.from(bad)), undefined, bad);
    }
  });

  it('takes a bare key in either notation', () => {
    const secret = randomBytes(32);
    for (const text of [secret.toString('hex'), `${secret.toString('base64')}\n`]) {
      assert.deepEqual(parseBareKey(Buffer.from(text), 'V'), secret);
    }
    const short = Buffer.from(randomBytes(16).toString('hex'));
    assert.throws(() => parseBareKey(short, 'V'), { code: 'ERR_PAGEFERRY_KEY_FILE_SHORT' });
    const bad = Buffer.from('correct horse battery staple');
    assert.throws(() => parseBareKey(bad, 'V'), { code: 'ERR_PAGEFERRY_KEY_FILE_FORMAT' });
  });
});
