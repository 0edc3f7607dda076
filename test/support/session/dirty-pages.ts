/** The dirty pages of a guest that notes its own writes; each tracker gets every change. */
import type { DirtyTracker } from '../../../src/guest/contract.js';

export class DirtyPages {
  readonly #trackers = new Set<Set<number>>();

  /** The page was written. */
  note(page: number): void {
    for (const dirty of this.#trackers) dirty.add(page);
  }

  /** A tracker from now on; `upToNow` is called before it looks. */
  track(upToNow: () => void = () => undefined): DirtyTracker {
    upToNow();
    const dirty = new Set<number>();
    const reported = new Set<number>();
    this.#trackers.add(dirty);
    return {
      collect: (into) => {
        upToNow();
        for (const page of dirty) reported.add(page);
        dirty.clear();
        for (const page of reported) into.addRange(page, 1);
        return Promise.resolve();
      },
      commit: () => {
        reported.clear();
      },
      close: () => {
        this.#trackers.delete(dirty);
        return Promise.resolve();
      },
    };
  }
}
