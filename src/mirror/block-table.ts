/**
 * What: RAM blocks, mapped by the addon and known to the helper. A change happens while no other
 * command is under way: a helper whose table and mappings differ faults. A block the helper
 * refuses does not stay mapped; one that was there before comes back as it was.
 */
import type { RamBlock } from '../guest/contract.js';
import {
  PF_BLOCK_F_BLANK,
  PF_COMMAND_BLOCK_REMOVE,
  PF_COMMAND_BLOCK_SET,
  PF_COMMAND_RESET,
} from '../native/abi.generated.js';
import type { NativeMirror } from '../native/addon.js';
import type { Commander } from './commander.js';
import { onAddon } from './native-errors.js';

const refused = 'ERR_PAGEFERRY_RAM_BLOCK';

export class BlockTable {
  readonly #mapped = new Set<number>();

  constructor(
    private readonly native: NativeMirror,
    private readonly commander: Commander,
  ) {}

  set(block: RamBlock): Promise<void> {
    const { id, memory, memoryOffset, ramAddr, bytes } = block;
    const flags = block.blank ? PF_BLOCK_F_BLANK : 0;
    const args = [id, ramAddr, bytes];
    return this.commander.alone(async (run) => {
      onAddon(refused, () => {
        this.native.setBlock({ id, memory, memoryOffset, ramAddr, bytes });
      });
      let isTaken = false;
      try {
        await run({ command: PF_COMMAND_BLOCK_SET, flags, args });
        isTaken = true;
        this.#mapped.add(id);
      } finally {
        if (!this.commander.isEnded) this.native.settleBlock(isTaken);
      }
    });
  }

  remove(id: number): Promise<void> {
    return this.commander.alone(async (run) => {
      await run({ command: PF_COMMAND_BLOCK_REMOVE, args: [id] });
      this.#unmap(id);
    });
  }

  /** RESET, after which the helper knows no block any more. */
  reset(): Promise<void> {
    return this.commander.alone(async (run) => {
      await run({ command: PF_COMMAND_RESET });
      for (const id of [...this.#mapped]) this.#unmap(id);
    });
  }

  #unmap(id: number): void {
    this.#mapped.delete(id);
    if (this.commander.isEnded) return;
    onAddon(refused, () => {
      this.native.removeBlock(id);
    });
  }
}
