/**
 * What: `redis://[USER@]HOST:PORT[/DB]?name=NAME`, the same with `rediss:` (TLS), and
 * `redis+unix:///SOCKET?name=NAME`. Who listens and who dials meet by NAME.
 * A password never stands in an address, which others on the host can read: it comes from a file
 * (`password-file=FILE`) or from the environment.
 */
import {
  addressError,
  addressParameters,
  formatHostPort,
  parseHostPort,
  pemParameterNames,
  readCredentials,
  readPemFiles,
  schemeOf,
} from '../../src/transport/base/index.js';
import type { HostPort, PemFiles } from '../../src/transport/base/index.js';

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
  readTls(): Promise<PemFiles>;
  /** Throws ConfigurationError. */
  readPassword(): Promise<string | undefined>;
}

const common = ['name', 'password-file'] as const;
const local = [...common, 'user', 'db'] as const;
const network = [...common, 'sentinel', 'nodes'] as const;
const secure = [...network, ...pemParameterNames, 'tls-name'] as const;
type Parameter = (typeof local)[number] | (typeof secure)[number];
const namePattern = /^[A-Za-z0-9_.-]{1,64}$/;
const nodesMax = 16;

function knownParameters(scheme: string): readonly Parameter[] {
  if (scheme === 'redis+unix') return local;
  return scheme === 'rediss' ? secure : network;
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

function usernameOf(address: URL, user: string | undefined): string | undefined {
  if (address.password !== '') {
    throw addressError(
      address,
      `no password in it, but password-file=FILE, or ${passwordVariable} in the environment`,
    );
  }
  const username = decodeURIComponent(address.username);
  return username === '' ? user : username;
}

async function passwordFrom(file: string | undefined): Promise<string | undefined> {
  if (file === undefined) return process.env[passwordVariable];
  return (await readCredentials(file, true)).toString('utf8').replace(/\r?\n$/, '');
}

/** Throws ConfigurationError. */
export function parseBrokerAddress(address: URL): BrokerAddress {
  const scheme = schemeOf(address);
  const parameters = addressParameters(address, knownParameters(scheme));
  const { name = '' } = parameters;
  if (!namePattern.test(name) || address.hash !== '') {
    throw addressError(address, '?name=NAME, 1 to 64 letters, digits, _ . and -');
  }
  const isUnix = scheme === 'redis+unix';
  const path = decodeURIComponent(address.pathname);
  if (isUnix && (address.host !== '' || path.length < 2)) {
    throw addressError(address, 'redis+unix:///PATH?name=NAME');
  }
  const database = isUnix ? (parameters.db ?? '0') : address.pathname.slice(1) || '0';
  const place = isUnix ? { path } : { servers: serversOf(address, parameters.nodes) };
  const [first] = 'servers' in place ? place.servers : [];
  const at = first === undefined ? `${scheme}://${path}` : formatHostPort(scheme, first);
  return {
    shown: `${at}?name=${name}`,
    href: address.href,
    name,
    database: databaseOf(address, database),
    username: usernameOf(address, parameters.user),
    place,
    sentinelMaster: parameters.sentinel,
    isSecure: scheme === 'rediss',
    tlsName: parameters['tls-name'],
    readTls: () => readPemFiles(address, parameters),
    readPassword: () => passwordFrom(parameters['password-file']),
  };
}
