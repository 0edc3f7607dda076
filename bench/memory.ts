/**
 * What: the section `memory`: the peak resident memory of both processes of `pageferry demo`, less
 * the guest's RAM, which each maps once.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

import { loadAddon } from '../src/native/loader.js';
import type { MigrationReport } from '../src/session/types.js';
import type { Bench } from './report.js';

const MiB = 1024 * 1024;
const cli = fileURLToPath(new URL('../src/cli/main.js', import.meta.url));

async function demo(ramMiB: number, engine: string): Promise<MigrationReport> {
  const args = ['demo', '--json', '--ram', `${ramMiB}M`, '--engine', engine, '--codec', 'none'];
  const child = spawn(process.execPath, [cli, ...args], { stdio: ['ignore', 'pipe', 'ignore'] });
  const [stdout] = await Promise.all([text(child.stdout), once(child, 'close')]);
  const report = JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '') as MigrationReport;
  if (report.outcome !== 'completed') throw new Error(report.error?.message ?? report.outcome);
  return report;
}

export const benchMemory: Bench = async ({ quick, progress }) => {
  const engines = loadAddon().probe().kvm.usable ? ['kvm', 'in-process'] : ['in-process'];
  const rows: Record<string, string | number>[] = [];
  let most = 0;
  for (const ramMiB of quick ? [64] : [512, 4096]) {
    for (const engine of engines) {
      progress(`${ramMiB} MiB, engine ${engine}`);
      const { peakRssBytes, ramBytes } = await demo(ramMiB, engine);
      const above = (peak: number | null): number => Math.round(((peak ?? NaN) - ramBytes) / MiB);
      const [source, destination] = [above(peakRssBytes.source), above(peakRssBytes.destination)];
      most = Math.max(most, source, destination);
      rows.push({
        engine,
        'RAM MiB': ramMiB,
        'source +MiB': source,
        'destination +MiB': destination,
      });
    }
  }
  return {
    name: "memory: each process's peak above the guest's RAM",
    rows,
    ratios: [{ name: 'most of any', value: most, atMost: 200, unit: 'MiB' }],
  };
};
