/**
 * What: a process that tests of the engines may stop, cut short and take resources from.
 * Usage: node child.js MODE ENGINE. One word a line on standard output says how far it is.
 */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, openSync, readFileSync, truncateSync } from 'node:fs';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';

import type { EngineName } from '../../../src/mirror/contract.js';
import { windowLayout } from '../../../src/mirror/layout.js';
import { startMirror } from '../../../src/mirror/open.js';
import { PF_COMMAND_TEST_FAULT, PF_FAULT_ENDLESS } from '../../../src/native/abi.generated.js';
import type { NativeMirror } from '../../../src/native/addon.js';
import { loadAddon, loadHelperImage } from '../../../src/native/loader.js';
import { blockOf, connect, mebibyte, memoryOf, open } from './rig.js';
import { liveOnce } from './lives.js';
import { collectGarbage, type Resources, resources } from './resources.js';

const [, , mode, engineName] = process.argv;
const engine = engineName as EngineName;

function say(word: string): void {
  process.stdout.write(`${word}\n`);
}

/** Digests of 64 MiB, again and again: vCPUs are in the helper nearly all of the time. */
async function keepBusy(turns: number): Promise<void> {
  const memory = memoryOf(64 * mebibyte);
  for (let at = 0; at < memory.bytes; at += mebibyte) memory.write(at, randomBytes(mebibyte));
  const [mirror, peer] = [await open(engine), await open(engine)];
  const block = blockOf(memory);
  await mirror.setBlock(block);
  await connect(mirror, peer);
  const first = Buffer.from(await mirror.digest([block]));
  if (isMainThread) say('busy');
  else parentPort?.postMessage('busy');
  for (let turn = 0; turn < turns; turn += 1) {
    if (!first.equals(await mirror.digest([block]))) throw new Error('another digest');
  }
  await Promise.all([mirror.close(), peer.close()]);
  memory.close();
  say('done');
}

// Read now: later there may be no fd for it.
const image = engine === 'kvm' ? { image: loadHelperImage(false) } : {};

function createNative(vcpus: number): NativeMirror {
  const ignore = (): void => undefined;
  const windowBytes = windowLayout(vcpus, mebibyte).totalBytes;
  const sizes = { vcpus, ringEntries: 256, windowBytes, ramLimitBytes: mebibyte };
  return new (loadAddon().Mirror)({ engine, ...sizes, stallTimeoutMs: 5000, ...image }, ignore);
}

/** Tries to make a mirror; 'made' or the code and system call of the refusal. */
async function attempt(): Promise<string> {
  try {
    await createNative(2).close();
    return 'made';
  } catch (error) {
    const { code, syscall } = error as { code?: string; syscall?: string };
    return `${code ?? String(error)}/${syscall ?? ''}`;
  }
}

async function countResources(): Promise<Resources> {
  await createNative(2).close(); // what the first use leaves for good
  await collectGarbage();
  return resources();
}

/** Counts before and after many lives of mirrors, and what each left at once. */
async function countLives(cycles: number): Promise<void> {
  for (let cycle = 0; cycle < 10; cycle += 1) await liveOnce(engine, cycle); // first uses
  await collectGarbage();
  const before = resources();
  const during: number[] = [];
  for (let cycle = 0; cycle < cycles; cycle += 1) during.push(await liveOnce(engine, cycle));
  await collectGarbage(before.windows);
  say(JSON.stringify({ before, after: resources(), during }));
}

/** Leaves 0, 1, 2... fds free until a mirror can be made. Run under a low limit. */
async function withoutFds(): Promise<void> {
  const before = await countResources();
  const outcomes: string[] = [];
  for (let free = 0; outcomes.at(-1) !== 'made'; free += 1) {
    const taken: number[] = [];
    try {
      for (;;) taken.push(openSync('/dev/null', 'r'));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EMFILE') throw error;
    }
    for (const fd of taken.splice(0, free)) closeSync(fd);
    outcomes.push(await attempt());
    for (const fd of taken) closeSync(fd);
  }
  await tell(outcomes, before);
}

function limitAddressSpace(bytes: number | 'unlimited'): void {
  execFileSync('prlimit', ['--pid', String(process.pid), `--as=${bytes}:`]);
}

/** Leaves a little more address space each time until a mirror can be made. */
async function withoutMemory(): Promise<void> {
  const before = await countResources();
  const outcomes: string[] = [];
  for (let room = 4 * mebibyte; outcomes.at(-1) !== 'made'; room += 4 * mebibyte) {
    limitAddressSpace(resources().addressBytes + room);
    try {
      outcomes.push(await attempt());
    } finally {
      limitAddressSpace('unlimited');
    }
  }
  await tell(outcomes, before);
}

async function tell(outcomes: string[], before: Resources): Promise<void> {
  await collectGarbage(before.windows);
  const after = resources();
  say(JSON.stringify({ outcomes, before, after }));
}

/** A helper that never halts, and when it was found out. */
async function withEndlessHelper(): Promise<void> {
  const least = { vcpus: 1, windowBytes: 4 * mebibyte, ramLimitBytes: mebibyte };
  const options = { engine, testImage: true, stallTimeoutMs: 2000, ...least };
  const { native, commander } = await startMirror(loadAddon(), options);
  const command = { command: PF_COMMAND_TEST_FAULT, args: [PF_FAULT_ENDLESS] };
  const pending = commander.plain(command).catch((error: unknown) => error);
  setImmediate(() => {
    say('endless');
  });
  const death = await commander.died;
  say((death as { code?: string }).code ?? '');
  if ((await pending) !== death) throw new Error('another reason for the command');
  await native.close();
}

/** Guest memory whose file gets shorter under the helper. */
async function withTruncatedFile(path: string): Promise<void> {
  const bytes = 4 * mebibyte;
  truncateSync(path, bytes);
  const memory = loadAddon().Memory.open({ path, bytes });
  const [mirror, peer] = [await open(engine), await open(engine)];
  const block = blockOf(memory);
  await mirror.setBlock(block);
  await connect(mirror, peer);
  const set = new (loadAddon().PageSet)(bytes / 4096);
  set.addRange(0, bytes / 4096);
  truncateSync(path, 0);
  const slot = await mirror.slots.acquire();
  const parameters = { epoch: 1, codec: 'none', level: 0, padBytes: 0 } as const;
  const error: unknown = await mirror.exportPages(set, slot, parameters).catch((e: unknown) => e);
  const death = await mirror.died;
  const { code, cause } = error as { code?: string; cause?: { errno?: number } };
  say(JSON.stringify({ code, errno: cause?.errno, isDeath: death === error }));
  const read = tryRead(() => memory.read(0, 4096));
  await Promise.all([mirror.close(), peer.close()]);
  say(JSON.stringify({ read, left: readFileSync(path).byteLength }));
}

function tryRead(read: () => unknown): string | undefined {
  try {
    read();
    return undefined;
  } catch (error) {
    return (error as { code?: string }).code;
  }
}

async function main(): Promise<void> {
  switch (mode) {
    case 'busy':
      return keepBusy(30);
    case 'exit':
      process.stdout.on('error', () => undefined);
      setTimeout(() => process.exit(3), Number(process.argv[4]));
      return keepBusy(Infinity);
    case 'terminate': {
      if (!isMainThread) return keepBusy(Infinity);
      const worker = new Worker(new URL(import.meta.url), { argv: process.argv.slice(2) });
      await new Promise((resolve) => worker.once('message', resolve));
      await worker.terminate();
      const { mirrorThreads, kvmFds, vcpuMappings, privateMappings } = resources();
      say(JSON.stringify({ mirrorThreads, kvmFds, vcpuMappings, privateMappings }));
      return;
    }
    case 'endless':
      return withEndlessHelper();
    case 'lives':
      return countLives(Number(process.argv[4]));
    case 'fds':
      return withoutFds();
    case 'memory':
      return withoutMemory();
    case 'truncate':
      return withTruncatedFile(process.argv[4] ?? '');
    default:
      throw new Error(`no mode ${mode}`);
  }
}

await main();
