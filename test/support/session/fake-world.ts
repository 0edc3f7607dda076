/** Sessions on fakes: fast, and open to what a real helper would never do. */
import type { SessionDependencies } from '../../../src/session/dependencies.js';
import { systemClock } from '../../../src/session/clock.js';
import type { FakeGuestOptions } from './fake-guest.js';
import { FakeGuest, FakePageSet } from './fake-guest.js';
import { FakeMirror } from './fake-mirror.js';
import type { World } from './pair.js';

export interface FakeWorld extends World {
  readonly mirrors: FakeMirror[];
}

export function fakeWorld(
  options: FakeGuestOptions = { bytes: 8 * 1024 * 1024 },
  destinationOptions: Partial<FakeGuestOptions> = {},
): FakeWorld {
  const mirrors: FakeMirror[] = [];
  const dependencies: SessionDependencies = {
    openMirror: (mirrorOptions) => {
      const mirror = new FakeMirror(mirrorOptions);
      mirrors.push(mirror);
      return Promise.resolve(mirror);
    },
    createPageSet: () => new FakePageSet(),
    clock: systemClock,
  };
  return {
    mirrors,
    dependencies,
    openSource: () => FakeGuest.started(options),
    openDestination: () => Promise.resolve(new FakeGuest({ ...options, ...destinationOptions })),
  };
}
