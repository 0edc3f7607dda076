import { strict as assert } from 'node:assert';
import { randomBytes } from 'node:crypto';

import { EXIT } from '../../src/cli/exit-codes.js';
import { Cli, processesWith, reportOf } from '../support/cli.js';
import { expectExit, listeningAddress, withRig, type Rig } from '../support/cli-rig.js';
import { fakeCliFile, type Scenario } from '../support/fake-session.js';
import { withScratch } from '../support/scratch.js';

const machine = { name: 'scenarios', file: fakeCliFile, arguments: [], guestParameters: '' };
const anyPort = ['--listen', 'tcp://127.0.0.1:0'];

const playing = (scenario: Scenario, use: (rig: Rig) => Promise<void>): Promise<void> =>
  withRig(machine, use, { PAGEFERRY_TEST_SCENARIO: scenario });

/** Both sides, with nothing after --to but the address. */
async function startBoth(rig: Rig, ...rest: string[]): Promise<{ send: Cli; receive: Cli }> {
  const receive = rig.receive(...anyPort, ...rest);
  const send = rig.send('', '--to', await listeningAddress(receive), '--json');
  return { send, receive };
}

describe('the command line around a session', () => {
  it('merges what the two sides of the demo report', () =>
    playing('completes', async (rig) => {
      const end = await rig.demo('--json').ended;
      expectExit(end, EXIT.completed);
      const { verified } = reportOf(end);
      assert.equal(verified.ticksBefore, 900);
      assert.ok((verified.ticksAfter ?? 0) > 900);
      assert.equal(verified.guestSelfCheck, true);
    }));

  it('keeps stdout empty without --json', () =>
    playing('completes', async (rig) => {
      const end = await rig.demo().ended;
      expectExit(end, EXIT.completed);
      assert.equal(end.stdout, '');
    }));

  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    it(`ends the demo cleanly at ${signal}`, () =>
      playing('never-ends', async (rig) => {
        const demo = rig.demo('--json');
        await demo.says(/round 1: /);
        demo.kill(signal);
        const end = await demo.ended;
        expectExit(end, EXIT.aborted);
        assert.equal(reportOf(end).error?.code, 'ERR_PAGEFERRY_INTERRUPTED');
        assert.match(end.stderr, /went on running at the source/);
      }));
  }

  it('ends the demo at once at the second signal', () =>
    playing('never-ends', async (rig) => {
      const demo = rig.demo();
      await demo.says(/round 1: /);
      demo.kill('SIGINT');
      await new Promise((resolve) => setTimeout(resolve, 100));
      demo.kill('SIGINT');
      expectExit(await demo.ended, EXIT.interrupted);
    }));

  it('leaves no process behind when the demo is killed', async () => {
    await withScratch(async (directory) => {
      const mark = `mark-${randomBytes(8).toString('hex')}`;
      const environment = {
        PAGEFERRY_TEST_SCENARIO: 'never-ends',
        PAGEFERRY_TEST_MARK: mark,
        TMPDIR: directory,
      };
      const demo = new Cli(['demo'], { file: fakeCliFile, environment });
      await demo.says(/round 1: /);
      assert.equal(processesWith(mark).length, 3);
      demo.kill('SIGKILL');
      await demo.ended;
      const deadline = Date.now() + 10_000;
      while (processesWith(mark).length > 0 && Date.now() < deadline) {
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      assert.deepEqual(processesWith(mark), []);
    });
  });

  it('tells when a side of the demo dies', () =>
    playing('source-crashes', async (rig) => {
      const end = await rig.demo('--json').ended;
      expectExit(end, EXIT.failed);
      const { error } = reportOf(end);
      assert.equal(error?.code, 'ERR_PAGEFERRY_DEMO_PROCESS_DIED');
      assert.match(error.message, /the source's process died \(SIGKILL\)/);
    }));

  it('tells why the destination of the demo does not listen', () =>
    playing('completes', async (rig) => {
      const end = await rig.demo('--json', '--transport', 'carrier-pigeon').ended;
      expectExit(end, EXIT.usage);
      assert.equal(reportOf(end).error?.code, 'ERR_PAGEFERRY_TRANSPORT_SCHEME');
      assert.match(end.stderr, /error: there is no transport for carrier-pigeon:.*tcp:/);
    }));

  it('holds the guest in doubt until it is told to let go', () =>
    playing('in-doubt', async (rig) => {
      const { receive, send } = await startBoth(rig);
      await send.says(/stays paused here, its memory intact/);
      assert.equal(reportOf(send).error?.code, 'ERR_PAGEFERRY_IN_DOUBT');
      expectExit(await receive.ended, EXIT.completed);
      assert.equal(send.process.exitCode, null);
      send.kill('SIGINT');
      expectExit(await send.ended, EXIT.inDoubt);
    }));

  it('does not hold it in the demo, where there is nobody to ask', () =>
    playing('in-doubt', async (rig) => {
      expectExit(await rig.demo('--json').ended, EXIT.inDoubt);
    }));

  it('ends a waiting receiver at Ctrl-C', () =>
    playing('completes', async (rig) => {
      const receive = rig.receive(...anyPort);
      await listeningAddress(receive);
      receive.kill('SIGINT');
      expectExit(await receive.ended, EXIT.aborted);
    }));

  it('lets the received guest run on for as long as asked', () =>
    playing('completes', async (rig) => {
      const { receive, send } = await startBoth(rig, '--exit-after', '700');
      expectExit(await send.ended, EXIT.completed);
      const end = await receive.ended;
      expectExit(end, EXIT.completed);
      assert.match(end.stderr, /The guest runs here for 700 ms\./);
      assert.match(end.stderr, /The guest ends: ticks [\d,]+ to [\d,]+, self-check/);
    }));
});
