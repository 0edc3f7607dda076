/**
 * A mirror in JavaScript for tests of the session: the helper's rules on counters, epochs, tokens
 * and states, with authentic but unencrypted records. What seals for real is tested elsewhere.
 */
import { createHash, createHmac, randomBytes } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';

import { HelperError } from '../../../src/errors.js';
import type { RamBlock } from '../../../src/guest/contract.js';
import type {
  CheckedToken,
  ExportedRecord,
  ExportParameters,
  HelperInfo,
  ImportedRecord,
  MessageKind,
  Mirror,
  MirrorOptions,
  OpenedMessage,
  SealedMessage,
  Slot,
} from '../../../src/mirror/contract.js';
import * as abi from '../../../src/native/abi.generated.js';
import type { NativeMemory, NativePageSet } from '../../../src/native/addon.js';
import { EPOCH_FIRST } from '../../../src/wire/limits.js';
import { FakeMemory, FakePageSet, pageBytes } from './fake-guest.js';
import { TestSlots } from './test-slots.js';

const kinds = { control: 2, 'device-state': 3, lane: 5 } as const;

function refuse(status: number, detail = 0): HelperError {
  const name = abi.PF_STATUS_NAMES[status] ?? 'status';
  return new HelperError('ERR_PAGEFERRY_HELPER', name, { status, detail });
}

function asFake(pages: NativePageSet): FakePageSet {
  if (pages instanceof FakePageSet) return pages;
  throw new Error('a fake mirror takes fake page sets');
}

function bufferOf(memory: NativeMemory): Buffer {
  if (memory instanceof FakeMemory) return memory.buffer;
  throw new Error('a fake mirror takes fake memory');
}

export class FakeMirror implements Mirror {
  readonly info: HelperInfo;
  readonly slots: TestSlots;
  readonly died: Promise<Error>;
  sessionId = new Uint8Array(16);
  isClosed = false;
  die: (error: Error) => void = () => undefined;
  readonly #blocks = new Map<number, RamBlock>();
  #secret: Uint8Array | undefined;
  #transcript = Buffer.alloc(0);
  #key: Buffer | undefined;
  #direction = 0;
  #epoch = EPOCH_FIRST;
  #pagesOfEpoch = new Set<number>();
  readonly #counters = new Map<number, number>();
  readonly #seen = new Map<number, Set<number>>();
  #imported = 0;
  #exported = 0;

  constructor(options: MirrorOptions) {
    const { vcpus, ramLimitBytes } = options;
    const engine = options.engine === 'auto' ? 'in-process' : options.engine;
    this.info = { engine, vcpus, aes: 'none', ramLimitBytes };
    const slots = Math.max(2, Math.floor(options.windowBytes / (1 << 20)));
    this.slots = new TestSlots(slots, abi.PF_RECORD_BYTES_MAX);
    this.died = new Promise((resolve) => {
      this.die = resolve;
    });
  }

  setBlock(block: RamBlock): Promise<void> {
    this.#blocks.set(block.id, block);
    return Promise.resolve();
  }

  removeBlock(id: number): Promise<void> {
    this.#blocks.delete(id);
    return Promise.resolve();
  }

  setSecret(secret: Uint8Array): Promise<void> {
    if (this.#secret !== undefined) return Promise.reject(refuse(abi.PF_STATUS_STATE, 1));
    this.#secret = Uint8Array.from(secret);
    return Promise.resolve();
  }

  async handshakeInitiate(context: Uint8Array): Promise<Uint8Array> {
    await turn();
    const message = randomBytes(48);
    this.#transcript = Buffer.concat([context, message]);
    return message;
  }

  async handshakeRespond(context: Uint8Array, message: Uint8Array): Promise<Uint8Array> {
    await turn();
    if (message.length !== 48) throw refuse(abi.PF_STATUS_HANDSHAKE);
    this.#direction = 1;
    this.#transcript = Buffer.concat([context, message, randomBytes(32)]);
    return Buffer.concat([this.#transcript.subarray(-32), this.#mac('destination')]);
  }

  async handshakeFinish(message: Uint8Array): Promise<Uint8Array> {
    await turn();
    this.#transcript = Buffer.concat([this.#transcript, message.subarray(0, 32)]);
    if (Buffer.compare(message.subarray(32), this.#mac('destination')) !== 0) {
      throw refuse(abi.PF_STATUS_SECRET);
    }
    this.#establish();
    return this.#mac('source');
  }

  async handshakeConfirm(message: Uint8Array): Promise<void> {
    await turn();
    if (Buffer.compare(message, this.#mac('source')) !== 0) throw refuse(abi.PF_STATUS_SECRET);
    this.#establish();
  }

  async exportPages(
    pages: NativePageSet,
    slot: Slot,
    { epoch }: ExportParameters,
  ): Promise<ExportedRecord | undefined> {
    const taken = asFake(pages).take(abi.PF_RECORD_DATA_PAGES_MAX);
    if (taken.length === 0) return undefined;
    await turn();
    if (epoch !== this.#epoch) throw refuse(abi.PF_STATUS_EPOCH);
    const parts: Buffer[] = [];
    let dataPages = 0;
    for (const page of taken) {
      if (this.#pagesOfEpoch.has(page)) throw refuse(abi.PF_STATUS_PAGE_TWICE);
      this.#pagesOfEpoch.add(page);
      const content = this.#page(page);
      const isZero = content.every((byte) => byte === 0);
      const head = Buffer.alloc(5);
      head.writeUInt32LE(page);
      head.writeUInt8(isZero ? 1 : 0, 4);
      parts.push(head);
      if (!isZero) parts.push(content);
      if (!isZero) dataPages += 1;
    }
    this.#exported += 1;
    const { bytes, counter } = this.#seal(1, Buffer.concat(parts), epoch);
    slot.buffer.set(bytes);
    const zeroPages = taken.length - dataPages;
    return { stream: 0, counter, bytes: bytes.length, dataPages, zeroPages };
  }

  async importRecord(slot: Slot, bytes: number): Promise<ImportedRecord> {
    const record = Buffer.from(slot.buffer.subarray(0, bytes));
    await turn();
    const { counter, body } = this.#open(record, 1);
    const base = { stream: 0, counter, dataPages: 0, zeroPages: 0 };
    if (this.#isSeen(1, counter)) return { ...base, outcome: 'duplicate' };
    if (record.readUInt32LE(40) !== this.#epoch) throw refuse(abi.PF_STATUS_VIOLATION, 1);
    for (let at = 0; at < body.length;) {
      const page = body.readUInt32LE(at);
      if (this.#pagesOfEpoch.has(page)) throw refuse(abi.PF_STATUS_VIOLATION, 2);
      this.#pagesOfEpoch.add(page);
      const isZero = body.readUInt8(at + 4) === 1;
      at += 5;
      const target = this.#page(page);
      if (isZero) target.fill(0);
      else target.set(body.subarray(at, at + pageBytes));
      if (isZero) base.zeroPages += 1;
      else base.dataPages += 1;
      if (!isZero) at += pageBytes;
    }
    this.#imported += 1;
    return { ...base, outcome: 'imported' };
  }

  async sealMessage(kind: MessageKind, plain: Uint8Array): Promise<SealedMessage> {
    await Promise.resolve();
    return this.#seal(kinds[kind], plain, 0);
  }

  async openMessage(record: Uint8Array): Promise<OpenedMessage> {
    await turn();
    const kindNumber = record[5] ?? 0;
    const { counter, body } = this.#open(Buffer.from(record), kindNumber);
    const kind = (Object.keys(kinds) as MessageKind[]).find((name) => kinds[name] === kindNumber);
    if (kind === undefined) throw refuse(abi.PF_STATUS_RECORD, 4);
    if (kind === 'lane') {
      if (this.#isSeen(4, counter)) return { outcome: 'duplicate', counter };
      return { outcome: 'opened', kind, counter, bytes: body };
    }
    const expected = (this.#seen.get(2)?.size ?? 0) + 1;
    if (counter < expected) return { outcome: 'duplicate', counter };
    if (counter > expected) return { outcome: 'early', expected };
    this.#isSeen(2, counter);
    return { outcome: 'opened', kind, counter, bytes: body };
  }

  async makeToken(epoch: number, start: boolean): Promise<SealedMessage> {
    await turn();
    if (epoch !== this.#epoch) throw refuse(abi.PF_STATUS_EPOCH);
    const body = Buffer.alloc(9);
    body.writeUInt32LE(this.#exported);
    body.writeUInt32LE(epoch, 4);
    body.writeUInt8(start ? 1 : 0, 8);
    this.#nextEpoch();
    return this.#seal(4, body, epoch);
  }

  async checkToken(record: Uint8Array): Promise<CheckedToken> {
    await turn();
    const { counter, body } = this.#open(Buffer.from(record), 4);
    if (this.#seen.get(3)?.has(counter)) return { outcome: 'duplicate' };
    const missing = body.readUInt32LE(0) - this.#imported;
    if (missing > 0) return { outcome: 'early', missing };
    const epoch = body.readUInt32LE(4);
    if (epoch !== this.#epoch) throw refuse(abi.PF_STATUS_VIOLATION, 7);
    this.#isSeen(3, counter);
    this.#nextEpoch();
    return { outcome: 'accepted', epoch, start: body.readUInt8(8) === 1 };
  }

  measureDigest(): Promise<number> {
    return Promise.resolve(1);
  }

  async digest(blocks: readonly RamBlock[]): Promise<Uint8Array> {
    await turn();
    const hash = createHash('sha256').update(this.#key ?? '');
    for (const { memory } of blocks) hash.update(bufferOf(memory));
    return hash.digest();
  }

  reset(): Promise<void> {
    this.#secret = undefined;
    this.#key = undefined;
    this.#direction = 0;
    this.#counters.clear();
    this.#seen.clear();
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.isClosed = true;
    return Promise.resolve();
  }

  #nextEpoch(): void {
    this.#epoch += 1;
    this.#pagesOfEpoch = new Set();
  }

  #page(page: number): Buffer {
    for (const { ramAddr, bytes, memory } of this.#blocks.values()) {
      const at = page * pageBytes - ramAddr;
      if (at >= 0 && at < bytes) return bufferOf(memory).subarray(at, at + pageBytes);
    }
    throw refuse(abi.PF_STATUS_BLOCK);
  }

  #mac(label: string): Buffer {
    return createHmac('sha256', this.#secret ?? '')
      .update(label)
      .update(this.#transcript)
      .digest();
  }

  #establish(): void {
    this.#key = this.#mac('key');
    this.sessionId = new Uint8Array(this.#mac('session').subarray(0, 16));
  }

  #tag(record: Buffer): Buffer {
    if (this.#key === undefined) throw refuse(abi.PF_STATUS_STATE, 0);
    return createHmac('sha256', this.#key).update(record).digest().subarray(0, 16);
  }

  #seal(kind: number, body: Uint8Array, epoch: number): SealedMessage {
    if (this.isClosed) throw new Error('the mirror is closed');
    const classNumber = kind === 3 ? 2 : kind;
    const counter = (this.#counters.get(classNumber) ?? 0) + 1;
    this.#counters.set(classNumber, counter);
    const header = Buffer.alloc(abi.PF_RECORD_HEADER_BYTES);
    header.write('PFR1', 'latin1');
    header.writeUInt8(1, 4);
    header.writeUInt8(kind, 5);
    header.writeUInt8(this.#direction, 6);
    header.set(this.sessionId, 8);
    header.writeUInt32LE(counter, 32);
    header.writeUInt32LE(epoch, 40);
    const front = Buffer.concat([header, body]);
    return { counter, bytes: Buffer.concat([front, this.#tag(front)]) };
  }

  #open(record: Buffer, kind: number): { counter: number; body: Buffer } {
    if (this.isClosed) throw new Error('the mirror is closed');
    const front = record.subarray(0, -16);
    if (record[5] !== kind) throw refuse(abi.PF_STATUS_RECORD, 4);
    if (record[6] === this.#direction) throw refuse(abi.PF_STATUS_SESSION, 5);
    if (Buffer.compare(this.#tag(front), record.subarray(-16)) !== 0) {
      throw refuse(abi.PF_STATUS_TAG);
    }
    return { counter: record.readUInt32LE(32), body: front.subarray(80) };
  }

  /** Marks a counter; true when it was marked before. */
  #isSeen(classNumber: number, counter: number): boolean {
    const seen = this.#seen.get(classNumber) ?? new Set<number>();
    this.#seen.set(classNumber, seen);
    const known = seen.has(counter);
    seen.add(counter);
    return known;
  }
}
