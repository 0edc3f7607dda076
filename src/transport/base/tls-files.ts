/**
 * What: the credentials of transports that use TLS: which files an address names, reading them with
 * their checks, and reading them again when they have changed.
 *
 *     ?cert=FILE&key=FILE&ca=FILE[&name=NAME]   mutual authentication by certificate (PEM)
 *     ?psk=FILE[&identity=NAME]                 a key both sides share: lines IDENTITY:HEX
 *
 * There is no third way: a lane over TLS is authenticated on both sides or does not come about.
 */
import { constants } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';

import { ConfigurationError } from '../../errors.js';
import { addressError } from './address.js';
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

/** Certificates of a whole system's trust are about 220 KB; a key has a few KB. */
const fileBytesMax = 1024 * 1024;
const othersMask = 0o077;
const permissionsMask = 0o777;

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

/** The file's bytes. Every check is made on the open file, so that the path cannot change. */
async function readChecked(path: string, isSecret: boolean): Promise<Buffer> {
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

async function readSecrets(files: TlsFiles): Promise<TlsSecrets> {
  if (files.kind === 'psk') {
    const text = await readChecked(files.psk, true);
    try {
      const parsed = parsePskFile(text);
      if (typeof parsed === 'string') throw credentialsError(files.psk, parsed);
      return { kind: 'psk', keys: parsed };
    } finally {
      text.fill(0);
    }
  }
  const [cert, key, ca] = await Promise.all([
    readChecked(files.cert, false),
    readChecked(files.key, true),
    readChecked(files.ca, false),
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
