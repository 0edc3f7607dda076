import { loadParts, realWorld } from '../support/session/real-world.js';
import { sessionSuite } from '../support/session/suite.js';
import { requireCapability } from '../support/require.js';

type Parts = Awaited<ReturnType<typeof loadParts>>;

for (const engine of ['kvm', 'in-process'] as const) {
  describe(`engine ${engine}`, function () {
    this.timeout(120_000);
    let parts: Parts | undefined;

    before(async function () {
      parts = await loadParts().catch((error: unknown) => {
        console.error(error);
        return undefined;
      });
      requireCapability(this, 'the mirror, the addon and the demo guest', parts !== undefined);
      if (engine === 'in-process') return;
      const hasKvm = parts?.addon.probe().kvm.usable === true;
      requireCapability(this, 'a usable /dev/kvm', hasKvm, { hardware: true });
    });

    sessionSuite({
      name: `real mirrors, engine ${engine}`,
      engine,
      codecs: ['none', 'lz4', 'zstd'],
      world: () => realWorld(parts!, engine, 'ram=64M&dirtyRate=2000'),
    });
  });
}
