/**
 * What: the credentials of transports that use TLS: which files an address names, reading them with
 * their checks, and reading them again when they have changed.
 *
 *     ?cert=FILE&key=FILE&ca=FILE[&name=NAME]   mutual authentication by certificate (PEM)
 *     ?psk=FILE[&identity=NAME]                 a key both sides share: lines IDENTITY:HEX
 *
 * There is no third way: a lane over TLS is authenticated on both sides or does not come about.
 */
import { stat } from 'node:fs/promises';

import { ConfigurationError } from '../../errors.js';
import { addressError } from './address.js';
import { credentialsError, readCredentials } from './credentials.js';
import { addressParameters } from './parameters.js';
import { parsePskFile } from './tls-psk.js';

export interface CertificateFiles {
  readonly kind: 'certificate';
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
  /** The name the peer's certificate must have; undefined: the host dialled, or any of the CA's. */
  readonly name: string | undefined;
}

export interface PskFiles {
  readonly kind: 'psk';
  readonly psk: string;
  /** Which line of the file the dialing side uses; undefined: the first. */
  readonly identity: string | undefined;
}

export type TlsFiles = CertificateFiles | PskFiles;

export interface CertificateSecrets {
  readonly kind: 'certificate';
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly ca: Buffer;
}

export interface PskSecrets {
  readonly kind: 'psk';
  /** Keys by identity, in the file's order; never empty. */
  readonly keys: ReadonlyMap<string, Buffer>;
}

export type TlsSecrets = CertificateSecrets | PskSecrets;

export const tlsParameterNames = ['cert', 'key', 'ca', 'name', 'psk', 'identity'] as const;

const usage =
  'either ?cert=FILE&key=FILE&ca=FILE (and name=NAME), or ?psk=FILE (and identity=NAME)';

/** The files an address names. Throws ConfigurationError unless they make one whole of the two. */
export function parseTlsFiles(address: URL): TlsFiles {
  const given = addressParameters(address, tlsParameterNames);
  const { cert, key, ca, name, psk, identity } = given;
  if (psk === undefined) {
    if (cert === undefined || key === undefined || ca === undefined || identity !== undefined) {
      throw addressError(address, usage);
    }
    return { kind: 'certificate', cert, key, ca, name };
  }
  if (cert !== undefined || key !== undefined || ca !== undefined || name !== undefined) {
    throw addressError(address, usage);
  }
  return { kind: 'psk', psk, identity };
}

async function readSecrets(files: TlsFiles): Promise<TlsSecrets> {
  if (files.kind === 'psk') {
    const text = await readCredentials(files.psk, true);
    try {
      const parsed = parsePskFile(text);
      if (typeof parsed === 'string') throw credentialsError(files.psk, parsed);
      return { kind: 'psk', keys: parsed };
    } finally {
      text.fill(0);
    }
  }
  const [cert, key, ca] = await Promise.all([
    readCredentials(files.cert, false),
    readCredentials(files.key, true),
    readCredentials(files.ca, false),
  ]);
  return { kind: 'certificate', cert, key, ca };
}

/** What tells one state of a file from another; a file that is replaced gets another inode. */
async function stateOf(path: string): Promise<string> {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
    return [dev, ino, size, mtimeNs, ctimeNs].join(' ');
  } catch (cause) {
    throw credentialsError(path, 'cannot be looked at', cause);
  }
}

/**
 * The credentials as the files have them now, turned into a `Context` by `build`; read and built
 * again only when a file has changed. `current` rejects with ConfigurationError while the files
 * cannot be used: a lane is refused then rather than opened with credentials that were withdrawn.
 */
export class TlsCredentials<Context> {
  readonly files: TlsFiles;
  readonly #build: (secrets: TlsSecrets) => Context;
  readonly #paths: readonly string[];
  #state: string | undefined;
  #context: Promise<Context> | undefined;

  constructor(files: TlsFiles, build: (secrets: TlsSecrets) => Context) {
    this.files = files;
    this.#build = build;
    this.#paths = files.kind === 'psk' ? [files.psk] : [files.cert, files.key, files.ca];
  }

  async current(): Promise<Context> {
    const state = (await Promise.all(this.#paths.map(stateOf))).join('\n');
    if (this.#context !== undefined && state === this.#state) return this.#context;
    this.#state = state;
    const context = this.#read();
    this.#context = context;
    // A failure is not kept: the file may be mended without a change that shows.
    context.catch(() => {
      if (this.#context === context) this.#context = undefined;
    });
    return context;
  }

  async #read(): Promise<Context> {
    const secrets = await readSecrets(this.files);
    try {
      return this.#build(secrets);
    } catch (error) {
      if (error instanceof ConfigurationError) throw error;
      const which = this.#paths.join(', ');
      throw credentialsError(which, 'no usable TLS credentials', error);
    }
  }
}
