/**
 * What: strict reading of transport addresses. An address that is only nearly right is refused
 * with what was expected; nothing is guessed.
 */
import { isIPv4, isIPv6 } from 'node:net';

import { ConfigurationError } from '../../errors.js';

/** A refused address: `expected` completes "expected ...". */
export function addressError(address: URL | string, expected: string): ConfigurationError {
  const shown = withoutSecrets(address);
  return new ConfigurationError(
    'ERR_PAGEFERRY_TRANSPORT_ADDRESS',
    `"${shown}" is no address for a lane: expected ${expected}`,
  );
}

/** The address as it may be shown: without user and password. */
function withoutSecrets(address: URL | string): string {
  return String(address).replace(/\/\/[^/]*@/, '//');
}

const schemePattern = /^[a-z][a-z0-9+.-]*:\/\//;

/** The URL in `text`; it has a scheme and `//`, whatever follows is the transport's to judge. */
export function parseAddress(text: string): URL {
  const expected = 'a URL such as tcp://192.0.2.1:7700';
  if (!schemePattern.test(text)) throw addressError(text, expected);
  try {
    return new URL(text);
  } catch (error) {
    throw new ConfigurationError(
      'ERR_PAGEFERRY_TRANSPORT_ADDRESS',
      `"${withoutSecrets(text)}" is no address for a lane: expected ${expected}`,
      { cause: error },
    );
  }
}

/** The scheme of a URL, without colon. */
export function schemeOf(address: URL): string {
  return address.protocol.slice(0, -1);
}

export interface HostPort {
  /** A name, an IPv4 address, or an IPv6 address without brackets. */
  readonly host: string;
  readonly port: number;
}

const labelPattern = /^[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$/;
const longestName = 253;

function isName(host: string): boolean {
  if (host.length === 0 || host.length > longestName) return false;
  const labels = host.replace(/\.$/, '').split('.');
  // 1.2.3 and 300.1.1.1 are mistyped addresses, not names.
  return labels.every((label) => labelPattern.test(label)) && !/^\d+$/.test(labels.at(-1) ?? '');
}

function isNothingElse(address: URL): boolean {
  const { pathname, search, hash, username, password } = address;
  return (pathname === '' || pathname === '/') && `${search}${hash}${username}${password}` === '';
}

/**
 * Host and port of `scheme://host:port`, and nothing else. Port 0 (any free one) only where
 * `purpose` is listening.
 */
export function parseHostPort(address: URL, purpose: 'dial' | 'listen'): HostPort {
  const scheme = schemeOf(address);
  const lowest = purpose === 'listen' ? 0 : 1;
  const expected = `${scheme}://HOST:PORT, IPv6 in brackets, PORT from ${lowest} to 65535`;
  const bracketed = /^\[(.*)\]$/.exec(address.hostname)?.[1];
  const host = bracketed ?? address.hostname;
  const isHost = bracketed === undefined ? isIPv4(host) || isName(host) : isIPv6(bracketed);
  const port = address.port === '' ? -1 : Number(address.port);
  if (!isHost || !isNothingElse(address) || port < lowest) throw addressError(address, expected);
  return { host, port };
}

/** `scheme://host:port`, with brackets where they belong. */
export function formatHostPort(scheme: string, { host, port }: HostPort): string {
  return `${scheme}://${isIPv6(host) ? `[${host}]` : host}:${port}`;
}
