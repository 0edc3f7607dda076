/** Runs the command line as a process and collects what it says. */
import { spawn, type ChildProcess } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import type { MigrationReport } from '../../src/session/types.js';
import { projectRoot } from './project.js';

export const cliFile = join(projectRoot, 'dist', 'src', 'cli', 'main.js');

export interface CliEnd {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliOptions {
  /** The executable; the real one by default. */
  readonly file?: string;
  readonly environment?: NodeJS.ProcessEnv;
  /** Extra descriptors to hand on, from 3. */
  readonly descriptors?: readonly number[];
  /** How long the process may take, in milliseconds; it is killed then. */
  readonly patienceMs?: number;
}

/** How long a process may take; below mocha's limit, so that a test that waits tells for what. */
const patienceMsDefault = 50_000;

export class Cli {
  readonly ended: Promise<CliEnd>;
  readonly process: ChildProcess;
  stdout = '';
  stderr = '';

  constructor(args: readonly string[], options: CliOptions = {}) {
    this.process = spawn(process.execPath, [options.file ?? cliFile, ...args], {
      stdio: ['ignore', 'pipe', 'pipe', ...(options.descriptors ?? [])],
      env: { ...process.env, ...options.environment },
    });
    this.process.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text;
    });
    this.process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
    });
    const patienceMs = options.patienceMs ?? patienceMsDefault;
    const patience = setTimeout(() => {
      this.stderr += `\n(killed by the test: no end after ${patienceMs} ms)\n`;
      this.process.kill('SIGKILL');
    }, patienceMs);
    this.ended = new Promise((resolve, reject) => {
      this.process.once('error', reject);
      this.process.once('close', (exitCode, signal) => {
        clearTimeout(patience);
        resolve({ exitCode, signal, stdout: this.stdout, stderr: this.stderr });
      });
    });
  }

  /** Waits until stderr matches; returns the match. Rejects when the process ends before. */
  async says(pattern: RegExp): Promise<RegExpExecArray> {
    let end: CliEnd | undefined;
    void this.ended.then((ended) => {
      end = ended;
    });
    for (;;) {
      const match = pattern.exec(this.stderr);
      if (match !== null) return match;
      if (end !== undefined) throw new Error(`it ended without ${String(pattern)}: ${end.stderr}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  kill(signal: NodeJS.Signals): void {
    this.process.kill(signal);
  }
}

export function runCli(args: readonly string[], options: CliOptions = {}): Promise<CliEnd> {
  return new Cli(args, options).ended;
}

/** The report on the last line of stdout, which has to be there, alone. */
export function reportOf(end: Pick<CliEnd, 'stdout' | 'stderr'>): MigrationReport {
  const lines = end.stdout.trimEnd().split('\n');
  const last = lines.at(-1) ?? '';
  if (lines.length !== 1 || !last.startsWith('{')) {
    throw new Error(`stdout is not one report: ${end.stdout}\n${end.stderr}`);
  }
  return JSON.parse(last) as MigrationReport;
}

/** Processes whose environment or command line holds `mark`; itself not counted. */
export function processesWith(mark: string): number[] {
  const found: number[] = [];
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) continue;
    try {
      const facts = `/proc/${name}`;
      const text =
        readFileSync(`${facts}/environ`, 'utf8') + readFileSync(`${facts}/cmdline`, 'utf8');
      // A process that has ended and is not reaped yet has neither.
      if (text.includes(mark)) found.push(Number(name));
    } catch (error) {
      // Gone between the listing and the look.
      if (!['ENOENT', 'ESRCH', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')) {
        throw error;
      }
    }
  }
  return found;
}
