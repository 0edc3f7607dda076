/** What tests of the command line's processes share: keys, a private place, and an end check. */
import { strict as assert } from 'node:assert';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

import { generateKeyFile } from '../../src/keys/index.js';
import { Cli, processesWith, type CliEnd } from './cli.js';
import { withScratch } from './scratch.js';

/** What the command line runs on. */
export interface CliMachine {
  readonly name: string;
  /** The executable. */
  readonly file: string;
  /** Added to every command that migrates. */
  readonly arguments: readonly string[];
  /** Added to the guest's URL. */
  readonly guestParameters: string;
}

export class Rig {
  readonly key: string;
  readonly state: string;
  private readonly environment: NodeJS.ProcessEnv;

  constructor(
    readonly machine: CliMachine,
    readonly directory: string,
    /** What every process of the rig has in its environment. */
    readonly mark: string,
    environment: NodeJS.ProcessEnv = {},
  ) {
    this.key = join(directory, 'session.key');
    this.state = join(directory, 'state');
    this.environment = {
      ...environment,
      PAGEFERRY_TEST_MARK: mark,
      TMPDIR: join(directory, 'tmp'),
      XDG_STATE_HOME: this.state,
      XDG_RUNTIME_DIR: directory,
    };
  }

  start(args: readonly string[], environment: NodeJS.ProcessEnv = {}): Cli {
    const { file } = this.machine;
    return new Cli(args, { file, environment: { ...this.environment, ...environment } });
  }

  demo(...rest: string[]): Cli {
    return this.start(['demo', ...this.machine.arguments, ...rest]);
  }

  /** `guest` is the query of the guest's URL. */
  send(guest: string, ...rest: string[]): Cli {
    const url = `demo:?${[guest, this.machine.guestParameters].filter(Boolean).join('&')}`;
    const key = rest.includes('--key-file') ? [] : ['--key-file', this.key];
    return this.start(['send', '--guest', url, ...key, ...this.machine.arguments, ...rest]);
  }

  receive(...rest: string[]): Cli {
    const url = `demo:?${this.machine.guestParameters}`;
    const key = rest.includes('--key-file') ? [] : ['--key-file', this.key];
    return this.start(['receive', '--guest', url, ...key, ...this.machine.arguments, ...rest]);
  }
}

/** Listens at a free port and tells where, once it does. */
export async function listeningAddress(side: Cli): Promise<string> {
  const [, address = ''] = await side.says(/listening at (\S+)/);
  return address;
}

/** Fails with everything both sides said. */
export function expectExit(end: CliEnd, exitCode: number): void {
  assert.equal(end.exitCode, exitCode, `${end.stderr}\n${end.stdout}`);
}

/** Calls `use` with a fresh rig; afterwards no process and no temporary file may be left. */
export function withRig(
  machine: CliMachine,
  use: (rig: Rig) => Promise<void>,
  environment: NodeJS.ProcessEnv = {},
): Promise<void> {
  return withScratch(async (directory) => {
    const mark = `mark-${randomBytes(8).toString('hex')}`;
    const rig = new Rig(machine, directory, mark, environment);
    mkdirSync(join(directory, 'tmp'));
    await generateKeyFile(rig.key);
    try {
      await use(rig);
      assert.deepEqual(processesWith(mark), [], 'processes are left');
      assert.deepEqual(readdirSync(join(directory, 'tmp')), [], 'temporary files are left');
    } finally {
      for (const pid of processesWith(mark)) process.kill(pid, 'SIGKILL');
    }
  });
}
