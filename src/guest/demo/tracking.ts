/**
 * What: several DirtyTrackers over one native dirty log. Each tracker gets every change; what it
 * collected but did not commit comes again with its next collect.
 * Rule: the log is running while there is a tracker; reading it clears it, so whoever reads it
 * hands the runs to all.
 */
import { StateError } from '../../errors.js';
import type { NativeDemoGuest, NativePageSet } from '../../native/addon.js';
import type { DirtyTracker } from '../contract.js';

type Run = readonly [firstPage: number, pages: number];

const runsPerFill = 8192;
const pagesPerFill = 2 ** 20;
/** As in native/abi/record.h. */
const countShift = 44n;
const countMask = (1n << 19n) - 1n;
const firstMask = (1n << countShift) - 1n;
/** Runs of one list before those that overlap are joined. */
const runsToJoin = 65_536;

function joined(runs: readonly Run[]): Run[] {
  const out: [number, number][] = [];
  let last: [number, number] | undefined;
  for (const [first, pages] of [...runs].sort((a, b) => a[0] - b[0])) {
    if (last !== undefined && first <= last[0] + last[1]) {
      last[1] = Math.max(last[1], first + pages - last[0]);
    } else {
      last = [first, pages];
      out.push(last);
    }
  }
  return out;
}

class Tracker implements DirtyTracker {
  /** Changed since the last commit: reported already, and not yet. */
  private reported: Run[] = [];
  private fresh: Run[] = [];
  private joinAt = runsToJoin;
  closed = false;

  constructor(private readonly owner: DirtyFanOut) {}

  add(runs: readonly Run[]): void {
    for (const run of runs) this.fresh.push(run);
    if (this.fresh.length < this.joinAt) return;
    this.fresh = joined(this.fresh);
    this.joinAt = Math.max(runsToJoin, this.fresh.length * 2);
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- failures become rejections
  async collect(into: NativePageSet): Promise<void> {
    this.demandOpen();
    this.owner.drain();
    this.reported = joined([...this.reported, ...this.fresh]);
    this.fresh = [];
    for (const [first, pages] of this.reported) into.addRange(first, pages);
  }

  commit(): void {
    this.demandOpen();
    this.reported = [];
  }

  close(): Promise<void> {
    this.closed = true;
    this.reported = [];
    this.fresh = [];
    this.owner.remove(this);
    return Promise.resolve();
  }

  private demandOpen(): void {
    if (!this.closed) return;
    const message = 'the dirty tracker is closed';
    throw new StateError('ERR_PAGEFERRY_GUEST_STATE', message, { state: 'closed' });
  }
}

export class DirtyFanOut {
  private readonly trackers = new Set<Tracker>();
  private readonly buffer = new BigUint64Array(runsPerFill);
  private ended = false;

  constructor(
    private readonly native: NativeDemoGuest,
    private readonly scratch: NativePageSet,
  ) {}

  open(): DirtyTracker {
    if (this.trackers.size === 0) this.native.startDirtyLog();
    else this.drain();
    const tracker = new Tracker(this);
    this.trackers.add(tracker);
    return tracker;
  }

  /** Reads and clears the native log for all trackers. */
  drain(): void {
    if (this.ended) return;
    this.scratch.clear();
    this.native.collectDirty(this.scratch, 0);
    for (;;) {
      const count = this.scratch.fill(this.buffer.buffer, 0, pagesPerFill, runsPerFill);
      if (count === 0) return;
      const runs: Run[] = [];
      for (const run of this.buffer.subarray(0, count)) {
        runs.push([Number(run & firstMask), Number((run >> countShift) & countMask) + 1]);
      }
      for (const tracker of this.trackers) tracker.add(runs);
    }
  }

  remove(tracker: Tracker): void {
    const last = this.trackers.delete(tracker) && this.trackers.size === 0;
    if (last && !this.ended) this.native.stopDirtyLog();
  }

  /** Before the guest is closed. */
  end(): void {
    this.ended = true;
    for (const tracker of this.trackers) tracker.closed = true;
    this.trackers.clear();
  }
}
