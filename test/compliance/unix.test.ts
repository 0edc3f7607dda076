import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import unix from '../../transports/unix/index.js';
import { transportCompliance } from '../../src/transport/compliance/index.js';
import { openLocalStranger } from '../support/unix-peers.js';

transportCompliance({
  name: 'unix',
  hooks: ['refusedAddress', 'openStranger', 'openPasserBy'],
  create() {
    const directory = mkdtempSync(join(tmpdir(), 'pageferry-test-'));
    let count = 0;
    return Promise.resolve({
      transport: unix(),
      listenAddress() {
        count += 1;
        return new URL(`unix://${directory}/lane-${count}.sock`);
      },
      refusedAddress: () => Promise.resolve(new URL(`unix://${directory}/nobody.sock`)),
      openStranger: openLocalStranger,
      openPasserBy: openLocalStranger,
      close() {
        rmSync(directory, { recursive: true });
        return Promise.resolve();
      },
    });
  },
});
