/** What: reports for machines: one object, one line, on stdout, whatever stdout is. */
import { writeSync } from 'node:fs';

const stdoutFd = 1;
const retryDelayMs = 5;

function pause(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

/**
 * Writes all of `text` to a descriptor before it returns: process.stdout is asynchronous on pipes,
 * and what is left when the process exits would be lost.
 */
export function writeFully(fd: number, text: string): void {
  let rest = Buffer.from(text, 'utf8');
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(fd, rest));
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      // Nobody reads any more: there is nobody to tell it to.
      if (code === 'EPIPE') return;
      if (code !== 'EAGAIN') throw error;
      pause(retryDelayMs);
    }
  }
}

/** Prints one report object as a line of its own. */
export function writeReport(report: object): void {
  writeFully(stdoutFd, `${JSON.stringify(report)}\n`);
}
