/**
 * What: where a pre-shared secret may come from: a file, a descriptor, or the environment. Never
 * the command line, which every user of the machine can read.
 */
import { readSync } from 'node:fs';

import { ConfigurationError } from '../errors.js';
import { readKeyFile } from './files.js';
import {
  KEY_FILE_BYTES_MAX,
  KEY_FILE_START,
  keyError,
  parseBareKey,
  parseKeyFile,
} from './format.js';

/** The variable that may hold the secret, in hexadecimal or base64. */
export const KEY_VARIABLE = 'PAGEFERRY_KEY';

export interface KeySource {
  readonly file?: string | undefined;
  readonly fd?: number | undefined;
}

function readDescriptor(fd: number, into: Buffer): number {
  let filled = 0;
  try {
    while (filled < into.length) {
      const bytes = readSync(fd, into, filled, into.length - filled, null);
      if (bytes === 0) break;
      filled += bytes;
    }
  } catch (cause) {
    const problem = `cannot read the key from descriptor ${fd}`;
    throw new ConfigurationError('ERR_PAGEFERRY_KEY_FILE_UNREADABLE', problem, { cause });
  }
  return filled;
}

/** Reads a secret from an open descriptor up to its end: a key file's text, or the bare key. */
export function readKeyDescriptor(fd: number): Buffer {
  const origin = `descriptor ${fd}`;
  const buffer = Buffer.alloc(KEY_FILE_BYTES_MAX + 1);
  try {
    const bytes = readDescriptor(fd, buffer);
    if (bytes > KEY_FILE_BYTES_MAX) {
      const problem = `more than ${KEY_FILE_BYTES_MAX} bytes came`;
      throw keyError('ERR_PAGEFERRY_KEY_FILE_LARGE', origin, problem);
    }
    const text = buffer.subarray(0, bytes);
    return text.subarray(0, KEY_FILE_START.length).equals(KEY_FILE_START)
      ? parseKeyFile(text, 'session', origin)
      : parseBareKey(text, origin);
  } finally {
    buffer.fill(0);
  }
}

/**
 * Reads the secret from the one place that is given; the caller wipes it. The variable is taken
 * out of `environment`, so that child processes do not inherit it.
 */
export async function readKey(
  source: KeySource,
  environment: NodeJS.ProcessEnv = process.env,
): Promise<Buffer> {
  const variable = environment[KEY_VARIABLE];
  if (source.file !== undefined && source.fd !== undefined) {
    const problem = 'the key is given twice: by file and by descriptor';
    throw new ConfigurationError('ERR_PAGEFERRY_KEY_AMBIGUOUS', problem);
  }
  // What is said on the command line goes before what the environment happens to hold.
  if (source.file !== undefined) return readKeyFile(source.file);
  if (source.fd !== undefined) return readKeyDescriptor(source.fd);
  if (variable === undefined || variable === '') {
    const problem = `no key: give --key-file FILE, --key-fd N or the variable ${KEY_VARIABLE}`;
    throw new ConfigurationError('ERR_PAGEFERRY_KEY_REQUIRED', problem);
  }
  // eslint-disable-next-line @typescript-eslint/no-dynamic-delete -- a constant name
  delete environment[KEY_VARIABLE];
  const text = Buffer.from(variable, 'utf8');
  try {
    return parseBareKey(text, `variable ${KEY_VARIABLE}`);
  } finally {
    text.fill(0);
  }
}
