/** Suites that have to pass on both engines, alike. */
import type { EngineName } from '../../../src/mirror/contract.js';
import { loadAddon } from '../../../src/native/loader.js';
import { requireCapability } from '../require.js';

export const ENGINES = ['kvm', 'in-process'] as const;

/** Skips the suite, loudly, where there is no KVM. */
export function requireEngine(context: Mocha.Context, engine: EngineName): void {
  if (engine !== 'kvm') return;
  const { usable } = loadAddon().probe().kvm;
  requireCapability(context, 'a usable /dev/kvm', usable, { hardware: true });
}

/** One suite per engine: "<title> on <engine>". */
export function onBothEngines(title: string, body: (engine: EngineName) => void): void {
  for (const engine of ENGINES) {
    describe(`${title} on ${engine}`, () => {
      before(function () {
        requireEngine(this, engine);
      });
      body(engine);
    });
  }
}
