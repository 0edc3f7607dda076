import memory from '../../transports/memory/index.js';
import { transportCompliance } from '../../src/transport/compliance/index.js';

let names = 0;

transportCompliance({
  name: 'memory',
  hooks: ['refusedAddress'],
  create: () =>
    Promise.resolve({
      transport: memory(),
      listenAddress() {
        names += 1;
        return new URL(`memory://lane-${names}`);
      },
      refusedAddress: () => Promise.resolve(new URL('memory://nobody')),
    }),
});
