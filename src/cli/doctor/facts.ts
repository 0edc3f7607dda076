/**
 * What: the facts doctor judges, read from the machine. Never throws: what cannot be read is told
 * as missing.
 */
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { userInfo } from 'node:os';

import { errorMessage } from '../../errors.js';
import type { NativeProbe } from '../../native/addon.js';

export interface PackageFact {
  readonly name: string;
  readonly purpose: string;
  readonly isInstalled: boolean;
}

export interface MachineFacts {
  readonly node: string;
  readonly user: string;
  /** Why the addon does not load, when it does not. */
  readonly addonProblem: string | undefined;
  readonly probe: NativeProbe | undefined;
  readonly device: 'absent' | 'forbidden' | 'open';
  readonly hugePages: { readonly total: number; readonly free: number; readonly pageBytes: number };
  /** The setting that is in force; empty where the kernel has none. */
  readonly shmem: string;
  readonly availableBytes: number;
  readonly memlockBytes: number;
  readonly descriptors: number;
  readonly packages: readonly PackageFact[];
}

const libraries = '/usr/lib/x86_64-linux-gnu';

/** What a build links, the file that shows it is there, and what for. */
const packages: readonly (readonly [name: string, file: string, purpose: string])[] = [
  ['libipsec-mb-dev', `${libraries}/libIPSec_MB.a`, 'AES-GCM'],
  ['liblz4-dev', `${libraries}/liblz4.a`, 'LZ4'],
  ['libzstd-dev', `${libraries}/libzstd.a`, 'Zstandard'],
  ['libbearssl-dev', `${libraries}/libbearssl.a`, 'X25519, HKDF'],
  ['linux-libc-dev', '/usr/include/linux/kvm.h', "KVM's interface"],
];

/** Absent files are an answer here, not an error. */
function readText(path: string): string {
  return existsSync(path) ? readFileSync(path, 'utf8') : '';
}

function deviceState(): MachineFacts['device'] {
  if (!existsSync('/dev/kvm')) return 'absent';
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
    return 'open';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'absent' : 'forbidden';
  }
}

function memoryFigure(meminfo: string, name: string): number {
  const match = new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(meminfo);
  return Number(match?.[1] ?? 0);
}

/** The soft limit of one line of /proc/self/limits. */
function softLimit(limits: string, name: string): number {
  const match = new RegExp(`^${name}\\s+(\\d+|unlimited)`, 'm').exec(limits);
  return match === null || match[1] === 'unlimited' ? Infinity : Number(match[1]);
}

async function probeAddon(): Promise<{ probe?: NativeProbe; problem?: string }> {
  try {
    const { nativeAddon } = await import('../../parts.js');
    return { probe: (await nativeAddon()).probe() };
  } catch (error) {
    return { problem: errorMessage(error).split('\n')[0] ?? '' };
  }
}

function userName(): string {
  try {
    return userInfo().username;
  } catch (error) {
    // A user that has no entry in the password database, as in some containers.
    return error instanceof Error ? '$USER' : '';
  }
}

export async function gatherFacts(): Promise<MachineFacts> {
  const { probe, problem } = await probeAddon();
  const meminfo = readText('/proc/meminfo');
  const limits = readText('/proc/self/limits');
  const shmem = readText('/sys/kernel/mm/transparent_hugepage/shmem_enabled');
  return {
    node: process.version,
    user: userName(),
    addonProblem: problem,
    probe,
    device: deviceState(),
    hugePages: {
      total: memoryFigure(meminfo, 'HugePages_Total'),
      free: memoryFigure(meminfo, 'HugePages_Free'),
      pageBytes: memoryFigure(meminfo, 'Hugepagesize') * 1024 || 2 * 1024 * 1024,
    },
    shmem: /\[(\w+)\]/.exec(shmem)?.[1] ?? '',
    availableBytes: memoryFigure(meminfo, 'MemAvailable') * 1024,
    memlockBytes: softLimit(limits, 'Max locked memory'),
    descriptors: softLimit(limits, 'Max open files'),
    packages: packages.map(([name, file, purpose]) => ({
      name,
      purpose,
      isInstalled: existsSync(file),
    })),
  };
}
