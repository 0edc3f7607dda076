/** Addresses and keys for lanes over TLS. */
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';

import type { Authority, CertificateFiles } from './certificates.js';

/** Parameters of an address: `identity` as this side's, `authority` as the one that is trusted. */
export function tlsParameters(
  authority: Authority,
  { cert, key }: CertificateFiles,
  more: Readonly<Record<string, string>> = {},
): string {
  return new URLSearchParams({ cert, key, ca: authority.ca, ...more }).toString();
}

/** Writes a file of keys for TLS-PSK with one entry, and returns its path. */
export function writePsk(path: string, identity = 'ferry', key = randomBytes(32)): string {
  writeFileSync(path, `${identity}:${key.toString('hex')}\n`, { mode: 0o600 });
  return path;
}
