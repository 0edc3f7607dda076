/** What: the section `mirror`: seal and open rates per engine, vCPU count, codec, record size. */
import type { EngineName } from '../src/mirror/contract.js';
import { loadAddon } from '../src/native/loader.js';
import { measureMirrors, type MirrorCase, type MirrorRates } from './mirror-rates.js';
import { gigabytes, type Bench, type Ratio } from './report.js';

const MiB = 1024 * 1024;
const large = 256;

const cases: readonly MirrorCase[] = [
  { vcpus: 1, codec: 'none', recordPages: large },
  { vcpus: 2, codec: 'none', recordPages: large },
  { vcpus: 1, codec: 'none', recordPages: 64 },
  { vcpus: 1, codec: 'none', recordPages: 16 },
  { vcpus: 1, codec: 'none', recordPages: 1 },
  { vcpus: 1, codec: 'lz4', recordPages: large },
  { vcpus: 2, codec: 'lz4', recordPages: large },
  { vcpus: 1, codec: 'lz4', recordPages: 16 },
  { vcpus: 1, codec: 'zstd', recordPages: large },
  { vcpus: 2, codec: 'zstd', recordPages: large },
];

function ramBytesOf({ codec, recordPages }: MirrorCase, quick: boolean): number {
  const isSlow = codec !== 'none' || recordPages < 16;
  return (isSlow ? 32 : 128) * MiB * (quick ? 0.25 : 1);
}

function ratiosOf(rates: readonly MirrorRates[]): Ratio[] {
  const base = rates.filter(
    ({ vcpus, codec, recordPages }) => vcpus === 1 && codec === 'none' && recordPages === large,
  );
  const kvm = base.find(({ engine }) => engine === 'kvm');
  const inProcess = base.find(({ engine }) => engine === 'in-process');
  if (kvm === undefined || inProcess === undefined) return [];
  return [
    {
      name: 'seal, codec none, one vCPU: kvm to in-process',
      value: kvm.sealBytesPerSecond / inProcess.sealBytesPerSecond,
      atLeast: 0.8,
      unit: 'x',
    },
    {
      name: 'open, codec none, one vCPU: kvm to in-process',
      value: kvm.openBytesPerSecond / inProcess.openBytesPerSecond,
      unit: 'x',
    },
    {
      name: 'seal, codec none, engine kvm, per vCPU',
      value: gigabytes(kvm.sealBytesPerSecond),
      atLeast: 3,
      unit: 'GB/s',
    },
  ];
}

export const benchMirror: Bench = async ({ quick, progress }) => {
  const engines: EngineName[] = loadAddon().probe().kvm.usable
    ? ['kvm', 'in-process']
    : ['in-process'];
  const rates: MirrorRates[] = [];
  for (const one of cases) {
    progress(`${one.vcpus} vCPU, codec ${one.codec}, ${one.recordPages} pages to a record`);
    rates.push(...(await measureMirrors(engines, one, ramBytesOf(one, quick), quick ? 1 : 7)));
  }
  const rows = rates.map((rate) => ({
    engine: rate.engine,
    vcpus: rate.vcpus,
    codec: rate.codec,
    'record KiB': rate.recordPages * 4,
    'seal GB/s': gigabytes(rate.sealBytesPerSecond),
    'open GB/s': gigabytes(rate.openBytesPerSecond),
    'plain : wire': `${rate.ratio.toFixed(2)} : 1`,
  }));
  const name = 'mirror: sealing and opening warm memory (program text), bytes of guest RAM';
  return { name, rows, ratios: ratiosOf(rates) };
};
