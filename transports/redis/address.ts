/**
 * What: `redis://[USER@]HOST:PORT[/DB]?name=NAME`, the same with `rediss:` (TLS), and
 * `redis+unix:///SOCKET?name=NAME`. Who listens and who dials meet by NAME.
 * A password never stands in an address, which others on the host can read: it comes from a file
 * (`password-file=FILE`) or from the environment.
 */
import {
  addressError,
  formatHostPort,
  parseHostPort,
  schemeOf,
} from '../../src/transport/base/index.js';
import type { HostPort } from '../../src/transport/base/index.js';
import { parametersOf } from '../common/parameters.js';
import { readCredentials, readTlsFiles, tlsParameterNames } from '../common/tls-files.js';
import type { TlsFiles } from '../common/tls-files.js';

/** Names the variable that holds the password when no file is given. */
export const passwordVariable = 'PAGEFERRY_REDIS_PASSWORD';

export interface BrokerAddress {
  /** For people, without user and credentials. */
  readonly shown: string;
  /** What a peer dials, with everything that was given. */
  readonly href: string;
  readonly name: string;
  readonly database: number;
  readonly username: string | undefined;
  /** A socket, or servers of which any will do (nodes of a Cluster, or Sentinels). */
  readonly place: { readonly path: string } | { readonly servers: readonly HostPort[] };
  /** The master's name; `servers` are Sentinels then. */
  readonly sentinelMaster: string | undefined;
  readonly isSecure: boolean;
  /** The name the broker's certificate has to carry, where it is not the host. */
  readonly tlsName: string | undefined;
  /** Throws ConfigurationError. */
  readTls(): Promise<TlsFiles>;
  /** Throws ConfigurationError. */
  readPassword(): Promise<string | undefined>;
}

const common = ['name', 'password-file'];
const namePattern = /^[A-Za-z0-9_.-]{1,64}$/;
const nodesMax = 16;

function knownParameters(scheme: string): readonly string[] {
  if (scheme === 'redis+unix') return [...common, 'user', 'db'];
  const network = [...common, 'sentinel', 'nodes'];
  return scheme === 'rediss' ? [...network, ...tlsParameterNames, 'tls-name'] : network;
}

function databaseOf(address: URL, text: string): number {
  if (/^\d{1,4}$/.test(text)) return Number(text);
  throw addressError(address, 'the number of a database after the port');
}

function serversOf(address: URL, nodes: string | undefined): HostPort[] {
  const first = parseHostPort(new URL(`redis://${address.host}`), 'dial');
  const others = (nodes ?? '').split(',').filter((node) => node !== '');
  if (others.length >= nodesMax) throw addressError(address, `at most ${nodesMax} nodes`);
  const parsed = others.map((node) => {
    if (!URL.canParse(`redis://${node}`)) throw addressError(address, 'nodes=HOST:PORT,...');
    return parseHostPort(new URL(`redis://${node}`), 'dial');
  });
  return [first, ...parsed];
}

function usernameOf(address: URL, parameters: ReadonlyMap<string, string>): string | undefined {
  if (address.password !== '') {
    throw addressError(
      address,
      `no password in it, but password-file=FILE, or ${passwordVariable} in the environment`,
    );
  }
  const username = decodeURIComponent(address.username);
  return username === '' ? parameters.get('user') : username;
}

async function passwordFrom(file: string | undefined): Promise<string | undefined> {
  if (file === undefined) return process.env[passwordVariable];
  return (await readCredentials(file, true)).toString('utf8').replace(/\r?\n$/, '');
}

/** Throws ConfigurationError. */
export function parseBrokerAddress(address: URL): BrokerAddress {
  const scheme = schemeOf(address);
  const parameters = parametersOf(address, knownParameters(scheme));
  const name = parameters.get('name') ?? '';
  if (!namePattern.test(name) || address.hash !== '') {
    throw addressError(address, '?name=NAME, 1 to 64 letters, digits, _ . and -');
  }
  const isUnix = scheme === 'redis+unix';
  const path = decodeURIComponent(address.pathname);
  if (isUnix && (address.host !== '' || path.length < 2)) {
    throw addressError(address, 'redis+unix:///PATH?name=NAME');
  }
  const database = isUnix ? (parameters.get('db') ?? '0') : address.pathname.slice(1) || '0';
  const place = isUnix ? { path } : { servers: serversOf(address, parameters.get('nodes')) };
  const [first] = 'servers' in place ? place.servers : [];
  const at = first === undefined ? `${scheme}://${path}` : formatHostPort(scheme, first);
  return {
    shown: `${at}?name=${name}`,
    href: address.href,
    name,
    database: databaseOf(address, database),
    username: usernameOf(address, parameters),
    place,
    sentinelMaster: parameters.get('sentinel'),
    isSecure: scheme === 'rediss',
    tlsName: parameters.get('tls-name'),
    readTls: () => readTlsFiles(address, parameters),
    readPassword: () => passwordFrom(parameters.get('password-file')),
  };
}
