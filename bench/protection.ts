/**
 * What: the section `protection`: what it costs that no lane can lose a record. The same migration
 * with and without acknowledgements and the memory they keep, in turn; the best of each.
 */
import { loadAddon } from '../src/native/loader.js';
import { measureMigration } from './migration.js';
import { gigabytes, type Bench } from './report.js';

const GiB = 1024 ** 3;

export const benchProtection: Bench = async ({ quick, progress }) => {
  const engine = loadAddon().probe().kvm.usable ? 'kvm' : 'in-process';
  const shared = { engine, vcpus: 1, codec: 'none', ramBytes: quick ? GiB / 16 : GiB } as const;
  const cases = [1, 2].flatMap((lanes) =>
    [true, false].map((isProtected) => ({ lanes, isProtected, best: 0 })),
  );
  for (let round = 0; round < (quick ? 1 : 4); round += 1) {
    for (const one of cases) {
      const { lanes, isProtected } = one;
      progress(`${lanes} lanes, ${isProtected ? 'protected' : 'unprotected'}`);
      const { bytesPerSecond } = await measureMigration({ ...shared, lanes, isProtected });
      one.best = Math.max(one.best, bytesPerSecond);
    }
  }
  const best = (isProtected: boolean): number =>
    Math.max(...cases.filter((one) => one.isProtected === isProtected).map((one) => one.best));
  return {
    name: `protection: a paused guest over TCP, engine ${engine}, codec none`,
    rows: cases.map(({ lanes, isProtected, best: rate }) => ({
      records: isProtected ? 'kept until acknowledged' : 'forgotten when written',
      lanes,
      'GB/s': gigabytes(rate),
    })),
    ratios: [
      {
        name: 'with protection to without',
        value: best(true) / best(false),
        atLeast: 0.95,
        unit: 'x',
      },
    ],
  };
};
