/**
 * What: the TLS files an address names, `?ca=FILE&cert=FILE&key=FILE`, in PEM. They are read when
 * something is opened, so that a renewed certificate counts from the next dial or listener on.
 */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';

import { ConfigurationError } from '../../src/transport/index.js';
import { addressError } from '../../src/transport/base/index.js';

export const tlsParameterNames = ['ca', 'cert', 'key'] as const;

export interface TlsFiles {
  /** Who may have signed the other side's certificate; absent: the system's authorities. */
  readonly ca?: Buffer;
  readonly identity?: { readonly cert: Buffer; readonly key: Buffer };
}

/** A chain of a hundred certificates is below this; a key file that is larger is no key file. */
const fileBytesMax = 1024 * 1024;
const othersMask = 0o077;

/**
 * A file of credentials; a secret one only when it is its owner's alone. Throws ConfigurationError.
 */
export async function readCredentials(path: string, isSecret: boolean): Promise<Buffer> {
  try {
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const { size, mode } = await file.stat();
      if (size > fileBytesMax) throw new Error(`it has ${size} bytes, more than ${fileBytesMax}`);
      if (isSecret && (mode & othersMask) !== 0) {
        throw new Error(`others may access it; type: chmod 600 ${path}`);
      }
      return await file.readFile();
    } finally {
      await file.close();
    }
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : '';
    const message = `cannot take credentials from ${path}: ${why}`;
    throw new ConfigurationError('ERR_PAGEFERRY_TRANSPORT_CREDENTIALS', message, { cause });
  }
}

/** Reads what `parameters` name. Throws ConfigurationError, also when one of a pair is missing. */
export async function readTlsFiles(
  address: URL,
  parameters: ReadonlyMap<string, string>,
): Promise<TlsFiles> {
  const [ca, cert, key] = tlsParameterNames.map((name) => parameters.get(name));
  if ((cert === undefined) !== (key === undefined)) {
    throw addressError(address, 'the parameters cert and key together');
  }
  return {
    ...(ca === undefined ? {} : { ca: await readCredentials(ca, false) }),
    ...(cert === undefined || key === undefined
      ? {}
      : {
          identity: {
            cert: await readCredentials(cert, false),
            key: await readCredentials(key, true),
          },
        }),
  };
}
