/**
 * What: counts what crosses, per round and in all, and tells it at most ten times a second.
 * plainBytes are the bytes of pages with content; pages of zeroes cost a list entry, no bytes.
 */
import { PF_PAGE_BYTES } from '../native/abi.generated.js';
import type { Clock } from './clock.js';
import type { EventEmitter } from './events.js';
import { PROGRESS_INTERVAL_MS } from './limits.js';
import type { ProgressReport, Role, RoundReport } from './types.js';

export interface CountedRecord {
  readonly dataPages: number;
  readonly zeroPages: number;
}

interface Counts {
  dataPages: number;
  zeroPages: number;
  wireBytes: number;
}

function noCounts(): Counts {
  return { dataPages: 0, zeroPages: 0, wireBytes: 0 };
}

export class Statistics {
  readonly rounds: RoundReport[] = [];
  readonly #total = noCounts();
  #round = noCounts();
  #epoch = 0;
  #pagesTotal = 0;
  #startedMs: number;
  #stopProgress: (() => void) | undefined;
  #toldBytes = 0;
  #toldMs: number;
  #bytesPerSecond = 0;

  constructor(
    private readonly role: Role,
    private readonly clock: Clock,
    private readonly events: EventEmitter,
  ) {
    this.#startedMs = clock.now();
    this.#toldMs = this.#startedMs;
  }

  get plainBytes(): number {
    return this.#total.dataPages * PF_PAGE_BYTES;
  }

  get wireBytes(): number {
    return this.#total.wireBytes;
  }

  /** Time spent in rounds. */
  get transferMs(): number {
    return this.rounds.reduce((sum, { durationMs }) => sum + durationMs, 0);
  }

  /** Of the present round; null before the first. */
  get progress(): ProgressReport | null {
    if (this.#epoch === 0) return null;
    const pagesDone = this.#round.dataPages + this.#round.zeroPages;
    const pagesTotal = Math.max(this.#pagesTotal, pagesDone);
    return { epoch: this.#epoch, pagesDone, pagesTotal, bytesPerSecond: this.#bytesPerSecond };
  }

  /** `pagesTotal` 0: not known on this side. */
  beginRound(epoch: number, pagesTotal: number): void {
    this.#epoch = epoch;
    this.#pagesTotal = pagesTotal;
    this.#round = noCounts();
    this.#startedMs = this.clock.now();
    if (this.#stopProgress === undefined) this.#scheduleProgress();
  }

  count(record: CountedRecord, wireBytes: number): void {
    for (const counts of [this.#round, this.#total]) {
      counts.dataPages += record.dataPages;
      counts.zeroPages += record.zeroPages;
      counts.wireBytes += wireBytes;
    }
  }

  endRound(): RoundReport {
    const { dataPages, zeroPages, wireBytes } = this.#round;
    const round: RoundReport = {
      epoch: this.#epoch,
      pagesScanned: dataPages + zeroPages,
      pagesSent: dataPages,
      zeroPages,
      plainBytes: dataPages * PF_PAGE_BYTES,
      wireBytes,
      durationMs: this.clock.now() - this.#startedMs,
    };
    this.rounds.push(round);
    this.#tell();
    return round;
  }

  stop(): void {
    this.#stopProgress?.();
    this.#stopProgress = () => undefined;
  }

  #scheduleProgress(): void {
    this.#stopProgress = this.clock.after(PROGRESS_INTERVAL_MS, () => {
      this.#scheduleProgress();
      this.#tell();
    });
  }

  #tell(): void {
    const nowMs = this.clock.now();
    const sinceMs = nowMs - this.#toldMs;
    if (sinceMs < PROGRESS_INTERVAL_MS * 0.9) return;
    this.#bytesPerSecond = ((this.#total.wireBytes - this.#toldBytes) / sinceMs) * 1000;
    const { progress } = this;
    if (progress !== null) {
      const { plainBytes, role } = this;
      const { wireBytes } = this.#total;
      this.events.emit({ type: 'progress', role, ...progress, wireBytes, plainBytes });
    }
    this.#toldMs = nowMs;
    this.#toldBytes = this.#total.wireBytes;
  }
}
