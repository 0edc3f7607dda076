/**
 * What: `grpc://HOST:PORT` and `grpcs://HOST:PORT?ca=FILE&cert=FILE&key=FILE&name=SERVER`.
 * A listener needs cert and key; with ca it demands a certificate of who dials. Who dials checks
 * the listener's certificate against ca, or the system's authorities, and against the host's name,
 * or `name`.
 */
import { isIPv4, isIPv6 } from 'node:net';

import {
  addressError,
  addressParameters,
  parseHostPort,
  pemParameterNames,
  readPemFiles,
  schemeOf,
  withoutParameters,
} from '../../src/transport/base/index.js';
import type { PemFiles } from '../../src/transport/base/index.js';

const secureParameters = [...pemParameterNames, 'name'] as const;

export interface GrpcAddress {
  readonly scheme: string;
  readonly host: string;
  readonly port: number;
  readonly isSecure: boolean;
  /** The name the server's certificate has to carry, where it is not the host. */
  readonly serverName: string | undefined;
  /** gRPC's own notation. */
  readonly target: string;
  /** The query, to be shown again in a listener's address. */
  readonly query: string;
  /** Throws ConfigurationError. */
  readTls(): Promise<PemFiles>;
}

function targetOf(host: string, port: number): string {
  if (isIPv4(host)) return `ipv4:${host}:${port}`;
  return isIPv6(host) ? `ipv6:[${host}]:${port}` : `dns:${host}:${port}`;
}

/** Throws ConfigurationError. */
export function parseGrpcAddress(address: URL, purpose: 'dial' | 'listen'): GrpcAddress {
  const scheme = schemeOf(address);
  const isSecure = scheme === 'grpcs';
  const { host, port } = parseHostPort(withoutParameters(address), purpose);
  const parameters = addressParameters(address, isSecure ? secureParameters : []);
  if (isSecure && purpose === 'listen' && parameters.cert === undefined) {
    throw addressError(address, 'the parameters cert and key, the listener’s own certificate');
  }
  return {
    scheme,
    host,
    port,
    isSecure,
    serverName: parameters.name,
    target: targetOf(host, port),
    query: address.search,
    readTls: () => readPemFiles(address, parameters),
  };
}
