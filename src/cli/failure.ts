/**
 * What: how a failed command ends: `error: <what> (<CODE>)`, a hint, with --json one report object
 * on stdout, and the exit code.
 */
import { AbortError, ConfigurationError, errorCode, errorMessage } from '../errors.js';
import { writeReport } from '../observe/json.js';
import { failureReport } from '../observe/report.js';
import type { Role } from '../session/types.js';
import { exitCodeOfError, type ExitCode } from './exit-codes.js';
import { hintFor } from './hints.js';

/** The lines that tell an error, without line ends. */
export function errorLines(error: { code: string; message: string }): string[] {
  const hint = hintFor(error.code);
  const first = `error: ${error.message} (${error.code})`;
  return hint === undefined ? [first] : [first, `hint: ${hint}`];
}

/** Code and message of anything thrown. */
export function describeError(error: unknown): {
  code: ReturnType<typeof errorCode>;
  message: string;
} {
  return { code: errorCode(error), message: errorMessage(error) };
}

export interface FailureOptions {
  /** Print a report object for machines as well. */
  readonly json: boolean;
  readonly role: Role;
}

/** Tells an error that came before there was a session; returns the exit code. */
export function reportFailure(error: unknown, options: FailureOptions): ExitCode {
  const told = describeError(error);
  for (const line of errorLines(told)) process.stderr.write(`${line}\n`);
  const isUnexpected = told.code === 'ERR_PAGEFERRY_INTERNAL';
  if (isUnexpected && error instanceof Error && process.env['PAGEFERRY_DEBUG'] !== undefined) {
    process.stderr.write(`${error.stack ?? ''}\n`);
  }
  if (options.json) {
    const outcome = error instanceof AbortError ? 'aborted' : 'failed';
    writeReport(failureReport(told, options.role, outcome));
  }
  return exitCodeOfError(error);
}

/** Wrong usage that commander itself cannot see, such as two options that exclude each other. */
export function usageError(message: string): ConfigurationError {
  return new ConfigurationError('ERR_PAGEFERRY_USAGE', message);
}
