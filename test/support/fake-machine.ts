/**
 * The command line on real sessions over real lanes, but with mirrors and guests in JavaScript:
 * what it does around them is tested on machines without compiler and KVM, and in seconds. Run as
 * a program, it is `pageferry`.
 */
import { fileURLToPath } from 'node:url';

import type { Parts } from '../../src/cli/parts.js';
import { main } from '../../src/cli/program.js';
import { systemClock } from '../../src/session/clock.js';
import { runDestinationWith } from '../../src/session/destination.js';
import { runSourceWith } from '../../src/session/source.js';
import { loadTransportPlugin, transportFor } from '../../src/transport/registry.js';
import { parseBytes } from '../../src/units.js';
import { FRAME_BYTES_MAX } from '../../src/wire/limits.js';
import { FakeGuest, FakePageSet } from './session/fake-guest.js';
import { FakeMirror } from './session/fake-mirror.js';

export const fakeMachineFile = fileURLToPath(import.meta.url);

const dependencies = {
  openMirror: (options: ConstructorParameters<typeof FakeMirror>[0]) =>
    Promise.resolve(new FakeMirror(options)),
  createPageSet: () => new FakePageSet(),
  clock: systemClock,
};

const parts: Parts = {
  maxFrameBytes: FRAME_BYTES_MAX,
  loadPlugin: loadTransportPlugin,
  transport: async (url) => (await transportFor(url.href)).transport,
  openSource: (url) =>
    FakeGuest.started({
      bytes: parseBytes(url.searchParams.get('ram') ?? '8M'),
      dirtyPagesPerMs: Number(url.searchParams.get('dirtyRate') ?? 1000) / 1000,
    }),
  openDestination: (_url, layout) => {
    const bytes = layout.blocks.reduce((sum, block) => sum + block.bytes, 0);
    return Promise.resolve(new FakeGuest({ bytes }));
  },
  runSource: (options) => runSourceWith(options, dependencies),
  runDestination: (options) => runDestinationWith(options, dependencies),
};

if (process.argv[1] === fakeMachineFile) await main(() => Promise.resolve(parts));
