/**
 * What: the keyed digest of RAM: chunks of all blocks, in parallel over the vCPUs; and what such a
 * digest would take, measured on a sample.
 */
import type { RamBlock } from '../guest/contract.js';
import { DIGEST_PAGES, DIGEST_SAMPLE_PAGES, PAGE_BYTES, RECORD_RUNS_MAX } from '../limits.js';
import {
  PF_COMMAND_DIGEST,
  PF_DIGEST_ADD,
  PF_DIGEST_BEGIN,
  PF_DIGEST_FINISH,
} from '../native/abi.generated.js';
import type { NativeAddon, NativePageSet } from '../native/addon.js';
import { accept, type Commander } from './commander.js';

const runBytes = 8;
const digestBytes = 32;
/** Per vCPU, so that the next command is there when one is done. */
const commandsPerVcpu = 2;

/** All pages in one set: a chunk that two blocks share must not be split over two commands. */
function pagesOf(addon: NativeAddon, blocks: readonly RamBlock[]): NativePageSet {
  const end = blocks.reduce((most, block) => Math.max(most, block.ramAddr + block.bytes), 0);
  const pages = new addon.PageSet(Math.max(1, end / PAGE_BYTES));
  for (const block of blocks) {
    const first = block.ramAddr / PAGE_BYTES;
    pages.addMemory(block.memory, block.memoryOffset, first, block.bytes / PAGE_BYTES);
  }
  return pages;
}

/** Digests every `step`th list of pages, and gives the number of pages digested. */
async function addPages(
  commander: Commander,
  window: ArrayBuffer,
  pages: NativePageSet,
  step: number,
): Promise<number> {
  await commander.plain({ command: PF_COMMAND_DIGEST, args: [PF_DIGEST_BEGIN] });
  let lists = 0;
  let added = 0;
  const nextList = (offset: number): number => {
    for (;;) {
      const runs = pages.fillChunks(window, offset, DIGEST_PAGES, RECORD_RUNS_MAX);
      if (runs === 0 || lists++ % step === 0) return runs;
    }
  };
  const addSome = async (): Promise<boolean> => {
    const reply = await commander.work((offset) => {
      const runs = nextList(offset);
      if (runs === 0) return undefined;
      added += pages.lastDataPages;
      const input = { offset, bytes: runs * runBytes };
      return { command: PF_COMMAND_DIGEST, args: [PF_DIGEST_ADD], input };
    });
    if (reply !== undefined) accept(reply);
    return reply !== undefined;
  };
  const addRest = async (): Promise<void> => {
    let isMore = true;
    while (isMore) isMore = await addSome();
  };
  const adding = Array.from({ length: commander.vcpus * commandsPerVcpu }, addRest);
  const failed = (await Promise.allSettled(adding)).find((end) => end.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
  return added;
}

export async function digestOf(
  addon: NativeAddon,
  commander: Commander,
  window: ArrayBuffer,
  blocks: readonly RamBlock[],
): Promise<Uint8Array> {
  await addPages(commander, window, pagesOf(addon, blocks), 1);
  const { output } = await commander.message({
    command: PF_COMMAND_DIGEST,
    args: [PF_DIGEST_FINISH],
    hasOutput: true,
    isAlone: true,
  });
  if (output.byteLength !== digestBytes) {
    throw commander.broken(`a digest of ${output.byteLength} bytes`);
  }
  return output;
}

/**
 * How long a digest of all of RAM would take here and now, in milliseconds: looks for all holes,
 * digests a sample of what is left, and scales that up. RAM may change meanwhile.
 */
export async function measureDigest(
  addon: NativeAddon,
  commander: Commander,
  window: ArrayBuffer,
  blocks: readonly RamBlock[],
): Promise<number> {
  const startedMs = performance.now();
  const pages = pagesOf(addon, blocks);
  const present = pages.count;
  const lookedMs = performance.now();
  const step = Math.ceil(present / DIGEST_SAMPLE_PAGES);
  const digested = await addPages(commander, window, pages, Math.max(1, step));
  const digestingMs = performance.now() - lookedMs;
  return lookedMs - startedMs + digestingMs * (present / Math.max(1, digested));
}
