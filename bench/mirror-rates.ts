/**
 * What: how fast one mirror seals and another opens, on warm memory, in this process: per engine,
 * vCPU count, codec and record size. Time is taken around the commands alone; what feeds them
 * (copies into slots, tokens, handshakes) is outside. Content: this process's own executable,
 * program text as a guest's RAM holds it.
 */
import { randomBytes } from 'node:crypto';
import { openSync, closeSync, readSync } from 'node:fs';

import type { RamBlock } from '../src/guest/contract.js';
import type { CodecName, EngineName, Mirror, Slot } from '../src/mirror/contract.js';
import { openMirror } from '../src/mirror/mirror.js';
import type { NativeMemory } from '../src/native/addon.js';
import { loadAddon } from '../src/native/loader.js';
import { EXPORTS_PER_VCPU } from '../src/session/limits.js';
import { EPOCH_FIRST } from '../src/wire/limits.js';
import { median } from './table.js';

const pageBytes = 4096;
const windowBytes = 32 * 1024 * 1024;
const context = Buffer.from('pageferry bench');

export interface MirrorCase {
  readonly vcpus: number;
  readonly codec: CodecName;
  readonly recordPages: number;
}

export interface MirrorRates extends MirrorCase {
  readonly engine: EngineName;
  /** Plain bytes of guest RAM per second. */
  readonly sealBytesPerSecond: number;
  readonly openBytesPerSecond: number;
  /** Plain bytes to one byte of record. */
  readonly ratio: number;
}

interface Stored {
  readonly bytes: Buffer;
  readonly plainBytes: number;
}

/** Two mirrors over memory of their own, which is warm after the first pass. */
class Bench {
  #epoch = EPOCH_FIRST;

  private constructor(
    readonly source: Mirror,
    readonly destination: Mirror,
    readonly ramBytes: number,
    private readonly memories: readonly NativeMemory[],
  ) {}

  static async open(engine: EngineName, vcpus: number, ramBytes: number): Promise<Bench> {
    const { Memory } = loadAddon();
    const memories = ['from', 'to'].map((name) =>
      Memory.create({ name, bytes: ramBytes, hugePages: 'auto' }),
    );
    const [from, to] = memories as [NativeMemory, NativeMemory];
    fillWithProgramText(from);
    await to.prefault();
    const options = { engine, vcpus, windowBytes, ramLimitBytes: ramBytes };
    const source = await openMirror(options);
    const destination = await openMirror(options);
    await source.setBlock(blockOf(from));
    await destination.setBlock(blockOf(to));
    const bench = new Bench(source, destination, ramBytes, memories);
    await bench.#shake();
    return bench;
  }

  /** One epoch over all of RAM; the seconds that sealing and opening took. */
  async pass({ codec, recordPages, vcpus }: MirrorCase): Promise<PassTimes> {
    const pages = this.ramBytes / pageBytes;
    const times = { sealSeconds: 0, openSeconds: 0, recordBytes: 0 };
    let next = 0;
    const takePages = (): number => {
      const first = next;
      next += recordPages;
      return first;
    };
    while (next < pages) {
      const stored: Stored[] = [];
      times.sealSeconds += await this.#sealBurst(stored, codec, recordPages, takePages, vcpus);
      times.openSeconds += await this.#openBurst(stored);
      for (const { bytes } of stored) times.recordBytes += bytes.byteLength;
    }
    await this.#nextEpoch();
    return times;
  }

  /** Fills every slot of the window with a record; gives the seconds. */
  async #sealBurst(
    stored: Stored[],
    codec: CodecName,
    recordPages: number,
    takePages: () => number,
    vcpus: number,
  ): Promise<number> {
    const { source, ramBytes } = this;
    const { PageSet } = loadAddon();
    const pages = ramBytes / pageBytes;
    const parameters = { epoch: this.#epoch, codec, level: 0, padBytes: 0 };
    const filled: { slot: Slot; bytes: number; plainBytes: number }[] = [];
    const seal = async (): Promise<void> => {
      for (;;) {
        const slot = source.slots.tryAcquire();
        if (slot === undefined) return;
        const first = takePages();
        const set = new PageSet(pages);
        if (first < pages) set.addRange(first, Math.min(recordPages, pages - first));
        const record = await source.exportPages(set, slot, parameters);
        if (record === undefined) {
          slot.release();
          return;
        }
        const plainBytes = (record.dataPages + record.zeroPages) * pageBytes;
        filled.push({ slot, bytes: record.bytes, plainBytes });
      }
    };
    const started = process.hrtime.bigint();
    await Promise.all(Array.from({ length: vcpus * EXPORTS_PER_VCPU }, seal));
    const seconds = Number(process.hrtime.bigint() - started) / 1e9;
    for (const { slot, bytes, plainBytes } of filled) {
      stored.push({ bytes: Buffer.from(slot.buffer.subarray(0, bytes)), plainBytes });
      slot.release();
    }
    return seconds;
  }

  async #openBurst(stored: readonly Stored[]): Promise<number> {
    const { destination } = this;
    const filled = await Promise.all(
      stored.map(async ({ bytes }) => {
        const slot = await destination.slots.acquire();
        slot.buffer.set(bytes);
        return { slot, bytes: bytes.byteLength };
      }),
    );
    const started = process.hrtime.bigint();
    const outcomes = await Promise.all(
      filled.map(({ slot, bytes }) => destination.importRecord(slot, bytes)),
    );
    const seconds = Number(process.hrtime.bigint() - started) / 1e9;
    for (const { slot } of filled) slot.release();
    if (outcomes.some(({ outcome }) => outcome !== 'imported')) {
      throw new Error('a record of this session was there before');
    }
    return seconds;
  }

  async #shake(): Promise<void> {
    const { source, destination } = this;
    const secret = randomBytes(32);
    await Promise.all([source.setSecret(secret), destination.setSecret(secret)]);
    const first = await source.handshakeInitiate(context);
    const second = await destination.handshakeRespond(context, first);
    await destination.handshakeConfirm(await source.handshakeFinish(second));
  }

  async #nextEpoch(): Promise<void> {
    const token = await this.source.makeToken(this.#epoch, false);
    const { outcome } = await this.destination.checkToken(token.bytes);
    if (outcome !== 'accepted') throw new Error(`the token of epoch ${this.#epoch}: ${outcome}`);
    this.#epoch += 1;
  }

  async close(): Promise<void> {
    await Promise.all([this.source.close(), this.destination.close()]);
    for (const memory of this.memories) memory.close();
  }
}

interface PassTimes {
  sealSeconds: number;
  openSeconds: number;
  recordBytes: number;
}

function blockOf(memory: NativeMemory): RamBlock {
  const { bytes } = memory;
  return { id: 0, name: 'ram', ramAddr: 0, bytes, memory, memoryOffset: 0, blank: false };
}

function fillWithProgramText(memory: NativeMemory): void {
  const file = openSync(process.execPath, 'r');
  try {
    const piece = Buffer.alloc(1024 * 1024);
    for (let offset = 0, at = 0; offset < memory.bytes; offset += piece.byteLength) {
      if (readSync(file, piece, 0, piece.byteLength, at) < piece.byteLength) at = 0;
      else at += piece.byteLength;
      memory.write(offset, piece.subarray(0, Math.min(piece.byteLength, memory.bytes - offset)));
    }
  } finally {
    closeSync(file);
  }
}

/** The engines' median rates, their passes in turn, so that both see the same machine. */
export async function measureMirrors(
  engines: readonly EngineName[],
  options: MirrorCase,
  ramBytes: number,
  runs: number,
): Promise<MirrorRates[]> {
  const benches: { engine: EngineName; bench: Bench; passes: PassTimes[] }[] = [];
  try {
    for (const engine of engines) {
      const bench = await Bench.open(engine, options.vcpus, ramBytes);
      benches.push({ engine, bench, passes: [] });
      await bench.pass(options);
    }
    for (let run = 0; run < runs; run += 1) {
      for (const { bench, passes } of benches) passes.push(await bench.pass(options));
    }
    return benches.map(({ engine, passes }) => {
      const rate = (seconds: (pass: PassTimes) => number): number =>
        ramBytes / median(passes.map(seconds));
      return {
        engine,
        ...options,
        sealBytesPerSecond: rate((pass) => pass.sealSeconds),
        openBytesPerSecond: rate((pass) => pass.openSeconds),
        ratio: ramBytes / (passes[0]?.recordBytes ?? Number.NaN),
      };
    });
  } finally {
    for (const { bench } of benches) await bench.close();
  }
}
