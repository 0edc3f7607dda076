/**
 * What: what TLS is told: version, ciphers, and the credentials as the files have them. One
 * version and three ciphers only: both ends are Pageferry. No tickets: every lane authenticates
 * itself anew, with the credentials of that moment.
 */
import { X509Certificate, constants } from 'node:crypto';
import { checkServerIdentity, createSecureContext } from 'node:tls';
import type { PeerCertificate, SecureContext, SecureContextOptions } from 'node:tls';

import { laneError, systemError } from '../../src/transport/base/index.js';
import type { TlsSecrets } from '../../src/transport/base/index.js';
import type { TransportPhase } from '../../src/errors.js';

/** Keeps lanes apart from other protocols whose servers use the same certificates (RFC 7301). */
export const laneProtocol = 'pageferry-lane/1';

/**
 * The first byte of the accepting side. In TLS 1.3 the dialing side has finished the handshake
 * before its certificate was looked at, so only this tells it that it was let in.
 */
export const welcomeByte = 1;

/**
 * What TLS may still hand over after it was told to stop: one read of the system (64 KiB) and the
 * record of at most 16 KiB and overhead that was incomplete before it, with room to spare.
 */
export const tlsReadAheadBytes = 96 * 1024;

/** The payload is sealed already with 256 bits; here the cheapest sound cipher comes first. */
const ciphers = 'TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384';
/** A key shared beforehand goes with SHA-256 alone in OpenSSL. */
const pskCiphers = 'TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256';

export interface TlsContext {
  readonly options: SecureContextOptions;
  readonly secure: SecureContext;
  /** Keys by identity; undefined where certificates are used. */
  readonly keys: ReadonlyMap<string, Buffer> | undefined;
}

/** Throws what node:tls throws when the files hold no usable credentials. */
export function buildContext(secrets: TlsSecrets): TlsContext {
  const common = {
    minVersion: 'TLSv1.3',
    maxVersion: 'TLSv1.3',
    secureOptions: constants.SSL_OP_NO_TICKET,
  } as const;
  if (secrets.kind === 'psk') {
    const options = { ...common, ciphers: pskCiphers };
    return { options, secure: createSecureContext(options), keys: secrets.keys };
  }
  const { cert, key, ca } = secrets;
  // A file without a certificate would silently trust nobody.
  new X509Certificate(ca);
  const options = { ...common, ciphers, cert, key, ca };
  return { options, secure: createSecureContext(options), keys: undefined };
}

/** What is wrong with the name in a peer's certificate, if anything. */
export function nameProblem(name: string, certificate: PeerCertificate): Error | undefined {
  return checkServerIdentity(name, certificate);
}

function isSystemCode(code: string): boolean {
  return /^(E[A-Z0-9]+|EAI_[A-Z]+)$/.test(code);
}

/** A failure of a handshake, or of the connection below it. */
export function handshakeError(error: Error, phase: TransportPhase, doing: string): Error {
  const { code = '' } = error as NodeJS.ErrnoException;
  if (isSystemCode(code)) return systemError(error, phase, doing);
  return unauthenticated(phase, `cannot ${doing}: TLS does not authenticate it`, error);
}

/** The peer is not who it has to be, or does not take this side for who it has to be. */
export function unauthenticated(phase: TransportPhase, message: string, cause?: unknown): Error {
  return laneError('UNAUTHENTICATED', message, { phase, cause });
}
