/**
 * What: what a session takes from outside besides its options; a simulator and tests give their
 * own.
 */
import type { Mirror, MirrorOptions } from '../mirror/contract.js';
import type { NativePageSet } from '../native/addon.js';
import type { Clock } from './clock.js';

export interface SessionDependencies {
  readonly openMirror: (options: MirrorOptions) => Promise<Mirror>;
  /** For pages 0 to `pages` - 1 of the ram_addr_t space. */
  readonly createPageSet: (pages: number) => NativePageSet;
  readonly clock: Clock;
  /** Numbers in [0, 1) for what only has to differ, such as pauses; default Math.random. */
  readonly random?: () => number;
}
