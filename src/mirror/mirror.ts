/** What: the Mirror of contract.ts over the commander and the addon. */
import { StateError } from '../errors.js';
import type { RamBlock } from '../guest/contract.js';
import { RECORD_DATA_PAGES_MAX, RECORD_RUNS_MAX } from '../limits.js';
import * as abi from '../native/abi.generated.js';
import type { NativeAddon, NativePageSet } from '../native/addon.js';
import { loadAddon } from '../native/loader.js';
import { BlockTable } from './block-table.js';
import { accept, type Commander, valueOf } from './commander.js';
import type * as contract from './contract.js';
import { digestOf, measureDigest } from './digest.js';
import { Gate } from './gate.js';
import { checkToken, makeToken, openMessage, sealMessage } from './messages.js';
import { hello, startMirror, type StartedMirror } from './open.js';
import { statusError } from './status.js';

const codecs = {
  none: abi.PF_CODEC_NONE,
  lz4: abi.PF_CODEC_LZ4,
  zstd: abi.PF_CODEC_ZSTD,
} as const;
const runBytes = 8;
/** Where the level lies in EXPORT's second argument. */
const levelFactor = 256;

/** Opens a mirror; the helper has answered when it resolves. */
export async function openMirror(options: contract.MirrorOptions): Promise<contract.Mirror> {
  const addon = loadAddon();
  return new HelperMirror(addon, await startMirror(addon, options));
}

class HelperMirror implements contract.Mirror {
  readonly info: contract.HelperInfo;
  readonly slots: contract.SlotPool;
  readonly died: Promise<Error>;
  readonly #commander: Commander;
  readonly #blocks: BlockTable;
  readonly #digests = new Gate();
  #sessionId: Uint8Array | undefined;
  #closing: Promise<void> | undefined;

  constructor(
    private readonly addon: NativeAddon,
    private readonly started: StartedMirror,
  ) {
    this.info = started.info;
    this.slots = started.slots;
    this.#commander = started.commander;
    this.died = started.commander.died;
    this.#blocks = new BlockTable(started.native, started.commander);
  }

  get sessionId(): Uint8Array {
    if (this.#sessionId !== undefined) return this.#sessionId;
    const message = 'there is no session before the handshake';
    throw new StateError('ERR_PAGEFERRY_NO_SESSION', message, { state: 'no session' });
  }

  setBlock(block: RamBlock): Promise<void> {
    return this.#blocks.set(block);
  }

  removeBlock(id: number): Promise<void> {
    return this.#blocks.remove(id);
  }

  async setSecret(secret: Uint8Array): Promise<void> {
    const command = abi.PF_COMMAND_SECRET_SET;
    await this.#commander.message({ command, input: [secret], isAlone: true, isSecret: true });
  }

  handshakeInitiate(context: Uint8Array): Promise<Uint8Array> {
    return this.#handshake(abi.PF_HANDSHAKE_INITIATE, context, undefined);
  }

  handshakeRespond(context: Uint8Array, message: Uint8Array): Promise<Uint8Array> {
    return this.#handshake(abi.PF_HANDSHAKE_RESPOND, context, message);
  }

  async handshakeFinish(message: Uint8Array): Promise<Uint8Array> {
    const answer = await this.#handshake(abi.PF_HANDSHAKE_FINISH, new Uint8Array(), message);
    this.#sessionId = (await hello(this.#commander)).session;
    return answer;
  }

  async handshakeConfirm(message: Uint8Array): Promise<void> {
    await this.#handshake(abi.PF_HANDSHAKE_CONFIRM, new Uint8Array(), message);
    this.#sessionId = (await hello(this.#commander)).session;
  }

  async exportPages(
    pages: NativePageSet,
    slot: contract.Slot,
    parameters: contract.ExportParameters,
  ): Promise<contract.ExportedRecord | undefined> {
    const { epoch, codec, level, padBytes } = parameters;
    const dataPagesMax = Math.min(
      parameters.dataPagesMax ?? RECORD_DATA_PAGES_MAX,
      RECORD_DATA_PAGES_MAX,
    );
    const output = this.#partOf(slot, slot.buffer.byteLength);
    const args = [epoch, codecs[codec] + level * levelFactor, padBytes];
    const reply = await this.#commander.work((offset) => {
      const { window } = this.started.native;
      const runs = pages.fill(window, offset, dataPagesMax, RECORD_RUNS_MAX);
      if (runs === 0) return undefined;
      const input = { offset, bytes: runs * runBytes };
      return { command: abi.PF_COMMAND_EXPORT, args, input, output };
    });
    if (reply === undefined) return undefined;
    accept(reply);
    const bytes = valueOf(reply, 0);
    if (bytes !== reply.written || bytes < abi.PF_RECORD_HEADER_BYTES)
      throw this.#commander.broken(`a record of ${bytes} bytes`);
    const header = new DataView(slot.buffer.buffer, slot.buffer.byteOffset, bytes);
    return {
      stream: header.getUint32(abi.OFFSET_pf_record_header_stream, true),
      counter: valueOf(reply, 1),
      bytes,
      dataPages: valueOf(reply, 2),
      zeroPages: valueOf(reply, 3),
    };
  }

  async importRecord(slot: contract.Slot, bytes: number): Promise<contract.ImportedRecord> {
    if (bytes === 0 || bytes > slot.buffer.byteLength) {
      throw statusError(abi.PF_STATUS_RECORD, abi.PF_FIELD_BYTES, bytes);
    }
    const input = this.#partOf(slot, bytes);
    const reply = await this.#commander.work(() => ({ command: abi.PF_COMMAND_IMPORT, input }));
    if (reply === undefined) throw new Error('an import is always built');
    accept(reply, [abi.PF_STATUS_DUPLICATE]);
    return {
      outcome: reply.status === abi.PF_STATUS_DUPLICATE ? 'duplicate' : 'imported',
      counter: valueOf(reply, 0),
      dataPages: valueOf(reply, 1),
      zeroPages: valueOf(reply, 2),
      stream: valueOf(reply, 3),
    };
  }

  sealMessage(kind: contract.MessageKind, plain: Uint8Array): Promise<contract.SealedMessage> {
    return sealMessage(this.#commander, kind, plain);
  }

  openMessage(record: Uint8Array): Promise<contract.OpenedMessage> {
    return openMessage(this.#commander, record);
  }

  makeToken(epoch: number, start: boolean): Promise<contract.SealedMessage> {
    return makeToken(this.#commander, epoch, start);
  }

  checkToken(record: Uint8Array): Promise<contract.CheckedToken> {
    return checkToken(this.#commander, record);
  }

  digest(blocks: readonly RamBlock[]): Promise<Uint8Array> {
    const { window } = this.started.native;
    return this.#digests.alone(() => digestOf(this.addon, this.#commander, window, blocks));
  }

  measureDigest(blocks: readonly RamBlock[]): Promise<number> {
    const { window } = this.started.native;
    return this.#digests.alone(() => measureDigest(this.addon, this.#commander, window, blocks));
  }

  async reset(): Promise<void> {
    await this.#blocks.reset();
    this.#sessionId = undefined;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const message = 'the mirror has been closed';
    const details = { state: 'closed' };
    this.#commander.end(new StateError('ERR_PAGEFERRY_MIRROR_CLOSED', message, details));
    await this.started.native.close();
  }

  async #handshake(
    step: number,
    context: Uint8Array,
    message: Uint8Array | undefined,
  ): Promise<Uint8Array> {
    if (message?.byteLength === 0) throw statusError(abi.PF_STATUS_HANDSHAKE, 0);
    const { output } = await this.#commander.message({
      command: abi.PF_COMMAND_HANDSHAKE,
      args: [step, context.byteLength],
      input: message === undefined ? [context] : [context, message],
      hasOutput: step !== abi.PF_HANDSHAKE_CONFIRM,
      isAlone: true,
    });
    return output;
  }

  /** The front of a slot as a part of the window. */
  #partOf(slot: contract.Slot, bytes: number): { offset: number; bytes: number } {
    const { buffer } = slot;
    if (buffer.buffer === this.started.native.window) return { offset: buffer.byteOffset, bytes };
    const message = `slot ${slot.index} belongs to another mirror, or its mirror is closed`;
    throw new StateError('ERR_PAGEFERRY_SLOT_FOREIGN', message, { state: 'foreign' });
  }
}
