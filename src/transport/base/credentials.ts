/** What: reading files of credentials: certificates, keys, passwords. */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';

import { ConfigurationError } from '../../errors.js';

/** Certificates of a whole system's trust are about 220 KB; a key has a few KB. */
const fileBytesMax = 1024 * 1024;
const othersMask = 0o077;
const permissionsMask = 0o777;

/** What is wrong with a file of credentials; nothing can be done until somebody mends it. */
export function credentialsError(path: string, what: string, cause?: unknown): ConfigurationError {
  const code = 'ERR_PAGEFERRY_TRANSPORT_CREDENTIALS';
  return new ConfigurationError(code, `${path}: ${what}`, { cause });
}

async function checkedSize(file: FileHandle, path: string, isSecret: boolean): Promise<number> {
  const facts = await file.stat();
  if (!facts.isFile()) throw credentialsError(path, 'not a regular file');
  if (facts.size > fileBytesMax) {
    throw credentialsError(path, `${facts.size} bytes, expected at most ${fileBytesMax}`);
  }
  if (!isSecret) return facts.size;
  const user = process.geteuid?.();
  if (user !== undefined && facts.uid !== user && facts.uid !== 0) {
    throw credentialsError(path, `it belongs to user ${facts.uid}, not to you (${user}) or root`);
  }
  if ((facts.mode & othersMask) !== 0) {
    const mode = (facts.mode & permissionsMask).toString(8).padStart(4, '0');
    throw credentialsError(path, `others may access it (mode ${mode}); type: chmod 600 ${path}`);
  }
  return facts.size;
}

/**
 * The file's bytes; a secret one only when it is its owner's alone. Every check is made on the open
 * file, so that the path cannot change. Rejects with ConfigurationError.
 */
export async function readCredentials(path: string, isSecret: boolean): Promise<Buffer> {
  let file: FileHandle;
  try {
    // Without O_NONBLOCK, opening a named pipe would wait for a writer.
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch (cause) {
    throw credentialsError(path, 'cannot be opened', cause);
  }
  try {
    const bytes = Buffer.alloc(await checkedSize(file, path, isSecret));
    const { bytesRead } = await file.read(bytes, 0, bytes.length, 0);
    if (bytesRead !== bytes.length) throw credentialsError(path, 'it changed while being read');
    return bytes;
  } finally {
    await file.close();
  }
}
