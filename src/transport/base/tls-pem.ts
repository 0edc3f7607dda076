/**
 * What: the TLS files an address may name, `?ca=FILE&cert=FILE&key=FILE`, in PEM, for transports
 * that leave TLS to a library and to which of them is given. They are read when something is
 * opened, so that a renewed certificate counts from the next dial or listener on.
 */
import { addressError } from './address.js';
import { readCredentials } from './credentials.js';

export const pemParameterNames = ['ca', 'cert', 'key'] as const;

export interface PemFiles {
  /** Who may have signed the other side's certificate; absent: the system's authorities. */
  readonly ca?: Buffer;
  readonly identity?: { readonly cert: Buffer; readonly key: Buffer };
}

/** Reads what `parameters` name. Throws ConfigurationError, also when one of a pair is missing. */
export async function readPemFiles(
  address: URL,
  parameters: Readonly<Partial<Record<(typeof pemParameterNames)[number], string>>>,
): Promise<PemFiles> {
  const { ca, cert, key } = parameters;
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
