/**
 * What: the source's rounds while the guest runs. An epoch: export all its pages with every vCPU
 * into slots, each record to the lane with the least to do; then the token; then the acceptance.
 * Slots bound what is in flight: one is free again when the destination has acknowledged its
 * record and the lane is done with it.
 */
import {
  PF_CLASS_PAGES,
  PF_CLASS_TOKEN,
  PF_PAGE_BYTES,
  PF_RECORD_DATA_PAGES_MAX,
} from '../native/abi.generated.js';
import type { ExportParameters, Slot } from '../mirror/contract.js';
import { EPOCH_FIRST } from '../wire/limits.js';
import { badField } from '../wire/problem.js';
import { decideStop } from './convergence.js';
import type { MeasuredRound, StopDecision } from './convergence.js';
import { DowntimeCosts, measuresDigest } from './downtime-costs.js';
import { EXPORTS_PER_VCPU } from './limits.js';
import type { SourceRun } from './source-run.js';
import type { RoundReport } from './types.js';

export class Precopy {
  #epoch = EPOCH_FIRST;
  #peerMeasuringMs = 0;
  /** What rates are measured by: time in which the session was held does not count. */
  readonly #rounds: MeasuredRound[] = [];
  readonly #costs: DowntimeCosts;

  constructor(private readonly run: SourceRun) {
    this.#costs = new DowntimeCosts(run.ramBytes, run.options.verify);
  }

  get #epochsDone(): number {
    return this.#epoch - EPOCH_FIRST;
  }

  /** Rounds until the guest may be stopped; the pages then left stay in the page set. */
  async untilStop(): Promise<void> {
    const { run } = this;
    for (;;) {
      await run.steering.control.untilResumed(run.core.life.signal);
      const round = await this.#round();
      if (this.#epochsDone > 1) run.tracker.commit();
      const dirtyPages = await this.#collect();
      const dirtyPagesPerSecond = (dirtyPages / Math.max(round.durationMs, 0.001)) * 1000;
      const decision = this.#decide(dirtyPages);
      run.core.events.emit({
        type: 'round',
        round,
        dirtyPages,
        dirtyPagesPerSecond,
        estimatedDowntimeMs: decision.estimatedDowntimeMs,
      });
      const isDone = await this.#considerStall(decision, dirtyPages, dirtyPagesPerSecond);
      // Held at the last moment: the guest runs on, so what it writes is another round's.
      const { control } = run.steering;
      if (!isDone || (control.isPaused && this.#epochsDone < run.options.maxEpochs)) continue;
      // Or the last one's, where the destination was promised that there are no more rounds.
      while (control.isPaused) await control.untilResumed(run.core.life.signal);
      control.beginStop();
      return;
    }
  }

  #considerStall(
    decision: StopDecision,
    pagesLeft: number,
    dirtyPagesPerSecond: number,
  ): Promise<boolean> {
    const { convergence, options, steering } = this.run;
    const trend = {
      pagesLeft,
      budgetPages: decision.budgetPages,
      sentPagesPerSecond: decision.pagesPerSecond,
      dirtyPagesPerSecond,
      roundsLeft: options.maxEpochs - this.#epochsDone,
    };
    const policy = steering.control.settings?.onStall ?? null;
    return convergence.decide(decision, trend, policy);
  }

  /** Exports what the page set holds, and sends the token that ends the epoch. */
  async exportEpoch(start: boolean): Promise<void> {
    const { core, mirror, pages, statistics } = this.run;
    statistics.beginRound(this.#epoch, pages.count + pages.holes);
    await this.#exportPages();
    const token = await mirror.makeToken(this.#epoch, start);
    const { counter, bytes } = token;
    const done = (): void => undefined;
    core.outbox.ship({
      recordClass: PF_CLASS_TOKEN,
      stream: 0,
      counter,
      bytes,
      urgent: false,
      done,
    });
  }

  /** Waits for the acceptance of the epoch that was exported last; the next one begins. */
  async accepted(start: boolean): Promise<RoundReport> {
    const { core, statistics } = this.run;
    const answer = await core.mailbox.next(
      ['epoch-accepted'],
      core.peerWait('did not accept the epoch'),
    );
    if (answer.epoch !== this.#epoch || answer.start !== start) {
      throw badField('accepted epoch', `${this.#epoch}`, answer.epoch);
    }
    if (answer.digestMs !== undefined) this.#costs.notePeerDigest(answer.digestMs);
    this.#peerMeasuringMs = answer.measuringMs ?? 0;
    this.#epoch += 1;
    return statistics.endRound();
  }

  async #round(): Promise<RoundReport> {
    const { clock } = this.run.core;
    const { steering } = this.run;
    const heldMs = steering.heldMs;
    await this.exportEpoch(false);
    const startedMs = clock.now();
    const [round] = await Promise.all([this.#timedAcceptance(startedMs), this.#measureDigest()]);
    const durationMs = round.durationMs - (steering.heldMs - heldMs);
    this.#rounds.push({ contentPages: round.pagesSent, durationMs });
    return round;
  }

  async #timedAcceptance(startedMs: number): Promise<RoundReport> {
    const round = await this.accepted(false);
    const tookMs = this.run.core.clock.now() - startedMs;
    this.#costs.noteRoundTrip(tookMs - this.#peerMeasuringMs);
    return round;
  }

  /** While the destination does the same, as at the stop. */
  async #measureDigest(): Promise<void> {
    const { blocks, mirror, options } = this.run;
    if (!options.verify || !measuresDigest(this.#epoch)) return;
    this.#costs.noteOwnDigest(await mirror.measureDigest(blocks));
  }

  async #collect(): Promise<number> {
    const { core, tracker, pages } = this.run;
    const startedMs = core.clock.now();
    await tracker.collect(pages);
    this.#costs.noteCollect(core.clock.now() - startedMs);
    return pages.count + pages.holes;
  }

  #decide(pagesLeft: number): StopDecision {
    const { options, steering } = this.run;
    const decision = decideStop({
      pagesLeft,
      rounds: this.#rounds,
      pagesPerSecondMost: this.#pagesPerSecondMost(),
      fixed: this.#costs.fixed,
      downtimeLimitMs: steering.control.settings?.downtimeLimitMs ?? options.downtimeLimitMs,
      epochsDone: this.#epochsDone,
      maxEpochs: options.maxEpochs,
    });
    // A guest that does not run makes nothing dirty: there is nothing to wait for.
    if (this.run.guest.state !== 'running') return { ...decision, stop: 'idle' };
    return decision;
  }

  /** By the bandwidth limit, with pages as compressible as they were so far. */
  #pagesPerSecondMost(): number {
    const { core, statistics } = this.run;
    const limit = core.pacer?.limit;
    if (limit === undefined || statistics.plainBytes === 0) return Infinity;
    const bytesPerPage = (statistics.wireBytes / statistics.plainBytes) * PF_PAGE_BYTES;
    return limit / bytesPerPage;
  }

  async #exportPages(): Promise<void> {
    const { options, core } = this.run;
    const { codec, level, padBytes, vcpus } = options;
    const { pacer } = core;
    const parameters = {
      epoch: this.#epoch,
      codec,
      level,
      padBytes,
      // Read for each record: the limit may change meanwhile.
      get dataPagesMax() {
        return pacer?.recordPages ?? PF_RECORD_DATA_PAGES_MAX;
      },
    };
    const exporters = Array.from({ length: vcpus * EXPORTS_PER_VCPU }, () =>
      this.#exportSome(parameters).catch((error: unknown) => {
        // The others end too: they wait for slots with the life's signal.
        core.life.fail(error as Error);
      }),
    );
    await Promise.all(exporters);
    core.life.check();
  }

  /** Exports one record after the other until no page is left. */
  async #exportSome(parameters: ExportParameters): Promise<void> {
    const { core, mirror, pages } = this.run;
    const { control } = this.run.steering;
    while (pages.count + pages.holes > 0) {
      core.life.check();
      if (control.isPaused) await control.untilResumed(core.life.signal);
      const slot = mirror.slots.tryAcquire() ?? (await this.#slot());
      if (!(await this.#exportOne(slot, parameters))) return;
    }
  }

  #slot(): Promise<Slot> {
    const { core, mirror } = this.run;
    const giveUp = new AbortController();
    const acquiring = mirror.slots.acquire(giveUp.signal);
    const wait = core.peerWait('acknowledged no record');
    return core.life.wait(acquiring, wait).catch((error: unknown) => {
      giveUp.abort(error);
      // One that was given at the same moment is given back.
      acquiring.then(
        (late) => {
          late.release();
        },
        () => undefined,
      );
      throw error;
    });
  }

  async #exportOne(slot: Slot, parameters: ExportParameters): Promise<boolean> {
    const { core, mirror, pages, statistics } = this.run;
    let isShipped = false;
    try {
      const record = await mirror.exportPages(pages, slot, parameters);
      if (record === undefined) return false;
      statistics.count(record, record.bytes);
      isShipped = true;
      core.outbox.ship({
        recordClass: PF_CLASS_PAGES,
        stream: record.stream,
        counter: record.counter,
        bytes: slot.buffer.subarray(0, record.bytes),
        urgent: false,
        done: () => {
          slot.release();
        },
      });
      return true;
    } finally {
      if (!isShipped) slot.release();
    }
  }
}
