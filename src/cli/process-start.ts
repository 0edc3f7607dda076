/** What: tells a process from a later one with the same number. */
import { readFileSync } from 'node:fs';

/** The fields of /proc/PID/stat from the third on (proc(5)); undefined: no such process. */
function statFields(pid: number): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field is a name in parentheses, which may hold anything.
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH') return undefined;
    throw error;
  }
}

/** When the process was started, in clock ticks since boot; undefined: it is gone. */
export function processStart(pid: number): string | undefined {
  return statFields(pid)?.[19];
}

/** Whether the process that was noted still runs; of a zombie nothing is left but its number. */
export function isAlive({ pid, pidStart }: { pid: number; pidStart: string }): boolean {
  const fields = statFields(pid);
  return fields?.[19] === pidStart && fields[0] !== 'Z';
}
