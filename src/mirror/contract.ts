/**
 * What: the mirror VM as the session sees it: the helper's commands as promises, and the record
 * slots of the window. Implemented by mirror.ts over the ring driver and the addon.
 * Buffers: a Slot is memory of the window. A record stays in its slot until the slot is released;
 * sockets are written from it and read into it without a copy.
 */
import type { RamBlock } from '../guest/contract.js';
import type { NativePageSet } from '../native/addon.js';

export type EngineName = 'kvm' | 'in-process';
export type CodecName = 'none' | 'lz4' | 'zstd';
export type MessageKind = 'control' | 'device-state' | 'lane';

/** Memory for one record in the shared window. */
export interface Slot {
  readonly index: number;
  /** The whole slot, at least PF_RECORD_BYTES_MAX bytes. */
  readonly buffer: Uint8Array;
  /** Gives the slot back to the pool. Exactly once. */
  release(): void;
}

/** The window's slots: what bounds memory in flight. */
export interface SlotPool {
  readonly slotBytes: number;
  readonly total: number;
  readonly free: number;
  /** Waits for a free slot, first come first served; rejects when the signal fires. */
  acquire(signal?: AbortSignal): Promise<Slot>;
  /** A slot now, or undefined. */
  tryAcquire(): Slot | undefined;
}

export interface ExportParameters {
  readonly epoch: number;
  readonly codec: CodecName;
  /** 0: the codec's default. */
  readonly level: number;
  /** Padding granule in bytes, or 0. */
  readonly padBytes: number;
  /** Pages with content in the record; default and most: PF_RECORD_DATA_PAGES_MAX. */
  readonly dataPagesMax?: number;
}

export interface ExportedRecord {
  readonly stream: number;
  readonly counter: number;
  /** The record: the front of the slot's buffer. */
  readonly bytes: number;
  readonly dataPages: number;
  readonly zeroPages: number;
}

export type ImportOutcome = 'imported' | 'duplicate';

export interface ImportedRecord {
  readonly outcome: ImportOutcome;
  readonly stream: number;
  readonly counter: number;
  readonly dataPages: number;
  readonly zeroPages: number;
}

export type OpenedMessage =
  | { readonly outcome: 'opened'; kind: MessageKind; counter: number; bytes: Uint8Array }
  | { readonly outcome: 'duplicate'; counter: number }
  /** Messages before it are missing; offer it again after them. */
  | { readonly outcome: 'early'; expected: number };

export type CheckedToken =
  | { readonly outcome: 'accepted'; epoch: number; start: boolean }
  | { readonly outcome: 'duplicate' }
  | { readonly outcome: 'early'; missing: number };

export interface SealedMessage {
  readonly counter: number;
  /** A copy outside the window. */
  readonly bytes: Uint8Array;
}

export interface HelperInfo {
  readonly engine: EngineName;
  readonly vcpus: number;
  readonly aes: string;
  readonly ramLimitBytes: number;
}

export interface MirrorOptions {
  readonly engine: EngineName | 'auto';
  readonly vcpus: number;
  /** Record memory in flight, in bytes. */
  readonly windowBytes: number;
  readonly ramLimitBytes: number;
  readonly stallTimeoutMs?: number;
  /** Tests: the image that answers TEST_FAULT. */
  readonly testImage?: boolean;
}

/**
 * One mirror, from creation to close. Refusals of the helper are HelperError, authenticated
 * violations IntegrityError, a dead mirror MirrorError (then every pending call rejects with it).
 */
export interface Mirror {
  readonly info: HelperInfo;
  readonly slots: SlotPool;
  /** Settles (never rejects) when the mirror died on its own, with the reason. */
  readonly died: Promise<Error>;

  setBlock(block: RamBlock): Promise<void>;
  removeBlock(id: number): Promise<void>;

  setSecret(secret: Uint8Array): Promise<void>;
  /** Source: context -> message 1. */
  handshakeInitiate(context: Uint8Array): Promise<Uint8Array>;
  /** Destination: context, message 1 -> message 2. */
  handshakeRespond(context: Uint8Array, message: Uint8Array): Promise<Uint8Array>;
  /** Source: message 2 -> message 3; established. */
  handshakeFinish(message: Uint8Array): Promise<Uint8Array>;
  /** Destination: message 3; established. */
  handshakeConfirm(message: Uint8Array): Promise<void>;
  /** 16 bytes; after the handshake. */
  readonly sessionId: Uint8Array;

  /**
   * Takes the next pages from `pages` (which shrinks by them) and seals them into `slot`, on the
   * vCPU with the least to do. Undefined when `pages` was empty.
   */
  exportPages(
    pages: NativePageSet,
    slot: Slot,
    parameters: ExportParameters,
  ): Promise<ExportedRecord | undefined>;
  /** Opens the record in the front of `slot` into guest RAM. */
  importRecord(slot: Slot, bytes: number): Promise<ImportedRecord>;

  sealMessage(kind: MessageKind, plain: Uint8Array): Promise<SealedMessage>;
  openMessage(record: Uint8Array): Promise<OpenedMessage>;
  makeToken(epoch: number, start: boolean): Promise<SealedMessage>;
  checkToken(record: Uint8Array): Promise<CheckedToken>;
  /** Keyed digest of all blocks; RAM must be paused. 32 bytes. */
  digest(blocks: readonly RamBlock[]): Promise<Uint8Array>;
  /** What `digest` would take now, in milliseconds, by a sample; the guest may run. */
  measureDigest(blocks: readonly RamBlock[]): Promise<number>;
  reset(): Promise<void>;
  /** Wipes, stops the vCPUs, unmaps. Idempotent. */
  close(): Promise<void>;
}
