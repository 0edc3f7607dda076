import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, closeSync, mkdirSync, openSync, readdirSync } from 'node:fs';
import { readFileSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { generateKeyFile, readKey, readKeyFile } from '../../../src/keys/index.js';
import { requireCapability } from '../../support/require.js';
import { withScratch } from '../../support/scratch.js';

const code = (name: string): { code: string } => ({ code: `ERR_PAGEFERRY_KEY_${name}` });

/** A good key file in a fresh directory. */
function withKey(use: (path: string, directory: string) => Promise<void>): Promise<void> {
  return withScratch(async (directory) => {
    const path = join(directory, 'session.key');
    await generateKeyFile(path);
    await use(path, directory);
  });
}

describe('key files', () => {
  it('are made with mode 0600, random and readable', () =>
    withKey(async (path, directory) => {
      assert.equal(statSync(path).mode & 0o777, 0o600);
      const first = await readKeyFile(path);
      assert.equal(first.length, 32);
      const other = join(directory, 'other.key');
      await generateKeyFile(other);
      assert.notDeepEqual(await readKeyFile(other), first);
      assert.deepEqual(await readKeyFile(path), first);
    }));

  it('are made with mode 0600 under any umask', () =>
    withScratch(async (directory) => {
      const before = process.umask(0o377);
      try {
        await generateKeyFile(join(directory, 'k'));
      } finally {
        process.umask(before);
      }
      assert.equal(statSync(join(directory, 'k')).mode & 0o777, 0o600);
    }));

  it('are never overwritten', () =>
    withKey(async (path) => {
      const before = readFileSync(path, 'utf8');
      await assert.rejects(generateKeyFile(path), code('FILE_EXISTS'));
      assert.equal(readFileSync(path, 'utf8'), before);
    }));

  it('are not made through a dangling link', () =>
    withScratch(async (directory) => {
      symlinkSync(join(directory, 'elsewhere'), join(directory, 'link'));
      await assert.rejects(generateKeyFile(join(directory, 'link')), code('FILE_EXISTS'));
      assert.deepEqual(readdirSync(directory), ['link']);
    }));

  it('say where they cannot be made', () =>
    withScratch(async (directory) => {
      const path = join(directory, 'missing', 'k');
      await assert.rejects(generateKeyFile(path), code('FILE_WRITE'));
    }));

  it('are refused when missing, with the command that makes one', () =>
    withScratch(async (directory) => {
      const path = join(directory, 'k');
      await assert.rejects(readKeyFile(path), {
        ...code('FILE_MISSING'),
        message: new RegExp(`pageferry keys generate ${path}`),
      });
    }));

  for (const mode of [0o640, 0o604, 0o620, 0o610, 0o777]) {
    it(`are refused with mode ${mode.toString(8)}, with the line that mends it`, () =>
      withKey(async (path) => {
        chmodSync(path, mode);
        await assert.rejects(readKeyFile(path), {
          ...code('FILE_MODE'),
          message: new RegExp(`mode 0${mode.toString(8)}.*chmod 600 ${path}`),
        });
      }));
  }

  it('are refused when short, malformed or too large', () =>
    withKey(async (path) => {
      truncateSync(path, 40);
      await assert.rejects(readKeyFile(path), /KEY_FILE_(SHORT|FORMAT)|base64|bytes/);
      truncateSync(path, 0);
      await assert.rejects(readKeyFile(path), code('FILE_SHORT'));
      writeFileSync(path, 'hello\n');
      await assert.rejects(readKeyFile(path), code('FILE_FORMAT'));
      truncateSync(path, 2 ** 31);
      await assert.rejects(readKeyFile(path), code('FILE_LARGE'));
    }));

  it('are refused when they are no regular file, without waiting for one', () =>
    withScratch(async (directory) => {
      const path = join(directory, 'd');
      mkdirSync(path, { mode: 0o700 });
      await assert.rejects(readKeyFile(path), code('FILE_KIND'));
      const fifo = join(directory, 'fifo');
      assert.equal(spawnSync('mkfifo', ['-m', '600', fifo]).status, 0);
      await assert.rejects(readKeyFile(fifo), code('FILE_KIND'));
      await assert.rejects(readKeyFile('/dev/zero'), code('FILE_KIND'));
    }));

  it('are refused when they belong to somebody else', function () {
    requireCapability(this, 'root, to give a file away', process.getuid?.() === 0);
    return withKey(async (path) => {
      chownSync(path, 4321, 4321);
      await assert.rejects(readKeyFile(path), { ...code('FILE_OWNER'), message: /user 4321/ });
    });
  });

  it('may be reached by a link, whose target is what counts', () =>
    withKey(async (path, directory) => {
      const link = join(directory, 'link');
      symlinkSync(path, link);
      assert.deepEqual(await readKeyFile(link), await readKeyFile(path));
      chmodSync(path, 0o644);
      await assert.rejects(readKeyFile(link), code('FILE_MODE'));
    }));
});

describe('where a key comes from', () => {
  it('is a descriptor: a key file, or the bare key', () =>
    withKey(async (path, directory) => {
      const secret = await readKeyFile(path);
      const bare = join(directory, 'bare');
      writeFileSync(bare, `${secret.toString('hex')}\n`);
      for (const file of [path, bare]) {
        const fd = openSync(file, 'r');
        try {
          assert.deepEqual(await readKey({ fd }, {}), secret);
        } finally {
          closeSync(fd);
        }
      }
      await assert.rejects(readKey({ fd: 987_654 }, {}), code('FILE_UNREADABLE'));
      const endless = openSync('/dev/zero', 'r');
      try {
        await assert.rejects(readKey({ fd: endless }, {}), code('FILE_LARGE'));
      } finally {
        closeSync(endless);
      }
    }));

  it('is the environment, which forgets it', async () => {
    const environment = { PAGEFERRY_KEY: Buffer.alloc(32, 7).toString('base64') };
    assert.deepEqual(await readKey({}, environment), Buffer.alloc(32, 7));
    assert.deepEqual(environment, {});
  });

  it('is the command line before the environment, and only one place of it', () =>
    withKey(async (path) => {
      const environment = { PAGEFERRY_KEY: 'rubbish' };
      assert.deepEqual(await readKey({ file: path }, environment), await readKeyFile(path));
      await assert.rejects(readKey({ file: path, fd: 0 }, {}), code('AMBIGUOUS'));
      await assert.rejects(readKey({}, {}), { ...code('REQUIRED'), message: /--key-file/ });
    }));
});
