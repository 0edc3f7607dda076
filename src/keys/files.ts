/**
 * What: key files on disk: made once and never overwritten, read only when nobody else can read
 * them. Every check is made on the open file, so that a path cannot change in between.
 */
import { randomFillSync } from 'node:crypto';
import { constants } from 'node:fs';
import { open, unlink, type FileHandle } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

import { ConfigurationError } from '../errors.js';
import {
  formatKeyFile,
  KEY_BYTES_MIN,
  KEY_FILE_BYTES_MAX,
  keyError,
  parseKeyFile,
  type KeyKind,
} from './format.js';

const ownerOnly = 0o600;
const othersMask = 0o077;

function errnoOf(error: unknown): string {
  return (error as NodeJS.ErrnoException | undefined)?.code ?? '';
}

async function openToRead(path: string): Promise<FileHandle> {
  try {
    // Without O_NONBLOCK, opening a named pipe would wait for a writer.
    return await open(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch (cause) {
    if (errnoOf(cause) === 'ENOENT') {
      const hint = `there is no such key file; make one with: pageferry keys generate ${path}`;
      throw keyError('ERR_PAGEFERRY_KEY_FILE_MISSING', path, hint);
    }
    const problem = `${path}: cannot open the key file`;
    throw new ConfigurationError('ERR_PAGEFERRY_KEY_FILE_UNREADABLE', problem, { cause });
  }
}

async function checkFile(file: FileHandle, path: string): Promise<number> {
  const facts = await file.stat();
  if (!facts.isFile()) {
    throw keyError('ERR_PAGEFERRY_KEY_FILE_KIND', path, 'the key file is not a regular file');
  }
  const user = process.geteuid?.();
  if (user !== undefined && facts.uid !== user && facts.uid !== 0) {
    const problem = `the key file belongs to user ${facts.uid}, not to you (${user}) or root`;
    throw keyError('ERR_PAGEFERRY_KEY_FILE_OWNER', path, problem);
  }
  if ((facts.mode & othersMask) !== 0) {
    const mode = (facts.mode & 0o777).toString(8).padStart(4, '0');
    const problem = `others may access the key file (mode ${mode}); type: chmod 600 ${path}`;
    throw keyError('ERR_PAGEFERRY_KEY_FILE_MODE', path, problem);
  }
  if (facts.size > KEY_FILE_BYTES_MAX) {
    const problem = `the file has ${facts.size} bytes, a key file at most ${KEY_FILE_BYTES_MAX}`;
    throw keyError('ERR_PAGEFERRY_KEY_FILE_LARGE', path, problem);
  }
  return facts.size;
}

/** Fills `into` from the file's present position; returns the bytes read before the end. */
async function readFully(file: FileHandle, into: Buffer): Promise<number> {
  let filled = 0;
  while (filled < into.length) {
    const { bytesRead } = await file.read(into, filled, into.length - filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return filled;
}

/** Reads a key file and returns the secret, which the caller wipes. */
export async function readKeyFile(path: string, kind: KeyKind = 'session'): Promise<Buffer> {
  const file = await openToRead(path);
  try {
    const size = await checkFile(file, path);
    // One byte more than the file had, so that one that grows meanwhile is noticed.
    const text = Buffer.alloc(size + 1);
    try {
      const bytes = await readFully(file, text);
      if (bytes !== size) {
        throw keyError('ERR_PAGEFERRY_KEY_FILE_FORMAT', path, 'the file changed while being read');
      }
      return parseKeyFile(text.subarray(0, bytes), kind, path);
    } finally {
      text.fill(0);
    }
  } finally {
    await file.close();
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

async function createFile(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'wx', ownerOnly);
  } catch (cause) {
    if (errnoOf(cause) === 'EEXIST') {
      const problem = 'the file exists already and is never overwritten; name another one';
      throw keyError('ERR_PAGEFERRY_KEY_FILE_EXISTS', path, problem);
    }
    const problem = `${path}: cannot create the key file`;
    throw new ConfigurationError('ERR_PAGEFERRY_KEY_FILE_WRITE', problem, { cause });
  }
}

/** Makes a key file of fresh random bytes, mode 0600, on disk when this resolves. */
export async function generateKeyFile(path: string, kind: KeyKind = 'session'): Promise<void> {
  const secret = randomFillSync(Buffer.alloc(KEY_BYTES_MIN));
  const text = formatKeyFile(secret, kind);
  try {
    const file = await createFile(path);
    try {
      await file.chmod(ownerOnly);
      await file.writeFile(text);
      await file.sync();
    } catch (cause) {
      await unlink(path);
      const problem = `${path}: cannot write the key file`;
      throw new ConfigurationError('ERR_PAGEFERRY_KEY_FILE_WRITE', problem, { cause });
    } finally {
      await file.close();
    }
    await syncDirectory(dirname(resolve(path)));
  } finally {
    secret.fill(0);
    text.fill(0);
  }
}
