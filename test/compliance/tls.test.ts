import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import type { ConnectionOptions, TLSSocket } from 'node:tls';

import tls from '../../transports/tls/index.js';
import { transportCompliance } from '../../src/transport/compliance/index.js';
import type { ComplianceTarget } from '../../src/transport/compliance/index.js';
import { Authority } from '../support/certificates.js';
import { openStranger, refusedPort, silentPort } from '../support/tcp-peers.js';
import { tlsParameters, writePsk } from '../support/tls-lanes.js';

const hooks = [
  ...(['refusedAddress', 'unresolvableAddress', 'silentAddress'] as const),
  ...(['openStranger', 'openPasserBy'] as const),
];

/** A peer that authenticates itself as it should and then writes what it likes. */
async function openSecureStranger(address: URL, options: ConnectionOptions): Promise<TLSSocket> {
  const socket = connect({
    host: address.hostname,
    port: Number(address.port),
    ALPNProtocols: ['pageferry-lane/1'],
    ...options,
  });
  await once(socket, 'secureConnect');
  return socket;
}

function target(
  parameters: string,
  credentials: ConnectionOptions,
  directory: string,
): ComplianceTarget {
  const at = (port: number): URL => new URL(`tls://127.0.0.1:${port}?${parameters}`);
  return {
    transport: tls(),
    listenAddress: () => at(0),
    dialAddress: (address) => new URL(`${address}?${parameters}`),
    refusedAddress: async () => at(await refusedPort()),
    unresolvableAddress: () => new URL(`tls://nobody.invalid:7700?${parameters}`),
    async silentAddress() {
      const { port, release } = await silentPort();
      return { address: at(port), release };
    },
    openStranger: (address) => openSecureStranger(address, credentials),
    openPasserBy: openStranger,
    close() {
      rmSync(directory, { recursive: true });
      return Promise.resolve();
    },
  };
}

transportCompliance({
  name: 'tls with certificates',
  hooks,
  create() {
    const authority = new Authority();
    const identity = authority.issue('host', 'IP:127.0.0.1');
    const credentials = {
      cert: readFileSync(identity.cert),
      key: readFileSync(identity.key),
      ca: readFileSync(authority.ca),
    };
    const parameters = tlsParameters(authority, identity);
    return Promise.resolve(target(parameters, credentials, authority.directory));
  },
});

transportCompliance({
  name: 'tls with a shared key',
  hooks,
  create() {
    const directory = mkdtempSync(join(tmpdir(), 'pageferry-test-'));
    const file = writePsk(join(directory, 'lane.psk'));
    const psk = Buffer.from(readFileSync(file, 'utf8').trim().split(':')[1] ?? '', 'hex');
    const credentials = {
      ciphers: 'TLS_AES_128_GCM_SHA256',
      pskCallback: () => ({ psk, identity: 'ferry' }),
      checkServerIdentity: () => new Error('a certificate'),
    };
    const parameters = new URLSearchParams({ psk: file }).toString();
    return Promise.resolve(target(parameters, credentials, directory));
  },
});
