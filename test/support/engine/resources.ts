/**
 * What: what a mirror costs this process, counted from /proc: all fds and threads, those that only
 * a mirror makes, and its mappings by what distinguishes them:
 *   vCPU      /proc/self/maps names anon_inode:kvm-vcpu
 *   window    shared and anonymous, which maps shows as /dev/zero; goes with its ArrayBuffer
 *   private   anonymous, and advised against core dumps and copies (smaps: dd and dc)
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

export interface Resources {
  readonly fds: number;
  readonly kvmFds: number;
  readonly threads: number;
  readonly mirrorThreads: number;
  readonly vcpuMappings: number;
  readonly windows: number;
  readonly privateMappings: number;
  readonly addressBytes: number;
}

/** The targets of all fds; the directory's own is gone by the time it is looked at. */
function fdTargets(): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)];
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw error;
    }
  });
}

function threadNames(): string[] {
  return readdirSync('/proc/self/task').map((thread) =>
    readFileSync(`/proc/self/task/${thread}/comm`, 'utf8').trim(),
  );
}

function count(list: readonly string[], pattern: RegExp): number {
  return list.filter((entry) => pattern.test(entry)).length;
}

/**
 * Runs full garbage collections, and the finalizers that wait for them, until no more windows are
 * left than `windows`. What the last call of something still has on its stack or in a promise
 * may take a few turns to go; a window that never goes stays for the caller to find.
 */
export async function collectGarbage(windows = 0): Promise<void> {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  for (let turn = 0; turn < 3 || (turn < 30 && resources().windows > windows); turn += 1) {
    collect();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

export function resources(): Resources {
  const fds = fdTargets();
  const threads = threadNames();
  const maps = readFileSync('/proc/self/maps', 'utf8').split('\n');
  // One string per mapping: its first line has the address range, its last the flags.
  const detailed = readFileSync('/proc/self/smaps', 'utf8').split(/\n(?=[0-9a-f]+-[0-9a-f]+ )/);
  const size = /^VmSize:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'));
  return {
    fds: fds.length,
    kvmFds: count(fds, /kvm/),
    threads: threads.length,
    mirrorThreads: count(threads, /^pf-/),
    vcpuMappings: count(maps, /anon_inode:kvm-vcpu/),
    windows: count(maps, /rw-s .*\/dev\/zero/),
    privateMappings: detailed.filter(
      (each) => /^\S+ rw-p \S+ 00:00 0\s/.test(each) && /^VmFlags:.* dc .*dd\b/m.test(each),
    ).length,
    addressBytes: Number(size?.[1]) * 1024,
  };
}
