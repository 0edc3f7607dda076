import { strict as assert } from 'node:assert';
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { once } from 'node:events';

import { ask, findSessions, pickSession, type FoundSession } from '../../../src/control/client.js';
import { openRuntimeDirectory, socketPath } from '../../../src/control/directory.js';
import { CLIENTS_MAX, REQUEST_BYTES_MAX } from '../../../src/control/limits.js';
import { ControlServer } from '../../../src/control/server.js';
import { SessionControl } from '../../../src/session/session-control.js';
import type { MigrationStatus, Role, SessionState } from '../../../src/session/types.js';
import { withScratch } from '../../support/scratch.js';

const sessionId = '3f2ac0ffee3f2ac0ffee3f2ac0ffee00';

/** A handle as a running source's: in a state of the test's choice. */
function sourceHandle(state: SessionState = 'precopy', role: Role = 'source'): SessionControl {
  const control = new SessionControl();
  const settings = { maxBandwidthBytesPerSecond: null, downtimeLimitMs: 300, onStall: null };
  const status = (): MigrationStatus =>
    ({
      report: 'migration',
      version: 1,
      outcome: 'running',
      sessionId,
      role,
      state,
      isPaused: control.isPaused,
      settings: control.settings ?? null,
      progress: null,
    }) as unknown as MigrationStatus;
  const session = { role, state: () => state, status, changed: () => undefined };
  control.attach(session, role === 'source' ? settings : undefined);
  return control;
}

async function serving(
  control: SessionControl,
  use: (server: ControlServer, directory: string) => Promise<void>,
  role: Role = 'source',
): Promise<void> {
  await withScratch(async (scratch) => {
    const directory = join(scratch, 'run');
    const server = await ControlServer.open({ control, role, directory });
    try {
      await use(server, directory);
    } finally {
      await server.close();
    }
    assert.equal(existsSync(server.path), false);
    assert.equal(existsSync(directory), false);
  });
}

/** Everything the server says until it ends the connection. */
async function untilClosed(socket: Socket): Promise<string> {
  let text = '';
  socket.setEncoding('utf8').on('data', (piece: string) => (text += piece));
  socket.on('error', () => undefined);
  if (!socket.closed) await once(socket, 'close');
  return text;
}

describe('the control socket', () => {
  it('lies in a directory of mode 0700 and has mode 0600', () =>
    serving(sourceHandle(), (server, directory) => {
      assert.equal(statSync(server.path).mode & 0o777, 0o600);
      assert.equal(statSync(directory).mode & 0o777, 0o700);
      return Promise.resolve();
    }));

  it('answers status, and steers the session', () => {
    const control = sourceHandle();
    return serving(control, async ({ path }) => {
      assert.equal((await ask(path, { request: 'status' })).sessionId, sessionId);
      assert.equal((await ask(path, { request: 'pause' })).isPaused, true);
      const settings = { maxBandwidthBytesPerSecond: 5e7, onStall: 'throttle' as const };
      const changed = await ask(path, { request: 'set', settings });
      assert.deepEqual(changed.settings, { ...settings, downtimeLimitMs: 300 });
      assert.equal((await ask(path, { request: 'resume' })).isPaused, false);
      await ask(path, { request: 'cancel' });
      assert.equal(control.signal.aborted, true);
    });
  });

  it('passes refusals on with their codes', () =>
    serving(sourceHandle('committing'), async ({ path }) => {
      for (const request of ['pause', 'cancel'] as const) {
        await assert.rejects(ask(path, { request }), { code: 'ERR_PAGEFERRY_CONTROL_LATE' });
      }
      const settings = { downtimeLimitMs: -1 };
      const refused = { code: 'ERR_PAGEFERRY_SETTING' };
      await assert.rejects(ask(path, { request: 'set', settings }), refused);
    }));

  it('does not let a destination be held', () =>
    serving(
      sourceHandle('precopy', 'destination'),
      async ({ path }) => {
        const refused = { code: 'ERR_PAGEFERRY_CONTROL_SIDE' };
        await assert.rejects(ask(path, { request: 'pause' }), refused);
        await assert.rejects(ask(path, { request: 'set', settings: {} }), refused);
      },
      'destination',
    ));

  const nonsense: readonly (readonly [string, string])[] = [
    ['no JSON', 'status'],
    ['a number', '7'],
    ['null', 'null'],
    ['an unknown request', '{"request":"format"}'],
    ['a prototype', '{"request":"__proto__"}'],
    ['settings that are none', '{"request":"set","settings":7}'],
    ['an unknown setting', '{"request":"set","settings":{"secret":1}}'],
    ['a limit that is text', '{"request":"set","settings":{"downtimeLimitMs":"1"}}'],
    ['an endless bandwidth', '{"request":"set","settings":{"maxBandwidthBytesPerSecond":1e300}}'],
  ];
  for (const [what, line] of nonsense) {
    it(`refuses ${what}, and goes on serving`, () =>
      serving(sourceHandle(), async ({ path }) => {
        const socket = connect(path);
        socket.write(`${line}\n`);
        const [answer] = (await once(socket.setEncoding('utf8'), 'data')) as [string];
        assert.match(answer, /^\{"ok":false,"error":\{"code":"ERR_PAGEFERRY_(CONTROL|SETTING)/);
        socket.end();
        await untilClosed(socket);
        assert.equal((await ask(path, { request: 'status' })).state, 'precopy');
      }));
  }

  it('lets a client go that sends a line without an end', () =>
    serving(sourceHandle(), async ({ path }) => {
      const socket = connect(path);
      socket.write('x'.repeat(REQUEST_BYTES_MAX + 1));
      assert.equal(await untilClosed(socket), '');
      assert.equal((await ask(path, { request: 'status' })).state, 'precopy');
    }));

  it('serves only so many clients at a time', () =>
    serving(sourceHandle(), async ({ path }) => {
      const clients = Array.from({ length: CLIENTS_MAX }, () => connect(path));
      for (const client of clients) {
        client.write('{"request":"status"}\n');
        await once(client, 'data');
      }
      await assert.rejects(ask(path, { request: 'status' }), {
        code: 'ERR_PAGEFERRY_CONTROL_GONE',
      });
      for (const client of clients) client.destroy();
    }));
});

describe('the directory of control sockets', () => {
  const refused = { code: 'ERR_PAGEFERRY_RUNTIME_DIRECTORY' };

  it('is refused when others may enter, or when it is a link or a file', () =>
    withScratch(async (scratch) => {
      const open = join(scratch, 'open');
      mkdirSync(open);
      chmodSync(open, 0o755);
      await assert.rejects(openRuntimeDirectory(open), refused);
      const mine = await openRuntimeDirectory(join(scratch, 'mine'));
      symlinkSync(mine, join(scratch, 'link'));
      await assert.rejects(openRuntimeDirectory(join(scratch, 'link')), refused);
      writeFileSync(join(scratch, 'file'), '');
      await assert.rejects(openRuntimeDirectory(join(scratch, 'file')), refused);
      assert.throws(() => socketPath(`/${'x'.repeat(120)}`, 'source', 1), refused);
    }));

  it('is tidied of what a killed process left, and of nothing else', () =>
    withScratch(async (scratch) => {
      const directory = await openRuntimeDirectory(join(scratch, 'run'));
      const path = socketPath(directory, 'source', 4711);
      const dead = createServer().listen(path);
      await once(dead, 'listening');
      // As SIGKILL leaves it: the name stays, nobody listens.
      const kept = `${path}.kept`;
      linkSync(path, kept);
      await new Promise((resolve) => dead.close(resolve));
      renameSync(kept, path);
      writeFileSync(join(directory, 'notes.txt'), '');
      assert.deepEqual(await findSessions(directory), []);
      assert.equal(existsSync(path), false);
      assert.equal(existsSync(join(directory, 'notes.txt')), true);
    }));

  it('is empty where there is none', async () => {
    assert.deepEqual(await findSessions('/nonexistent/pageferry'), []);
  });
});

describe('the name of a session', () => {
  const found = (role: Role, pid: number, id: string): FoundSession => ({
    socket: { role, pid, path: `/run/${role}-${pid}.sock` },
    status: { sessionId: id } as MigrationStatus,
  });
  const all = [
    found('destination', 1, sessionId),
    found('source', 2, sessionId),
    found('source', 3, '3faa'),
    found('source', 4, ''),
  ];

  it('is the beginning of its id; of two sides the source is meant', () => {
    assert.equal(pickSession(all, '3F2A').socket.pid, 2);
    assert.equal(pickSession(all, sessionId, 'destination').socket.pid, 1);
    assert.equal(pickSession(all, 'source-4').socket.pid, 4);
    assert.equal(pickSession(all, '3fa').socket.pid, 3);
  });

  it('is refused when it says nothing, or too little', () => {
    for (const name of ['3f', '', 'zz', 'source-9']) {
      assert.throws(() => pickSession(all, name), { code: 'ERR_PAGEFERRY_SESSION_NAME' });
    }
  });
});
