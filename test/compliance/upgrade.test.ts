import upgrade from '../../examples/transport-upgrade/index.js';
import { transportCompliance } from '../../src/transport/compliance/index.js';
import { openStranger, refusedPort, silentPort } from '../support/tcp-peers.js';

transportCompliance({
  name: 'upgrade (the example of docs/transports.md)',
  hooks: ['refusedAddress', 'unresolvableAddress', 'silentAddress', 'openPasserBy'],
  create: () =>
    Promise.resolve({
      transport: upgrade(),
      listenAddress: () => new URL('upgrade://127.0.0.1:0'),
      async refusedAddress() {
        return new URL(`upgrade://127.0.0.1:${await refusedPort()}`);
      },
      openPasserBy: openStranger,
      unresolvableAddress: () => new URL('upgrade://nobody.invalid:7700'),
      async silentAddress() {
        const { port, release } = await silentPort();
        return { address: new URL(`upgrade://127.0.0.1:${port}`), release };
      },
    }),
});
