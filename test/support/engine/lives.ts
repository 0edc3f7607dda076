/** What: whole lives of mirrors, for counting what they leave. */
import { randomBytes } from 'node:crypto';

import type { EngineName } from '../../../src/mirror/contract.js';
import { resources } from './resources.js';
import { blockOf, carryEpoch, connect, mebibyte, memoryOf, open } from './rig.js';

const ramBytes = 2 * mebibyte;

/** A whole life: handshake, export, import, the token, and the end in either order. */
async function live(engine: EngineName, cycle: number): Promise<void> {
  const [source, destination] = [await open(engine), await open(engine)];
  const [from, to] = [memoryOf(ramBytes), memoryOf(ramBytes)];
  from.write(0, randomBytes(mebibyte));
  await source.setBlock(blockOf(from));
  await destination.setBlock(blockOf(to, { blank: true }));
  await connect(source, destination);
  await carryEpoch(source, destination, [blockOf(from)], 1);
  const isMirrorFirst = cycle % 2 === 0;
  if (isMirrorFirst) await Promise.all([source.close(), destination.close()]);
  from.close();
  to.close();
  if (!isMirrorFirst) await Promise.all([source.close(), destination.close()]);
}

/** A mirror that is closed while commands are under way. */
async function cutShort(engine: EngineName): Promise<void> {
  const mirror = await open(engine);
  const memory = memoryOf(ramBytes);
  await mirror.setBlock(blockOf(memory));
  const pending: Promise<unknown>[] = [mirror.setSecret(randomBytes(32)), mirror.reset()];
  const ends = Promise.allSettled(pending);
  await mirror.close();
  memory.close();
  await ends;
}

/** One of each; what only mirrors have and is still there when they are closed. */
export async function liveOnce(engine: EngineName, cycle: number): Promise<number> {
  await live(engine, cycle);
  if (cycle % 10 === 0) await cutShort(engine);
  const { kvmFds, mirrorThreads, vcpuMappings, privateMappings } = resources();
  return kvmFds + mirrorThreads + vcpuMappings + privateMappings;
}
