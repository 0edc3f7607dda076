/**
 * What: one side of the demo as a child process of its own: this program again, its events read
 * from a descriptor, its report from its stdout. It leads a process group of its own, so that
 * Ctrl-C reaches only the parent, which decides who is told; it ends by itself when the events'
 * pipe ends, so that it does not outlive a parent that was killed.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { Readable } from 'node:stream';

import { KEY_VARIABLE } from '../keys/index.js';
import { EventReader, type ProcessEvent } from '../observe/events.js';
import type { MigrationReport, Role } from '../session/types.js';

const eventsFd = 3;
/** A report with thousands of rounds stays far below. */
const outputBytesMax = 16 * 1024 * 1024;
/** Enough for what a process says when it dies. */
const errorBytesMax = 64 * 1024;
/** What a told child may take before it is killed. */
const killGraceMs = 8000;

export interface ChildEnd {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Undefined when it died before it could make one. */
  readonly report: MigrationReport | undefined;
  /** The end of what it wrote to stderr. */
  readonly errorText: string;
}

/** This program's executable: what runs now. */
function mainFile(): string {
  const running = process.argv[1];
  if (running === undefined) throw new Error('the demo needs to know its own executable');
  return running;
}

/** Collects at most the last `bytesMax` characters of a stream. */
class Tail {
  text = '';

  constructor(stream: Readable, bytesMax: number, onText?: (text: string) => void) {
    stream.setEncoding('utf8');
    stream.on('data', (text: string) => {
      this.text = (this.text + text).slice(-bytesMax);
      onText?.(text);
    });
  }
}

function parseReport(output: string): MigrationReport | undefined {
  const line = output.trimEnd().split('\n').at(-1) ?? '';
  if (!line.startsWith('{"report":"migration"')) return undefined;
  return JSON.parse(line) as MigrationReport;
}

export class Child {
  readonly role: Role;
  /** Resolves when the process has ended and everything it wrote is read; never rejects. */
  readonly ended: Promise<ChildEnd>;
  private readonly process: ChildProcess;
  private killTimer: NodeJS.Timeout | undefined;
  private hasEnded = false;

  constructor(
    role: Role,
    args: readonly string[],
    hooks: { onEvent: (event: ProcessEvent) => void; onErrorText: (text: string) => void },
  ) {
    this.role = role;
    const { [KEY_VARIABLE]: _key, ...environment } = process.env;
    const line = [...process.execArgv, mainFile(), ...args, '--json', '--events-fd', `${eventsFd}`];
    this.process = spawn(process.execPath, line, {
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
      detached: true,
      env: environment,
    });
    this.ended = this.follow(hooks);
  }

  get pid(): number {
    return this.process.pid ?? 0;
  }

  /** Asks it to end; kills it when it does not. */
  stop(signal: NodeJS.Signals = 'SIGTERM'): void {
    if (this.hasEnded) return;
    this.process.kill(signal);
    this.killTimer ??= setTimeout(() => {
      this.kill();
    }, killGraceMs);
  }

  /** Ends it at once. */
  kill(): void {
    if (!this.hasEnded) this.process.kill('SIGKILL');
  }

  private follow(hooks: {
    onEvent: (event: ProcessEvent) => void;
    onErrorText: (text: string) => void;
  }): Promise<ChildEnd> {
    const [, stdout, stderr, pipe] = this.process.stdio;
    if (!(stdout instanceof Readable && stderr instanceof Readable && pipe instanceof Readable)) {
      throw new Error('a child without pipes');
    }
    const output = new Tail(stdout, outputBytesMax);
    const errors = new Tail(stderr, errorBytesMax, hooks.onErrorText);
    const reader = new EventReader(hooks.onEvent);
    pipe.setEncoding('utf8');
    pipe.on('data', (text: string) => {
      reader.push(text);
    });
    // The other end vanishes with the process; its end is what counts.
    pipe.on('error', () => undefined);
    return new Promise((resolve) => {
      const finish = (exitCode: number | null, signal: NodeJS.Signals | null): void => {
        this.hasEnded = true;
        clearTimeout(this.killTimer);
        resolve({ exitCode, signal, report: parseReport(output.text), errorText: errors.text });
      };
      this.process.once('close', finish);
      this.process.once('error', () => {
        finish(null, null);
      });
    });
  }
}
