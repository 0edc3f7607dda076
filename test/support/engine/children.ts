/** What: processes of child.ts, seen from the test that starts them. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import type { EngineName } from '../../../src/mirror/contract.js';
import { projectRoot } from '../project.js';

const script = join(projectRoot, 'dist/test/support/engine/child.js');
const openFilesLimit = 64;

/** One run of child.ts, by the lines it prints. */
export class Child {
  readonly process: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #ended: Promise<unknown[]>;

  constructor(mode: string, engine: EngineName, ...more: string[]) {
    const command = `ulimit -n ${mode === 'fds' ? openFilesLimit : 1024}; exec "$@"`;
    const child = ['sh', process.execPath, script, mode, engine, ...more];
    this.process = spawn('sh', ['-c', command, ...child], {
      stdio: ['ignore', 'pipe', 'inherit'],
      // Each further heap of malloc reserves 64 MiB of addresses, whenever threads happen to meet.
      env: { ...process.env, MALLOC_ARENA_MAX: '1' },
    });
    this.#ended = once(this.process, 'exit');
    const { stdout } = this.process;
    assert.ok(stdout !== null);
    this.#lines = createInterface(stdout)[Symbol.asyncIterator]();
  }

  async line(): Promise<string> {
    const next = await this.#lines.next();
    assert.ok(next.done !== true, 'the child ended without another word');
    return next.value;
  }

  /** Exit code, or the signal that ended it. */
  async end(): Promise<unknown> {
    const [code, signal] = await this.#ended;
    return signal ?? code;
  }
}
