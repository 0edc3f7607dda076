import grpc from '../../transports/grpc/index.js';
import { transportCompliance } from '../../src/transport/compliance/index.js';
import { openStranger, refusedPort, silentPort } from '../support/tcp-peers.js';

transportCompliance({
  name: 'grpc',
  hooks: ['refusedAddress', 'unresolvableAddress', 'silentAddress', 'openPasserBy'],
  create: () =>
    Promise.resolve({
      transport: grpc(),
      listenAddress: () => new URL('grpc://127.0.0.1:0'),
      async refusedAddress() {
        return new URL(`grpc://127.0.0.1:${await refusedPort()}`);
      },
      unresolvableAddress: () => new URL('grpc://nobody.invalid:7700'),
      async silentAddress() {
        const { port, release } = await silentPort();
        return { address: new URL(`grpc://127.0.0.1:${port}`), release };
      },
      openPasserBy: openStranger,
    }),
});
