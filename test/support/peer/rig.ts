/**
 * What: a real mirror with RAM of its own on one end of a session, and the independent peer on the
 * other: what tests hold the helper against. RAM is full of a pattern, so that any write shows.
 */
import { strict as assert } from 'node:assert';
import { createHash, randomBytes } from 'node:crypto';

import type { RamBlock } from '../../../src/guest/contract.js';
import type { EngineName, Mirror } from '../../../src/mirror/contract.js';
import { openMirror } from '../../../src/mirror/mirror.js';
import type { NativeMemory } from '../../../src/native/addon.js';
import { loadAddon } from '../../../src/native/loader.js';
import { Forge } from './forge.js';
import { PeerHandshake, TO_DESTINATION, TO_SOURCE } from './keys.js';
import { PAGE_BYTES, type Block } from './records.js';

/** What a rig's mirror was opened with: where things lie in its window follows from it. */
export const RIG_WINDOW_BYTES = 4 * 1024 * 1024;
export const context = Buffer.from('a peer of its own');

export interface RigOptions {
  readonly engine: EngineName;
  /** The mirror's part in the session. */
  readonly role: 'source' | 'destination';
  /** Pages of each RAM block; the blocks lie end to end. */
  readonly blockPages?: readonly number[];
  readonly vcpus?: number;
  /** Streams that the peer seals with. */
  readonly streams?: number;
}

export class Rig {
  peer!: PeerHandshake;
  /** Seals what the peer would seal for the mirror. */
  forge!: Forge;
  readonly blocks: RamBlock[];
  readonly ramBytes: number;

  private constructor(
    private readonly options: RigOptions,
    readonly mirror: Mirror,
    readonly memory: NativeMemory,
    blockPages: readonly number[],
  ) {
    let ramAddr = 0;
    this.blocks = blockPages.map((pages, id) => {
      const bytes = pages * PAGE_BYTES;
      const place = { ramAddr, memoryOffset: ramAddr };
      ramAddr += bytes;
      return { id, name: `ram${id}`, bytes, memory, blank: false, ...place };
    });
    this.ramBytes = ramAddr;
  }

  static async open(options: RigOptions): Promise<Rig> {
    const { engine, blockPages = [64], vcpus = 1 } = options;
    const bytes = blockPages.reduce((sum, pages) => sum + pages, 0) * PAGE_BYTES;
    const windowBytes = RIG_WINDOW_BYTES;
    const mirror = await openMirror({ engine, vcpus, windowBytes, ramLimitBytes: bytes });
    const memory = loadAddon().Memory.create({ name: 'rig', bytes, hugePages: 'never' });
    const rig = new Rig(options, mirror, memory, blockPages);
    rig.spoilRam();
    await rig.establish();
    return rig;
  }

  /** A session with a new peer, blocks and secret on a fresh helper. */
  async establish(): Promise<void> {
    const secret = randomBytes(32);
    const { mirror } = this;
    await mirror.setSecret(Buffer.from(secret));
    for (const block of this.blocks) await mirror.setBlock(block);
    const peer = new PeerHandshake(secret, context, this.options.streams ?? 1);
    if (this.options.role === 'source') {
      const second = peer.respond(Buffer.from(await mirror.handshakeInitiate(context)));
      peer.confirm(Buffer.from(await mirror.handshakeFinish(second)));
    } else {
      const second = await mirror.handshakeRespond(context, peer.initiate());
      await mirror.handshakeConfirm(peer.finish(Buffer.from(second)));
    }
    this.peer = peer;
    this.forge = new Forge(peer, this.options.role === 'source' ? TO_SOURCE : TO_DESTINATION);
  }

  /** Another session with the same mirror, as a listening host would begin it. */
  async renew(): Promise<void> {
    await this.mirror.reset();
    await this.establish();
  }

  get layout(): readonly Block[] {
    return this.blocks.map(({ id, ramAddr, bytes }) => ({ id, ramAddr, bytes }));
  }

  /** Every page other than zero, and other than its neighbours. */
  spoilRam(): void {
    const ram = Buffer.alloc(this.ramBytes, 'what was here before ');
    for (let at = 0; at < ram.length; at += PAGE_BYTES) ram.writeUInt32LE(at / PAGE_BYTES + 1, at);
    this.memory.write(0, ram);
  }

  page(index: number): Buffer {
    return this.memory.read(index * PAGE_BYTES, PAGE_BYTES);
  }

  ramHash(): string {
    return createHash('sha256').update(this.memory.read(0, this.ramBytes)).digest('hex');
  }

  async offer(record: Uint8Array): Promise<'imported' | 'duplicate'> {
    const slot = await this.mirror.slots.acquire();
    try {
      slot.buffer.set(record);
      return (await this.mirror.importRecord(slot, record.length)).outcome;
    } finally {
      slot.release();
    }
  }

  async close(): Promise<void> {
    await this.mirror.close();
    this.memory.close();
  }
}

/** What a refusal has to be: the error's code and, where the ABI has one, its detail. */
export interface Refusal {
  readonly code: string;
  readonly detail?: number;
}

export async function assertRefused(
  attempt: Promise<unknown>,
  refusal: Refusal,
  what: string,
): Promise<void> {
  const outcome = await attempt.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  if (!('error' in outcome)) {
    assert.fail(`${what}: not refused but ${JSON.stringify(outcome.value)}`);
  }
  const { error } = outcome;
  assert.ok(error instanceof Error, what);
  const { code, detail } = error as { code?: unknown; detail?: unknown };
  const wanted = refusal.detail === undefined ? undefined : detail;
  assert.deepEqual(
    { code, detail: wanted },
    { code: refusal.code, detail: refusal.detail },
    `${what}: ${error.message}`,
  );
}
