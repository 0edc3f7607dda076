/**
 * What: the section `migration`: a paused guest from process to process, next to bare TCP between
 * two processes with the same chunk size, in the same run. Bare TCP moves the same bytes: as much
 * memory, from where it lies to where it is to lie. A second figure moves one piece again and
 * again, which never leaves the processors' caches: what sockets can do, not what RAM can. Each
 * figure is the best of its runs, which are taken in turn: the machine's other work only ever
 * takes away.
 */
import type { EngineName } from '../src/mirror/contract.js';
import { loadAddon } from '../src/native/loader.js';
import { measureMigration } from './migration.js';
import { gigabytes, type Bench } from './report.js';
import { measurePipe } from './tcp-bare.js';

const GiB = 1024 ** 3;
const chunkBytes = 1024 * 1024;

const pipeLabels = {
  memory: 'bare TCP',
  bare: 'bare TCP, one piece again and again',
  lane: 'lanes over TCP',
} as const;

interface Measurement {
  readonly label: string;
  readonly lanes: number;
  readonly vcpus: number;
  run(): Promise<number>;
}

function measurements(engines: readonly EngineName[], bytes: number): Measurement[] {
  const laneCounts = [1, 2];
  const pipes = laneCounts.flatMap((lanes) =>
    (['memory', 'bare', 'lane'] as const).map((pipe) => ({
      label: pipeLabels[pipe],
      lanes,
      vcpus: 0,
      run: async () =>
        (await measurePipe({ pipe, lanes, totalBytes: bytes, chunkBytes })).bytesPerSecond,
    })),
  );
  const migrations = engines.flatMap((engine) =>
    laneCounts.map((lanes) => ({
      label: `migration, ${engine}`,
      lanes,
      vcpus: 1,
      run: async () => {
        const one = { engine, lanes, vcpus: 1, codec: 'none', ramBytes: bytes } as const;
        return (await measureMigration(one)).bytesPerSecond;
      },
    })),
  );
  return [...pipes, ...migrations];
}

export const benchEndToEnd: Bench = async ({ quick, progress }) => {
  const engines: EngineName[] = loadAddon().probe().kvm.usable
    ? ['kvm', 'in-process']
    : ['in-process'];
  const all = measurements(engines, quick ? GiB / 16 : 2 * GiB).map((one) => ({ ...one, best: 0 }));
  for (let round = 0; round < (quick ? 1 : 3); round += 1) {
    for (const one of all) {
      progress(`${one.label}, ${one.lanes} lanes`);
      one.best = Math.max(one.best, await one.run());
    }
  }
  const best = (label: string): number =>
    Math.max(...all.filter((one) => one.label === label).map((one) => one.best));
  return {
    name: 'migration: a paused guest from process to process, codec none, over TCP on loopback',
    rows: all.map((one) => ({
      what: one.label,
      lanes: one.lanes,
      vcpus: one.vcpus === 0 ? '' : String(one.vcpus),
      'GB/s': gigabytes(one.best),
    })),
    ratios: engines.flatMap((engine) => [
      {
        name: `end to end, engine ${engine}, to bare TCP`,
        value: best(`migration, ${engine}`) / best(pipeLabels.memory),
        atLeast: 0.5,
        unit: 'x',
      },
      {
        name: `end to end, engine ${engine}, to bare TCP with one piece`,
        value: best(`migration, ${engine}`) / best(pipeLabels.bare),
        unit: 'x',
      },
    ]),
  };
};
