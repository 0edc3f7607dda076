/** A RAM block between two guards, for tests that must not change any of it. */
import { strict as assert } from 'node:assert';
import { createHash } from 'node:crypto';

import type { NativeMemory, NativeMirror } from '../../../src/native/addon.js';
import { loadAddon } from '../../../src/native/loader.js';
import { WATCHED } from './hostile.js';
import { PAGE_BYTES } from './records.js';

const guardPages = 16;

export class GuardedRam {
  readonly bytes: number;
  readonly memory: NativeMemory;
  readonly #hash: string;

  constructor(readonly pages: number) {
    this.bytes = pages * PAGE_BYTES;
    const all = (pages + 2 * guardPages) * PAGE_BYTES;
    this.memory = loadAddon().Memory.create({ name: 'guarded', bytes: all, hugePages: 'never' });
    this.memory.write(0, Buffer.alloc(all, WATCHED));
    this.#hash = this.#digest();
  }

  /** The block between the guards becomes block 0, at address 0. */
  mapInto(native: NativeMirror): void {
    const memoryOffset = guardPages * PAGE_BYTES;
    native.setBlock({ id: 0, memory: this.memory, memoryOffset, ramAddr: 0, bytes: this.bytes });
  }

  assertUntouched(): void {
    assert.equal(this.#digest(), this.#hash, 'RAM and the pages around it are as they were');
  }

  close(): void {
    this.memory.close();
  }

  #digest(): string {
    return createHash('sha256').update(this.memory.read(0, this.memory.bytes)).digest('hex');
  }
}

/** No 16 bytes of the memory, at any alignment. */
export function assertNothingOf(bytes: Uint8Array): void {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const repeated = Buffer.alloc(3 * WATCHED.length, WATCHED);
  for (let at = 0; at < WATCHED.length; at += 1) {
    assert.equal(buffer.includes(repeated.subarray(at, at + 16)), false);
  }
}
