import { strict as assert } from 'node:assert';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { DecisionStore, defaultStateDirectory } from '../../../src/cli/decisions.js';
import { isAlive } from '../../../src/cli/process-start.js';
import { withScratch } from '../../support/scratch.js';
import { sessionId } from '../observe/samples.js';

describe('the state file', () => {
  it('says how far a session came and which process has its guest', () =>
    withScratch(async (directory) => {
      const store = await DecisionStore.open(directory, 'source');
      assert.equal(await store.state(sessionId), undefined);
      await store.note(sessionId, 'layout');
      await store.note(sessionId, 'committing');
      const noted = await store.state(sessionId);
      assert.equal(noted?.state, 'committing');
      assert.equal(noted.pid, process.pid);
      assert.ok(isAlive(noted));
      assert.ok(!isAlive({ ...noted, pidStart: '1' }), 'another process with that number');
      assert.ok(!isAlive({ ...noted, pid: 2 ** 22 + 1 }));
      assert.deepEqual(readdirSync(join(directory, 'sessions')), [
        `${sessionId}.source.state.json`,
      ]);
    }));

  it('is refused when it says something else', () =>
    withScratch(async (directory) => {
      const store = await DecisionStore.open(directory, 'source');
      for (const text of ['', '{}', '{"record":"session","state":"elsewhere"}']) {
        writeFileSync(store.pathOf(sessionId, 'state'), text);
        await assert.rejects(store.state(sessionId), { code: 'ERR_PAGEFERRY_STATE_FILE' });
      }
    }));
});

describe('the decision file', () => {
  it('says what was decided, for the owner alone, and leaves nothing else behind', () =>
    withScratch(async (directory) => {
      const store = await DecisionStore.open(join(directory, 'state'), 'destination');
      assert.equal(await store.read(sessionId), undefined);
      await store.record(sessionId, 'committed');
      assert.equal(await store.read(sessionId), 'committed');
      const path = store.pathOf(sessionId, 'decision');
      assert.equal(statSync(path).mode & 0o777, 0o600);
      assert.equal(statSync(join(directory, 'state')).mode & 0o777, 0o700);
      const record = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
      assert.deepEqual(
        [record['record'], record['version'], record['sessionId'], record['decision']],
        ['decision', 1, sessionId, 'committed'],
      );
      const files = readdirSync(join(directory, 'state', 'sessions'));
      assert.deepEqual(files, [`${sessionId}.destination.decision.json`]);
    }));

  it('cannot be changed, only said again', () =>
    withScratch(async (directory) => {
      const store = await DecisionStore.open(directory, 'destination');
      await store.record(sessionId, 'aborted');
      await store.record(sessionId, 'aborted');
      const refused = { code: 'ERR_PAGEFERRY_DECIDED', state: 'aborted' };
      await assert.rejects(store.record(sessionId, 'committed'), refused);
      assert.equal(await store.read(sessionId), 'aborted');
    }));

  it('is made once, whoever tries at the same time', () =>
    withScratch(async (directory) => {
      const store = await DecisionStore.open(directory, 'destination');
      const decisions = ['committed', 'aborted', 'committed', 'aborted'] as const;
      const tries = decisions.map((decision) => store.record(sessionId, decision));
      const ends = await Promise.allSettled(tries);
      const made = await store.read(sessionId);
      assert.ok(made !== undefined);
      for (const [index, end] of ends.entries()) {
        assert.equal(end.status === 'fulfilled', decisions[index] === made);
      }
    }));

  it('is refused for a session whose name is a path', () =>
    withScratch(async (directory) => {
      const store = await DecisionStore.open(directory, 'destination');
      for (const name of ['../../etc/passwd', '', 'a/b', 'ABCDEF0123', `${sessionId}\n`]) {
        const refused = { code: 'ERR_PAGEFERRY_SESSION_NAME' };
        await assert.rejects(store.record(name, 'committed'), refused);
      }
    }));

  it('is tried before the session, not at its end', () =>
    withScratch(async (directory) => {
      const file = join(directory, 'file');
      writeFileSync(file, '');
      await assert.rejects(DecisionStore.open(file, 'source'), {
        code: 'ERR_PAGEFERRY_STATE_DIRECTORY',
      });
    }));

  it('lies where the XDG base directories say', () => {
    const home = { XDG_STATE_HOME: '/var/state' };
    assert.equal(defaultStateDirectory(home), '/var/state/pageferry');
    for (const environment of [{}, { XDG_STATE_HOME: 'relative' }]) {
      assert.match(defaultStateDirectory(environment), /\/\.local\/state\/pageferry$/);
    }
  });
});
