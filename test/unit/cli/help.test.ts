import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';

import { EXIT, EXIT_MEANINGS } from '../../../src/cli/exit-codes.js';
import { cliFile, reportOf, runCli } from '../../support/cli.js';

const steering = ['status', 'pause', 'resume', 'cancel', 'set'];
const commands = [
  ...['demo', 'send', 'receive', 'keys', 'doctor', ...steering].map((name) => [name]),
  ['keys', 'generate'],
];

describe('the help', () => {
  it('names every command, examples and exit codes', async () => {
    const end = await runCli(['--help']);
    assert.equal(end.exitCode, 0);
    for (const name of ['demo', 'send', 'receive', 'keys', 'doctor', ...steering.slice(1)]) {
      assert.match(end.stdout, new RegExp(`^  ${name} `, 'm'));
    }
    assert.match(end.stdout, /Examples:/);
    for (const [code, meaning] of EXIT_MEANINGS) {
      assert.ok(end.stdout.includes(`${String(code).padStart(5)}  ${meaning}`), meaning);
    }
  });

  for (const command of commands) {
    it(`of ${command.join(' ')} says what it is for`, async () => {
      const end = await runCli([...command, '--help']);
      assert.equal(end.exitCode, 0);
      assert.equal(end.stderr, '');
      assert.match(end.stdout, new RegExp(`^Usage: pageferry ${command.join(' ')}`));
      for (const line of end.stdout.split('\n')) assert.ok(line.length <= 100, line);
      assert.doesNotMatch(end.stdout, /events-fd/);
    });
  }

  it('of the migrating commands has examples and every option', async () => {
    for (const name of ['demo', 'send', 'receive']) {
      const { stdout } = await runCli([name, '--help']);
      assert.match(stdout, new RegExp(`\\$ pageferry ${name}`));
      for (const option of ['--engine', '--vcpus', '--window', '--lanes', '--timeout', '--json']) {
        assert.ok(stdout.includes(`${option} `) || stdout.includes(`${option}\n`), option);
      }
    }
  });

  it('loads none of the packages that only a migration needs', () => {
    const script = `
      import { createRequire } from 'node:module';
      const { cache } = createRequire(import.meta.url);
      process.on('exit', () => console.error(Object.keys(cache).join('\\n')));
      process.argv = [process.argv[0], ${JSON.stringify(cliFile)}, '--help'];
      await import(${JSON.stringify(cliFile)});`;
    const args = ['--input-type=module', '--eval', script];
    const ran = spawnSync(process.execPath, args, { encoding: 'utf8' });
    assert.equal(ran.status, 0, ran.stderr);
    const packages = new Set(
      [...ran.stderr.matchAll(/node_modules\/([\w-]+)/g)].map(([, name]) => name),
    );
    assert.deepEqual([...packages], ['commander']);
  });
});

describe('wrong usage', () => {
  const wrong: readonly (readonly [readonly string[], RegExp])[] = [
    [['frobnicate'], /unknown command 'frobnicate'/],
    [['demo', '--ram', '12Q'], /"12Q" is not a size such as/],
    [['demo', '--ram', '1K'], /"1K" is not between 16 MiB and/],
    [['demo', '--engine', 'magic'], /Allowed choices are auto, kvm, in-process/],
    [['demo', '--vcpus', '99'], /"99" is not between 1 and 16/],
    [['demo', '--pad', '5000'], /0 or a power of two/],
    [['demo', '--lane', '2'], /unknown option '--lane'.*Did you mean --lanes\?/],
    [['demo', 'extra'], /too many arguments/],
    [['send', '--guest', 'demo:', '--to', 'host:1', '--key-fd', '0'], /"host:1" is not an address/],
    [['send', '--to', 'tcp://h:1'], /required option '--guest <url>'/],
    [['send', '--guest', 'demo:', '--to', 'tcp://h:1', '--listen', 'tcp://h:1'], /cannot be used/],
    [['keys', 'generate'], /missing required argument 'file'/],
  ];
  for (const [args, message] of wrong) {
    it(`is told for: ${args.join(' ')}`, async () => {
      const end = await runCli(args);
      assert.equal(end.exitCode, EXIT.usage, end.stderr);
      assert.match(end.stderr, message);
      assert.match(end.stderr, /^error: .* \(ERR_PAGEFERRY_USAGE\)$/m);
      assert.match(end.stderr, /^usage: pageferry.* --help$/m);
      assert.equal(end.stdout, '');
    });
  }

  it('is a report with --json', async () => {
    const end = await runCli(['receive', '--frob', '--json']);
    assert.equal(end.exitCode, EXIT.usage);
    const report = reportOf(end);
    assert.equal(report.outcome, 'failed');
    assert.equal(report.error?.code, 'ERR_PAGEFERRY_USAGE');
    assert.equal(report.guest.role, 'destination');
  });

  it('is an unknown command when there is none at all', async () => {
    const end = await runCli([]);
    assert.equal(end.exitCode, EXIT.usage);
    assert.match(end.stderr, /Usage: pageferry/);
  });
});
