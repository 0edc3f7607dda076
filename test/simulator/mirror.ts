/**
 * A simulated mirror: the helper's rules on states, counters, epochs, tokens and pages, as
 * docs/record-format.md has them, and the time that its vCPUs take. It tells a watcher what it
 * does, and can be given a fault of its own.
 */
import { HelperError, MirrorError } from '../../src/errors.js';
import type { RamBlock } from '../../src/guest/contract.js';
import type * as contract from '../../src/mirror/contract.js';
import * as abi from '../../src/native/abi.generated.js';
import type { NativePageSet } from '../../src/native/addon.js';
import type { Random } from '../support/random.js';
import { FakePageSet } from '../support/session/fake-guest.js';
import { TestSlots } from '../support/session/test-slots.js';
import { MirrorBook, refuse } from './book.js';
import type { MirrorFault } from './book.js';
import { SimMemory } from './guest.js';
import { checksum, isAuthentic, readRecord, sealRecord } from './seal.js';
import type { SealedFields } from './seal.js';
import type { VirtualTime } from './time.js';

const kinds = {
  control: abi.PF_KIND_CONTROL,
  'device-state': abi.PF_KIND_DEVICE_STATE,
  lane: abi.PF_KIND_LANE,
} as const;

function asSimulated(pages: NativePageSet): FakePageSet {
  if (pages instanceof FakePageSet) return pages;
  throw new Error('a simulated mirror takes simulated page sets');
}

function memoryOf({ memory }: RamBlock): SimMemory {
  if (memory instanceof SimMemory) return memory;
  throw new Error('a simulated mirror takes simulated memory');
}

const noSession = new Uint8Array(16);

/** What a watcher is told; it throws where a rule is broken. */
export interface MirrorWatch {
  exported(epoch: number, stream: number, counter: number): void;
  imported(epoch: number, stream: number, counter: number, pages: readonly number[]): void;
  tokenAccepted(epoch: number, start: boolean): void;
  /** Between two honest sides there is none. */
  violation(error: HelperError): void;
}

export interface SimMirrorOptions {
  readonly vcpus: number;
  readonly slots: number;
  /** Longest that one command takes. */
  readonly slowMs: number;
  readonly recordPages: number;
  readonly fault?: MirrorFault | undefined;
}

export class SimMirror implements contract.Mirror {
  readonly info: contract.HelperInfo;
  readonly slots: TestSlots;
  readonly died: Promise<Error>;
  sessionId: Uint8Array = noSession;
  #tellDied: (error: Error) => void = () => undefined;
  #death: Error | undefined;
  #isClosed = false;
  #secret: number | undefined;
  #transcript = 0;
  #key: number | undefined;
  #direction = 0;
  #nextVcpu = 0;
  readonly #book: MirrorBook;
  /** Until when each vCPU has something to do. */
  readonly #busyUntilMs: number[];
  readonly #blocks = new Map<number, RamBlock>();

  constructor(
    private readonly options: SimMirrorOptions,
    private readonly time: VirtualTime,
    private readonly random: Random,
    private readonly watch: MirrorWatch,
  ) {
    const { vcpus, slots, recordPages } = options;
    this.info = { engine: 'in-process', vcpus, aes: 'none', ramLimitBytes: 2 ** 40 };
    const frameBytes = abi.PF_RECORD_HEADER_BYTES + abi.PF_RECORD_TAG_BYTES;
    this.slots = new TestSlots(slots, frameBytes + recordPages * 8);
    this.#busyUntilMs = Array.from({ length: vcpus }, () => 0);
    this.#book = new MirrorBook(options.fault);
    this.died = new Promise((resolve) => {
      this.#tellDied = resolve;
    });
  }

  /** It breaks on its own. */
  die(): void {
    const error = new MirrorError('ERR_PAGEFERRY_MIRROR', 'the simulated mirror died', { vcpu: 0 });
    this.#death = error;
    this.#tellDied(error);
  }

  /** Messages that were sealed, and that were opened in their turn. */
  get messages(): { readonly sealed: number; readonly opened: number } {
    return this.#book.messages;
  }

  async setBlock(block: RamBlock): Promise<void> {
    await this.#work(0);
    this.#blocks.set(block.id, block);
  }

  async removeBlock(id: number): Promise<void> {
    await this.#work(0);
    this.#blocks.delete(id);
  }

  async setSecret(secret: Uint8Array): Promise<void> {
    await this.#work(0);
    if (this.#secret !== undefined) throw refuse(abi.PF_STATUS_STATE);
    this.#secret = checksum(1, secret);
  }

  async handshakeInitiate(context: Uint8Array): Promise<Uint8Array> {
    await this.#work(0);
    const message = this.random.bytes(16);
    this.#transcript = checksum(checksum(2, context), message);
    return message;
  }

  async handshakeRespond(context: Uint8Array, message: Uint8Array): Promise<Uint8Array> {
    await this.#work(0);
    if (message.length !== 16) throw refuse(abi.PF_STATUS_HANDSHAKE);
    this.#direction = abi.PF_DIRECTION_TO_SOURCE;
    const own = this.random.bytes(16);
    this.#transcript = checksum(checksum(checksum(2, context), message), own);
    return Buffer.concat([own, this.#mac('destination')]);
  }

  async handshakeFinish(message: Uint8Array): Promise<Uint8Array> {
    await this.#work(0);
    if (message.length !== 32) throw refuse(abi.PF_STATUS_HANDSHAKE);
    this.#transcript = checksum(this.#transcript, message.subarray(0, 16));
    this.#demandMac(message.subarray(16), 'destination');
    this.#direction = abi.PF_DIRECTION_TO_DESTINATION;
    this.#establish();
    return this.#mac('source');
  }

  async handshakeConfirm(message: Uint8Array): Promise<void> {
    await this.#work(0);
    this.#demandMac(message, 'source');
    this.#establish();
  }

  async exportPages(
    pages: NativePageSet,
    slot: contract.Slot,
    { epoch, dataPagesMax }: contract.ExportParameters,
  ): Promise<contract.ExportedRecord | undefined> {
    const most = Math.min(dataPagesMax ?? Infinity, this.options.recordPages);
    const taken = asSimulated(pages).take(most);
    if (taken.length === 0) return undefined;
    const stream = this.#nextVcpu;
    this.#nextVcpu = (this.#nextVcpu + 1) % this.options.vcpus;
    await this.#work(stream);
    this.#book.exportPages(epoch, taken);
    const body = Buffer.alloc(taken.length * 8);
    let zeroPages = 0;
    for (const [index, page] of taken.entries()) {
      const word = this.#read(page);
      if (word === 0) zeroPages += 1;
      body.writeUInt32LE(page, index * 8);
      body.writeUInt32LE(word, index * 8 + 4);
    }
    const { counter, bytes } = this.#seal(abi.PF_KIND_PAGES, stream, epoch, body);
    slot.buffer.set(bytes);
    this.watch.exported(epoch, stream, counter);
    const dataPages = taken.length - zeroPages;
    return { stream, counter, bytes: bytes.length, dataPages, zeroPages };
  }

  async importRecord(slot: contract.Slot, bytes: number): Promise<contract.ImportedRecord> {
    const copy = Buffer.from(slot.buffer.subarray(0, bytes));
    await this.#work(this.random.below(this.options.vcpus));
    const { stream, counter, epoch, body } = this.#open(copy, abi.PF_KIND_PAGES);
    const record = { stream, counter, dataPages: 0, zeroPages: 0 };
    if (this.#book.isDuplicate(stream, counter)) return { ...record, outcome: 'duplicate' };
    const words = new Uint32Array(Uint8Array.from(body).buffer);
    const pages = [...words].filter((_, index) => index % 2 === 0);
    this.#lawful(() => {
      this.#book.importPages(epoch, stream, counter, pages);
    });
    this.watch.imported(epoch, stream, counter, pages);
    for (const [index, page] of pages.entries()) {
      const word = words[index * 2 + 1] ?? 0;
      this.#write(page, word);
      if (word === 0) record.zeroPages += 1;
      else record.dataPages += 1;
    }
    return { ...record, outcome: 'imported' };
  }

  async sealMessage(
    kind: contract.MessageKind,
    plain: Uint8Array,
  ): Promise<contract.SealedMessage> {
    await this.#work(0);
    return this.#seal(kinds[kind], 0, 0, plain);
  }

  async openMessage(record: Uint8Array): Promise<contract.OpenedMessage> {
    const copy = Buffer.from(record);
    await this.#work(0);
    const fields = this.#open(copy);
    const { counter, body: bytes } = fields;
    const kind = (Object.keys(kinds) as contract.MessageKind[]).find(
      (name) => kinds[name] === fields.kind,
    );
    if (kind === undefined) throw refuse(abi.PF_STATUS_RECORD);
    const verdict = this.#book.openMessage(kind === 'lane', counter);
    if (verdict === 'duplicate') return { outcome: 'duplicate', counter };
    if (verdict === 'early') {
      return { outcome: 'early', expected: this.#book.messages.opened + 1 };
    }
    return { outcome: 'opened', kind, counter, bytes };
  }

  async makeToken(epoch: number, start: boolean): Promise<contract.SealedMessage> {
    await this.#work(0);
    const body = this.#book.makeToken(epoch, start, this.options.vcpus);
    return this.#seal(abi.PF_KIND_TOKEN, 0, epoch, body);
  }

  async checkToken(record: Uint8Array): Promise<contract.CheckedToken> {
    const copy = Buffer.from(record);
    await this.#work(0);
    const { counter, epoch, body } = this.#open(copy, abi.PF_KIND_TOKEN);
    const checked = this.#lawful(() =>
      this.#book.checkToken(counter, epoch, Buffer.from(body), this.#pageCount()),
    );
    if (checked.outcome === 'accepted') this.watch.tokenAccepted(checked.epoch, checked.start);
    return checked;
  }

  async measureDigest(): Promise<number> {
    await this.#work(0);
    return 0.01;
  }

  async digest(blocks: readonly RamBlock[]): Promise<Uint8Array> {
    await this.#work(0);
    const digest = Buffer.alloc(32);
    for (const [index, block] of blocks.entries()) {
      const first = block.ramAddr / abi.PF_PAGE_BYTES;
      const { words } = memoryOf(block);
      let sum = (this.#key ?? 0) + index;
      for (let page = 0; page < block.bytes / abi.PF_PAGE_BYTES; page += 1) {
        sum = Math.imul(sum ^ (words[first + page] ?? 0), 0x01000193);
      }
      digest.writeInt32LE(sum ^ digest.readInt32LE((index % 8) * 4), (index % 8) * 4);
    }
    return digest;
  }

  async reset(): Promise<void> {
    await this.#work(0);
    this.#secret = undefined;
    this.#key = undefined;
    this.#direction = 0;
    this.sessionId = noSession;
    this.#book.clear();
  }

  close(): Promise<void> {
    this.#isClosed = true;
    return Promise.resolve();
  }

  /** A command on one vCPU; they take their turns. Rejects when the mirror is there no more. */
  async #work(vcpu: number): Promise<void> {
    this.#demandOpen();
    const { slowMs } = this.options;
    if (slowMs > 0) {
      const tookMs = (this.random.below(16) / 16) * slowMs;
      const untilMs = Math.max(this.#busyUntilMs[vcpu] ?? 0, this.time.now()) + tookMs;
      this.#busyUntilMs[vcpu] = untilMs;
      await this.time.sleep(untilMs - this.time.now());
    }
    if (this.#death !== undefined) throw this.#death;
    this.#demandOpen();
  }

  #demandOpen(): void {
    if (this.#isClosed) throw new Error('the simulated mirror is closed');
  }

  #lawful<Value>(step: () => Value): Value {
    try {
      return step();
    } catch (error) {
      if (error instanceof HelperError && error.status === abi.PF_STATUS_VIOLATION) {
        this.watch.violation(error);
      }
      throw error;
    }
  }

  #mac(label: string): Buffer {
    if (this.#secret === undefined) throw refuse(abi.PF_STATUS_STATE);
    const sum = checksum(this.#transcript ^ this.#secret, Buffer.from(label));
    const mac = Buffer.alloc(16);
    for (let word = 0; word < 4; word += 1) mac.writeUInt32LE((sum ^ word) >>> 0, word * 4);
    return mac;
  }

  #demandMac(mac: Uint8Array, label: string): void {
    if (Buffer.compare(mac, this.#mac(label)) !== 0) throw refuse(abi.PF_STATUS_SECRET);
  }

  #establish(): void {
    this.#key = this.#mac('key').readUInt32LE();
    this.sessionId = Uint8Array.from(this.#mac('session'));
  }

  #seal(kind: number, stream: number, epoch: number, body: Uint8Array): contract.SealedMessage {
    if (this.#key === undefined) throw refuse(abi.PF_STATUS_STATE);
    const counter = this.#book.nextCounter(kind, stream);
    const fields = { kind, direction: this.#direction, session: this.sessionId };
    return { counter, bytes: sealRecord({ ...fields, stream, counter, epoch, body }, this.#key) };
  }

  /** The record's fields, which are authentic then. */
  #open(record: Buffer, kind?: number): SealedFields {
    if (this.#key === undefined) throw refuse(abi.PF_STATUS_STATE);
    const fields = readRecord(record);
    if (kind !== undefined && fields.kind !== kind) throw refuse(abi.PF_STATUS_RECORD);
    if (fields.direction === this.#direction) throw refuse(abi.PF_STATUS_SESSION);
    if (Buffer.compare(fields.session, this.sessionId) !== 0) throw refuse(abi.PF_STATUS_SESSION);
    if (!isAuthentic(record, this.#key)) throw refuse(abi.PF_STATUS_TAG);
    return fields;
  }

  #pageCount(): number {
    let pages = 0;
    for (const { bytes } of this.#blocks.values()) pages += bytes / abi.PF_PAGE_BYTES;
    return pages;
  }

  #memoryOf(page: number): SimMemory {
    for (const block of this.#blocks.values()) {
      const at = page * abi.PF_PAGE_BYTES - block.ramAddr;
      if (at >= 0 && at < block.bytes) return memoryOf(block);
    }
    throw refuse(abi.PF_STATUS_BLOCK);
  }

  #read(page: number): number {
    return this.#memoryOf(page).words[page] ?? 0;
  }

  #write(page: number, word: number): void {
    const memory = this.#memoryOf(page);
    if (memory.isFreed) throw new Error(`page ${page} was written after its memory was freed`);
    memory.words[page] = word;
  }
}
