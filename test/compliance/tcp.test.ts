import tcp from '../../transports/tcp/index.js';
import { transportCompliance } from '../../src/transport/compliance/index.js';
import { openStranger, refusedPort, silentPort } from '../support/tcp-peers.js';

transportCompliance({
  name: 'tcp',
  hooks: [
    ...(['refusedAddress', 'unresolvableAddress', 'silentAddress'] as const),
    ...(['openStranger', 'openPasserBy'] as const),
  ],
  create: () =>
    Promise.resolve({
      transport: tcp(),
      listenAddress: () => new URL('tcp://127.0.0.1:0'),
      async refusedAddress() {
        return new URL(`tcp://127.0.0.1:${await refusedPort()}`);
      },
      unresolvableAddress: () => new URL('tcp://nobody.invalid:7700'),
      async silentAddress() {
        const { port, release } = await silentPort();
        return { address: new URL(`tcp://127.0.0.1:${port}`), release };
      },
      openStranger,
      openPasserBy: openStranger,
    }),
});
