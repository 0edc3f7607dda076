// Running other programs: quietly with the log kept for a failure, or on our own terminal.

import { spawn, spawnSync } from 'node:child_process';
import { constants } from 'node:os';

import { root } from './paths.mjs';

/** A failure the user is told in one line, without a stack. */
export class ScriptError extends Error {}

/** Runs a program and returns its output; the log of a failure goes into the error. */
export function runQuietly(command, args, options = {}) {
  const result = spawnSync(command, args, {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 256 * 1024 * 1024,
    ...options,
  });
  if (result.error) throw new ScriptError(`cannot run ${command}: ${result.error.message}`);
  if (result.status !== 0) {
    const log = `${result.stdout}${result.stderr}`.trimEnd();
    throw new ScriptError(`${log}\n${command} ${args.join(' ')}: ${ending(result)}`);
  }
  return result.stdout;
}

function ending(result) {
  return result.signal ? `ended by ${result.signal}` : `exit code ${result.status}`;
}

/**
 * Runs a program on our terminal and resolves to its exit code. Signals a terminal sends reach
 * the child by themselves; the others are passed on, and we stay until the child has ended.
 */
export function runOnTerminal(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, stdio: 'inherit', ...options });
    const pass = (signal) => child.kill(signal);
    const stay = () => undefined;
    process.on('SIGTERM', pass);
    process.on('SIGHUP', pass);
    process.on('SIGINT', stay);
    child.on('error', reject);
    child.on('close', (code, signal) => {
      process.off('SIGTERM', pass);
      process.off('SIGHUP', pass);
      process.off('SIGINT', stay);
      resolve(code ?? 128 + (constants.signals[signal] ?? 0));
    });
  });
}

/** Runs a script's main function; sets the exit code, and prints an error the short way. */
export async function main(body) {
  try {
    process.exitCode = (await body()) ?? 0;
  } catch (error) {
    console.error(error instanceof ScriptError ? error.message : error);
    process.exitCode = 1;
  }
}

/** Whether this module is the one that node was started with. */
export function isMain(url) {
  return process.argv[1] !== undefined && url === new URL(`file://${process.argv[1]}`).href;
}
