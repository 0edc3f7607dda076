/**
 * What: the RAM layout a source announces, checked before anything is allocated for it. It comes
 * from an authenticated peer, which may still be wrong, or broken into.
 */
import { PF_PAGE_BYTES, PF_RAM_BLOCKS_MAX, PF_VCPUS_MAX } from '../native/abi.generated.js';
import type { Block, Layout } from './generated/sealed_pb.js';
import { Codec, Engine } from './generated/sealed_pb.js';
import {
  BLOCK_NAME_CHARACTERS_MAX,
  DESCRIPTION_BYTES_MAX,
  EPOCHS_MAX,
  FILLED_RUNS_MAX,
  PIECE_BYTES,
} from './limits.js';
import { badField, printable, safeNumber } from './problem.js';

export type WireCodec = 'none' | 'lz4' | 'zstd';
export type WireEngine = 'kvm' | 'in-process';

/** Pieces of PIECE_BYTES, counted from the start of their block. */
export interface PieceRun {
  readonly first: number;
  readonly count: number;
}

export interface WireBlock {
  readonly id: number;
  readonly name: string;
  readonly ramAddr: number;
  readonly bytes: number;
  /** Pieces that the source has allocated whole. */
  readonly filled: readonly PieceRun[];
}

export interface WireLayout {
  readonly guestKind: string;
  readonly blocks: readonly WireBlock[];
  readonly description: string;
  readonly codec: WireCodec;
  readonly verify: boolean;
  /** No epoch has a number above this. */
  readonly epochsMax: number;
  readonly engine: WireEngine;
  readonly vcpus: number;
}

export const codecNumbers: Readonly<Record<WireCodec, Codec>> = {
  none: Codec.NONE,
  lz4: Codec.LZ4,
  zstd: Codec.ZSTD,
};

export const engineNumbers: Readonly<Record<WireEngine, Engine>> = {
  kvm: Engine.KVM,
  'in-process': Engine.IN_PROCESS,
};

/** The name that belongs to `value`, which may be any number. */
export function nameOf<Name extends string>(
  field: string,
  numbers: Readonly<Record<Name, number>>,
  value: number,
): Name {
  const names = Object.keys(numbers) as Name[];
  const found = names.find((name) => numbers[name] === value);
  if (found === undefined) throw badField(field, names.join(', '), value);
  return found;
}

function range(field: string, value: number, minimum: number, maximum: number): number {
  if (value < minimum || value > maximum) {
    throw badField(field, `${minimum} to ${maximum}`, value);
  }
  return value;
}

/** Ascending, inside the block: what is allocated for them is bounded by the block. */
function checkFilled(where: string, filled: Block['filled'], bytes: number): PieceRun[] {
  range(`${where} runs of filled pieces`, filled.length, 0, FILLED_RUNS_MAX);
  let end = 0;
  return filled.map(({ first, count }) => {
    range(`${where} filled piece`, first, end, Math.floor(bytes / PIECE_BYTES));
    range(`${where} filled pieces`, count, 1, Math.floor(bytes / PIECE_BYTES) - first);
    end = first + count;
    return { first, count };
  });
}

function checkBlock(block: Block): WireBlock {
  const where = `RAM block ${block.id}`;
  range('RAM block id', block.id, 0, PF_RAM_BLOCKS_MAX - 1);
  const safe = printable(block.name, BLOCK_NAME_CHARACTERS_MAX);
  if (block.name.length === 0 || safe !== block.name) {
    throw badField(`${where} name`, `1 to ${BLOCK_NAME_CHARACTERS_MAX} printable characters`, safe);
  }
  const ramAddr = safeNumber(`${where} address`, block.ramAddr);
  const bytes = safeNumber(`${where} bytes`, block.bytes);
  for (const [field, value] of [['address', ramAddr] as const, ['bytes', bytes] as const]) {
    if (value % PF_PAGE_BYTES !== 0) {
      throw badField(`${where} ${field}`, `a multiple of ${PF_PAGE_BYTES}`, value);
    }
  }
  if (bytes === 0) throw badField(`${where} bytes`, 'at least a page', bytes);
  const filled = checkFilled(where, block.filled, bytes);
  return { id: block.id, name: block.name, ramAddr, bytes, filled };
}

function checkBlocks(blocks: readonly Block[], ramLimitBytes: number): WireBlock[] {
  range('RAM blocks', blocks.length, 1, PF_RAM_BLOCKS_MAX);
  const checked = blocks.map(checkBlock);
  const ids = new Set(checked.map(({ id }) => id));
  const names = new Set(checked.map(({ name }) => name));
  if (ids.size !== checked.length) throw badField('RAM block ids', 'unique ones', 'repeated ones');
  if (names.size !== checked.length) {
    throw badField('RAM block names', 'unique ones', 'repeated ones');
  }
  let end = 0;
  for (const block of [...checked].sort((left, right) => left.ramAddr - right.ramAddr)) {
    if (block.ramAddr < end) {
      throw badField(`RAM block ${block.id} address`, 'no overlap', block.ramAddr);
    }
    end = block.ramAddr + block.bytes;
    if (end > ramLimitBytes) {
      throw badField(`RAM block ${block.id} end`, `at most ${ramLimitBytes} here`, end);
    }
  }
  return checked;
}

/** The layout with every field checked; `ramLimitBytes` is what this side's mirror can map. */
export function checkLayout(layout: Layout, ramLimitBytes: number): WireLayout {
  if (!/^[a-z][a-z0-9+.-]{0,31}$/.test(layout.guestKind)) {
    throw badField('guest kind', 'a scheme', printable(layout.guestKind, 32));
  }
  const descriptionBytes = Buffer.byteLength(layout.description);
  range('guest description bytes', descriptionBytes, 0, DESCRIPTION_BYTES_MAX);
  return {
    guestKind: layout.guestKind,
    blocks: checkBlocks(layout.blocks, ramLimitBytes),
    description: layout.description,
    codec: nameOf('codec', codecNumbers, layout.codec),
    verify: layout.verify,
    epochsMax: range('epoch limit', layout.epochsMax, 1, EPOCHS_MAX),
    engine: nameOf('engine', engineNumbers, layout.engine),
    vcpus: range('vcpus', layout.vcpus, 1, PF_VCPUS_MAX),
  };
}
