/** The example package as a third party has it: packed, installed beside pageferry, run. */
import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { EXIT } from '../../src/cli/exit-codes.js';
import { reportOf, runCli } from '../support/cli.js';
import { expectExit } from '../support/cli-rig.js';
import { projectRoot } from '../support/project.js';

const example = 'pageferry-transport-websocket';
const patienceMs = 300_000;

function run(directory: string, command: string, ...args: string[]): string {
  const ran = spawnSync(command, args, { cwd: directory, encoding: 'utf8', timeout: patienceMs });
  assert.equal(ran.status, 0, `${command} ${args.join(' ')}: ${ran.stdout}\n${ran.stderr}`);
  return ran.stdout;
}

describe('the example package of a transport', function () {
  this.timeout(patienceMs);
  let project: string;

  before(() => {
    project = mkdtempSync(join(tmpdir(), 'pageferry-test-'));
    const packed = ['pack', '--silent', '--pack-destination', project];
    run(projectRoot, 'npm', ...packed);
    run(join(projectRoot, 'examples', 'transport-websocket'), 'npm', ...packed);
    const files = readdirSync(project).map((name) => `./${name}`);
    assert.equal(files.length, 2);
    writeFileSync(join(project, 'package.json'), '{"private":true}');
    const quiet = ['--no-audit', '--no-fund', '--ignore-scripts', '--prefer-offline'];
    run(project, 'npm', 'install', ...quiet, ...files);
  });

  after(() => {
    rmSync(project, { recursive: true });
  });

  it('passes the compliance suite where it is installed', () => {
    const mocha = join(projectRoot, 'node_modules', 'mocha', 'bin', 'mocha.js');
    const suite = join(project, 'node_modules', example, 'test', 'compliance.test.mjs');
    const said = run(project, process.execPath, mocha, '--timeout', '30000', suite);
    assert.match(said, /4\d passing/);
    assert.match(said, /leaks nothing over 1000 cycles/);
  });

  it('carries a migration that the command line is told to take it for', async () => {
    const file = join(project, 'node_modules', 'pageferry', 'dist', 'src', 'cli', 'main.js');
    const plugin = ['--transport', 'ws', '--transport-plugin', example];
    const size = ['--ram', '32M', '--engine', 'in-process'];
    const end = await runCli(['demo', '--json', ...plugin, ...size], { file, patienceMs });
    expectExit(end, EXIT.completed);
    const report = reportOf(end);
    assert.equal(report.transport, 'ws');
    assert.equal(report.verified.ramDigestsEqual, true);
  });

  it('is loaded from a file as well, and not where nobody asks for it', async () => {
    const file = join(project, 'node_modules', example, 'index.mjs');
    const size = ['--ram', '16M', '--engine', 'in-process'];
    const own = join(project, 'node_modules', 'pageferry', 'dist', 'src', 'cli', 'main.js');
    const demo = ['demo', '--json', '--transport', 'ws', ...size];
    const end = await runCli([...demo, '--transport-plugin', file], { file: own, patienceMs });
    expectExit(end, EXIT.completed);
    const without = await runCli(demo, { file: own, patienceMs });
    expectExit(without, EXIT.usage);
    assert.equal(reportOf(without).error?.code, 'ERR_PAGEFERRY_TRANSPORT_SCHEME');
    assert.match(without.stderr, /there are .*tcp:\/\/.*a plugin can add one/);
    const missing = await runCli([...demo, '--transport-plugin', './none.js'], { file: own });
    expectExit(missing, EXIT.usage);
    assert.equal(reportOf(missing).error?.code, 'ERR_PAGEFERRY_TRANSPORT_PLUGIN');
  });
});
