import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, lstatSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { CollectingSink, until } from '../../src/transport/compliance/harness.js';
import type { Listener } from '../../src/transport/contract.js';
import unix from '../../transports/unix/index.js';
import { withScratch } from '../support/scratch.js';

const limits = { maxFrameBytes: 1024 * 1024 };
const code = (name: string): { code: string } => ({ code: `ERR_PAGEFERRY_TRANSPORT_${name}` });

const address = (path: string, query = ''): URL => new URL(`unix://${path}${query}`);

function listen(path: string, query = ''): Promise<Listener> {
  return unix().listen(address(path, query), limits, (lane) => {
    lane.receive(new CollectingSink());
  });
}

async function dial(path: string, query = ''): Promise<void> {
  const lane = await unix().dial(address(path, query), limits);
  lane.receive(new CollectingSink());
  await lane.close();
}

/** Leaves a socket behind as a process that was killed does. */
async function leaveStale(path: string): Promise<void> {
  const script = `require('node:net').createServer().listen(process.argv[1], () => {
    require('node:fs').writeSync(1, 'listening');
  });`;
  const child = spawn(process.execPath, ['-e', script, path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
  assert.ok(lstatSync(path).isSocket(), 'the socket stays');
  chmodSync(path, 0o600);
}

describe('lanes over local sockets', () => {
  it('have a socket of mode 0600 while they listen, and leave nothing behind', () =>
    withScratch(async (directory) => {
      const path = join(directory, 'lane.sock');
      const listener = await listen(path);
      assert.equal(lstatSync(path).mode & 0o777, 0o600);
      assert.deepEqual(readdirSync(directory), ['lane.sock']);
      await dial(path);
      await listener.close();
      assert.deepEqual(readdirSync(directory), []);
      await assert.rejects(dial(path), code('REFUSED'));
    }));

  it('have the mode asked for, whatever the mask says', () =>
    withScratch(async (directory) => {
      const path = join(directory, 'lane.sock');
      const before = process.umask(0o077);
      try {
        const listener = await listen(path, '?mode=660');
        assert.equal(lstatSync(path).mode & 0o777, 0o660);
        await assert.rejects(dial(path), { ...code('FORBIDDEN'), message: /mode 0660/ });
        await dial(path, '?mode=660');
        await listener.close();
      } finally {
        process.umask(before);
      }
    }));

  it('take the place of a socket that a dead process left', () =>
    withScratch(async (directory) => {
      const path = join(directory, 's');
      await leaveStale(path);
      await assert.rejects(dial(path), code('REFUSED'));
      const listener = await listen(path);
      await dial(path);
      await listener.close();
      assert.deepEqual(readdirSync(directory), []);
    }));

  it('let one of several that find the same dead socket listen', () =>
    withScratch(async (directory) => {
      const path = join(directory, 'lane.sock');
      await leaveStale(path);
      const tries = await Promise.allSettled(Array.from({ length: 8 }, () => listen(path)));
      const listening = tries.filter((one) => one.status === 'fulfilled');
      const refused = tries.filter((one) => one.status === 'rejected');
      assert.equal(listening.length, 1);
      for (const { reason } of refused) {
        assert.equal((reason as { code: string }).code, code('ADDRESS_IN_USE').code);
      }
      await dial(path);
      await listening[0]?.value.close();
      assert.deepEqual(readdirSync(directory), []);
    }));

  it('never take the place of a living listener or of a file', () =>
    withScratch(async (directory) => {
      const path = join(directory, 'lane.sock');
      const listener = await listen(path);
      await assert.rejects(listen(path), code('ADDRESS_IN_USE'));
      await dial(path);
      await listener.close();
      writeFileSync(path, 'precious');
      await assert.rejects(listen(path), code('ADDRESS_IN_USE'));
      await assert.rejects(dial(path), { ...code('FORBIDDEN'), message: /no socket/ });
      assert.equal(lstatSync(path).size, 8);
      assert.deepEqual(readdirSync(directory), ['lane.sock']);
    }));

  it('leave a socket alone that another listener put in its place', () =>
    withScratch(async (directory) => {
      const path = join(directory, 'lane.sock');
      const first = await listen(path);
      const { unlinkSync } = await import('node:fs');
      unlinkSync(path);
      const second = await listen(path);
      await first.close();
      assert.ok(existsSync(path));
      await dial(path);
      await second.close();
    }));

  it('do not listen or dial where others may replace the socket', () =>
    withScratch(async (directory) => {
      const open = join(directory, 'open');
      mkdirSync(open);
      const path = join(open, 'lane.sock');
      const listener = await listen(path);
      chmodSync(open, 0o777);
      await assert.rejects(dial(path), { ...code('FORBIDDEN'), message: /may replace/ });
      await assert.rejects(listen(join(open, 'other.sock')), code('FORBIDDEN'));
      chmodSync(open, 0o1777);
      await dial(path);
      await listener.close();
    }));

  it('do not dial a socket of another user unless told to', function () {
    if (process.geteuid?.() !== 0) return;
    return withScratch(async (directory) => {
      const { chownSync } = await import('node:fs');
      const path = join(directory, 'lane.sock');
      const listener = await listen(path);
      chownSync(path, 12_345, -1);
      await assert.rejects(dial(path), { ...code('FORBIDDEN'), message: /user 12345/ });
      await dial(path, '?owner=12345');
      await listener.close();
    });
  });

  it('say when there is no directory, or its name is too long', () =>
    withScratch(async (directory) => {
      await assert.rejects(listen(join(directory, 'none', 's')), code('ADDRESS_UNAVAILABLE'));
      await assert.rejects(dial(join(directory, 'none', 's')), code('REFUSED'));
      const long = join(directory, 'd'.repeat(100 - directory.length));
      mkdirSync(long);
      await assert.rejects(listen(join(long, 's')), code('ADDRESS_UNAVAILABLE'));
    }));

  it('refuse addresses that are only nearly right', async () => {
    for (const text of [
      ...['unix://host/path', 'unix:///', 'unix:///a/../b', 'unix:///a/', 'unix:///a%00b'],
      ...['unix:///a?mode=640', 'unix:///a?mode=777', 'unix:///a?owner=root', 'unix:///a?x=1'],
      ...[`unix:///${'a'.repeat(107)}`, 'unix:///%ff', 'unix:///a#b'],
    ]) {
      const dialing = unix().dial(new URL(text), limits);
      // The parser of URLs resolves dots by itself.
      if (text.includes('..')) await assert.rejects(dialing, code('REFUSED'), text);
      else await assert.rejects(dialing, code('ADDRESS'), text);
    }
  });

  it('go on with their lanes when the listener closes', () =>
    withScratch(async (directory) => {
      const path = join(directory, 'lane.sock');
      const sink = new CollectingSink();
      const listener = await unix().listen(address(path), limits, (lane) => {
        lane.receive(sink);
      });
      const lane = await unix().dial(address(path), limits);
      lane.receive(new CollectingSink());
      await listener.close();
      await lane.send([Buffer.from('still here')]);
      await until(() => sink.frames.length === 1, 'the frame arrives');
      await lane.close();
    }));
});
