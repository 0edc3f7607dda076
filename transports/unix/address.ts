/** What: addresses of local sockets. Pure. */
import { isAbsolute, normalize } from 'node:path';

import {
  addressError,
  addressParameters,
  withoutParameters,
} from '../../src/transport/base/index.js';

export interface UnixAddress {
  readonly path: string;
  /** Permissions: what a listener's socket gets, and the most one that is dialled may have. */
  readonly mode: number;
  /** A user besides root and oneself who may own a socket that is dialled. */
  readonly owner: number | undefined;
}

/** sun_path has 108 bytes with its terminating zero. */
export const socketPathBytesMax = 107;
const ownerOnly = 0o600;
/** Connecting takes write permission; reading, nobody checks: 6 or nothing for each. */
const modePattern = /^0?6[06][06]$/;

/** `unix:///path`, absolute and written without detours. Throws ConfigurationError. */
export function parseUnixAddress(address: URL): UnixAddress {
  const { mode, owner } = addressParameters(address, ['mode', 'owner']);
  const { host, hash, username, password, pathname } = withoutParameters(address);
  const expected = `unix:///PATH, at most ${socketPathBytesMax} bytes, without . and ..`;
  if (`${host}${hash}${username}${password}` !== '') throw addressError(address, expected);
  const path = decoded(pathname);
  const isPlain = path !== undefined && isAbsolute(path) && normalize(path) === path;
  if (!isPlain || path.endsWith('/') || path.includes('\0')) throw addressError(address, expected);
  if (Buffer.byteLength(path) > socketPathBytesMax) throw addressError(address, expected);
  if (mode !== undefined && !modePattern.test(mode)) {
    throw addressError(address, 'mode 600, 660, 606 or 666');
  }
  if (owner !== undefined && !/^\d{1,10}$/.test(owner)) {
    throw addressError(address, 'the number of a user as owner');
  }
  return {
    path,
    mode: mode === undefined ? ownerOnly : Number.parseInt(mode, 8),
    owner: owner === undefined ? undefined : Number(owner),
  };
}

function decoded(pathname: string): string | undefined {
  try {
    return decodeURIComponent(pathname);
  } catch (error) {
    if (error instanceof URIError) return undefined;
    throw error;
  }
}
