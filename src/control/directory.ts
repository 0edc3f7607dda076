/**
 * What: where the control sockets lie: $XDG_RUNTIME_DIR/pageferry, or /tmp/pageferry-UID. The
 * directory has to be this user's own with mode 0700: whoever could put a socket there could
 * answer for a session, and whoever could read it could steer one.
 */
import { chmod, lstat, mkdir, readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { isAbsolute, join } from 'node:path';

import { ConfigurationError } from '../errors.js';
import type { Role } from '../session/types.js';
import { SOCKET_PATH_BYTES_MAX, SOCKETS_MAX } from './limits.js';

/** Such as source-4711.sock: role and process. */
const namePattern = /^(source|destination)-(\d{1,10})\.sock$/;

export interface SocketName {
  readonly role: Role;
  readonly pid: number;
  readonly path: string;
}

function isUsable(path: string | undefined): path is string {
  return path !== undefined && isAbsolute(path);
}

/** The directory's path; nothing is made or checked. */
export function runtimeDirectory(environment: NodeJS.ProcessEnv = process.env): string {
  const base = environment['XDG_RUNTIME_DIR'];
  if (isUsable(base)) return join(base, 'pageferry');
  return join(tmpdir(), `pageferry-${process.getuid?.() ?? 0}`);
}

function refuse(path: string, why: string): never {
  const message = `the directory of control sockets ${path} ${why}`;
  throw new ConfigurationError('ERR_PAGEFERRY_RUNTIME_DIRECTORY', message);
}

/** Throws unless `path` is a directory of this user's alone. False: there is none. */
async function checkDirectory(path: string): Promise<boolean> {
  let status;
  try {
    status = await lstat(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
  if (!status.isDirectory()) refuse(path, 'is not a directory');
  if (status.uid !== process.getuid?.()) refuse(path, 'belongs to another user');
  if ((status.mode & 0o077) !== 0) refuse(path, 'is open to others (its mode has to be 0700)');
  return true;
}

/** Makes the directory where there is none, and checks it. */
export async function openRuntimeDirectory(path = runtimeDirectory()): Promise<string> {
  if (await checkDirectory(path)) return path;
  try {
    await mkdir(path, { mode: 0o700 });
    // The process's umask may have taken from it.
    await chmod(path, 0o700);
  } catch (cause) {
    // Another session may have made it at the same moment; the check below tells.
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') {
      const message = `cannot make the directory of control sockets ${path}`;
      throw new ConfigurationError('ERR_PAGEFERRY_RUNTIME_DIRECTORY', message, { cause });
    }
  }
  if (!(await checkDirectory(path))) refuse(path, 'vanished');
  return path;
}

/** The socket of a session of process `pid`. */
export function socketPath(directory: string, role: Role, pid: number): string {
  const path = join(directory, `${role}-${pid}.sock`);
  if (Buffer.byteLength(path) <= SOCKET_PATH_BYTES_MAX) return path;
  const message = `the path of the control socket ${path} is too long for a socket`;
  throw new ConfigurationError('ERR_PAGEFERRY_RUNTIME_DIRECTORY', message);
}

/** Sockets there are, in order of their names; none where there is no directory. */
export async function listSockets(directory = runtimeDirectory()): Promise<SocketName[]> {
  if (!(await checkDirectory(directory))) return [];
  const names = (await readdir(directory)).sort().slice(0, SOCKETS_MAX);
  return names.flatMap((name) => {
    const match = namePattern.exec(name);
    if (match === null) return [];
    const path = join(directory, name);
    return [{ role: match[1] as Role, pid: Number(match[2]), path }];
  });
}
