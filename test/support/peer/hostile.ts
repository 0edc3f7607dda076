/**
 * What: a native thread that changes the window, and looks into it, while a mirror works. Built
 * here from test/native/hostile.c, with the headers the addon was built with.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { projectRoot } from '../project.js';

/** Eight bytes that stand nowhere but in a test's guest memory. */
export const WATCHED = Buffer.from('pf-mark!');

interface HostileThread {
  start(
    buffer: ArrayBuffer,
    flipOffset: number,
    flipBytes: number,
    watchOffset: number,
    watchBytes: number,
    marker: Buffer,
    seed: number,
  ): void;
  stop(): [flips: number, looks: number, sightings: number];
}

export interface Part {
  readonly offset: number;
  readonly bytes: number;
}

export interface Deeds {
  readonly flips: number;
  readonly looks: number;
  /** How often 16 bytes of WATCHED in a row were seen. */
  readonly sightings: number;
}

const nothing: Part = { offset: 0, bytes: 0 };

/** node-gyp notes where it took node_api.h from. */
function nodeInclude(): string {
  const text = readFileSync(join(projectRoot, 'native/build/config.gypi'), 'utf8');
  const config = JSON.parse(text.replace(/^#.*$/gm, '')) as { variables: { nodedir: string } };
  return join(config.variables.nodedir, 'include', 'node');
}

export class Hostile {
  private constructor(private readonly thread: HostileThread) {}

  static async load(): Promise<Hostile> {
    const out = mkdtempSync(join(tmpdir(), 'pageferry-hostile-'));
    try {
      const file = join(out, 'hostile.node');
      const parameters = [`OUT=${out}`, `NODE_INCLUDE=${nodeInclude()}`, file];
      await promisify(execFile)('make', ['-C', join(projectRoot, 'test/native'), ...parameters]);
      return new Hostile(createRequire(import.meta.url)(file) as HostileThread);
    } finally {
      rmSync(out, { recursive: true });
    }
  }

  /** Runs `work` with the thread at it. The window must not be detached meanwhile. */
  async during<Value>(
    window: ArrayBuffer,
    parts: { readonly flip?: Part; readonly watch?: Part; readonly seed: number },
    work: () => Value | Promise<Value>,
  ): Promise<{ value: Value; deeds: Deeds }> {
    const { flip = nothing, watch = nothing, seed } = parts;
    const { thread } = this;
    thread.start(window, flip.offset, flip.bytes, watch.offset, watch.bytes, WATCHED, seed);
    let value: Value;
    let counts: ReturnType<HostileThread['stop']> | undefined;
    try {
      value = await work();
    } finally {
      counts = thread.stop();
    }
    const [flips, looks, sightings] = counts;
    return { value, deeds: { flips, looks, sightings } };
  }
}
