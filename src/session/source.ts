/**
 * What: the source's session from mirror to report. It never rejects for what can go wrong with
 * peers, lanes, guests or helpers: the report says it.
 */
import { errorCode, errorMessage, StateError } from '../errors.js';
import type { Guest } from '../guest/contract.js';
import type { Mirror } from '../mirror/contract.js';
import { PF_PAGE_BYTES } from '../native/abi.generated.js';
import { EPOCH_FIRST } from '../wire/limits.js';
import { ConvergencePolicy } from './convergence-policy.js';
import { SessionCore } from './core.js';
import type { SessionDependencies } from './dependencies.js';
import { EventEmitter } from './events.js';
import { farewell } from './farewell.js';
import { Handover } from './handover.js';
import { announceBlocks } from './huge-pages.js';
import { isHurried } from './machine.js';
import { Precopy } from './precopy.js';
import type { Findings } from './report.js';
import { buildReport, noFindings, outcomeOf, peakRssBytes } from './report.js';
import type { SourceRun } from './source-run.js';
import { addAllPages, ramBytesOf, ramPagesOf } from './source-run.js';
import { Statistics } from './statistics.js';
import { Steering } from './steering.js';
import type { MigrationReport, SourceOptions } from './types.js';

class SourceSession {
  readonly #findings: Findings;
  readonly #events: EventEmitter;
  readonly #statistics: Statistics;
  readonly #startedMs: number;
  readonly #wasRunning: boolean;
  readonly #steering: Steering;
  #core: SessionCore | undefined;
  #mirror: Mirror | undefined;

  constructor(
    private readonly options: SourceOptions,
    private readonly dependencies: SessionDependencies,
  ) {
    const { clock } = dependencies;
    this.#startedMs = clock.now();
    this.#findings = noFindings(options.codec, options.vcpus);
    this.#findings.ramBytes = ramBytesOf(options.guest.blocks);
    this.#events = new EventEmitter(options.onEvent);
    this.#statistics = new Statistics('source', clock, this.#events);
    this.#wasRunning = options.guest.state === 'running';
    const report = (): MigrationReport => this.#report(undefined);
    this.#steering = new Steering('source', options, clock, this.#events, report);
  }

  async run(): Promise<MigrationReport> {
    let failure: Error | undefined;
    try {
      await this.#migrate();
    } catch (error) {
      failure = await this.#recover(error as Error);
    }
    this.#statistics.stop();
    this.#steering.close();
    await (this.#core?.close() ?? this.#mirror?.close());
    const report = this.#report(failure);
    this.#events.emit({ type: 'ended', report });
    return report;
  }

  async #migrate(): Promise<void> {
    const { options, dependencies } = this;
    const { guest } = options;
    this.#steering.attach(options);
    const mirror = await dependencies.openMirror({
      engine: options.engine,
      vcpus: options.vcpus,
      windowBytes: options.windowBytes,
      ramLimitBytes: ramPagesOf(guest.blocks) * PF_PAGE_BYTES,
    });
    this.#mirror = mirror;
    this.#findings.sourceEngine = mirror.info.engine;
    const core = this.#makeCore(mirror);
    this.#events.emit({ type: 'state', role: 'source', state: core.machine.state });
    await core.connect();
    await core.recordState('layout');
    await this.#layout(core, mirror);
    await this.#transfer(core, mirror, guest);
  }

  #makeCore(mirror: Mirror): SessionCore {
    const { clock, random } = this.dependencies;
    const hooks = { pacer: this.#steering.pacer };
    const options = { ...this.options, signal: this.#steering.signal };
    const core = new SessionCore('source', options, mirror, clock, this.#events, hooks, random);
    this.#core = core;
    this.#steering.begin(core, this.#statistics);
    return core;
  }

  async #layout(core: SessionCore, mirror: Mirror): Promise<void> {
    const { guest, codec, verify, maxEpochs, vcpus } = this.options;
    const { ramBytes } = this.#findings;
    this.#events.emit({ type: 'established', sessionId: core.sessionId, ramBytes });
    for (const block of guest.blocks) await mirror.setBlock(block);
    core.life.check();
    const layout = {
      guestKind: guest.layout.kind,
      blocks: announceBlocks(guest.blocks),
      description: guest.layout.description,
      codec,
      verify,
      // One more than the rounds: the last one comes after the stop.
      epochsMax: EPOCH_FIRST + maxEpochs + 1,
      engine: mirror.info.engine,
      vcpus,
    };
    await core.sendControl({ type: 'layout', layout });
    const wait = core.ramWait('did not accept the layout', ramBytes);
    const accepted = await core.mailbox.next(['layout-accepted'], wait);
    this.#findings.destinationEngine = accepted.engine;
    core.machine.fire('layout-accepted');
  }

  async #transfer(core: SessionCore, mirror: Mirror, guest: Guest): Promise<void> {
    const { options } = this;
    const { blocks } = guest;
    // Tracking first, then the list of all pages: what changes from now on is reported.
    const tracker = await guest.trackDirty();
    // Whatever gap the guest sees from now on, the migration made.
    guest.markActivity?.();
    const convergence = new ConvergencePolicy(guest, (report) => {
      this.#findings.convergence = report;
      this.#events.emit({ type: 'convergence', convergence: report });
    });
    try {
      const pages = this.dependencies.createPageSet(ramPagesOf(blocks));
      addAllPages(pages, blocks);
      const run: SourceRun = {
        core,
        mirror,
        options,
        guest,
        blocks,
        ramBytes: this.#findings.ramBytes,
        pages,
        tracker,
        steering: this.#steering,
        convergence,
        statistics: this.#statistics,
        findings: this.#findings,
      };
      const precopy = new Precopy(run);
      await precopy.untilStop();
      await new Handover(run, precopy).complete();
    } catch (error) {
      // In doubt too: whoever lets this guest go on wants it at its own speed.
      await convergence.release();
      throw error;
    } finally {
      await tracker.close();
    }
  }

  /** After a failure: who owns the guest, and what the peer is told. Gives what is reported. */
  async #recover(error: Error): Promise<Error> {
    const core = this.#core;
    const reason = core?.life.failure ?? error;
    if (core === undefined) return this.#backToRunning(error);
    if (core.machine.state === 'committing') {
      core.machine.fire('doubt');
      await core.recordDoubt();
      return inDoubtError(error);
    }
    core.life.fail(reason);
    const failure = await this.#backToRunning(reason);
    if (core.machine.can('abort')) {
      const reasons = { code: errorCode(failure), message: errorMessage(failure) };
      // A destination that may be READY waits for this, and cannot end without it.
      const mayBeReady = isHurried('source', core.machine.state);
      const isNeeded = mayBeReady && core.peerAbort !== 'ended';
      await farewell(core, { type: 'abort', asks: false, ...reasons }, isNeeded);
      core.machine.fire(outcomeOf(failure) === 'aborted' ? 'abort' : 'fail');
    }
    return failure;
  }

  /** The guest runs on as if nothing had been. */
  async #backToRunning(failure: Error): Promise<Error> {
    const { guest } = this.options;
    if (!this.#wasRunning || guest.state !== 'paused') return failure;
    try {
      await guest.resume();
      return failure;
    } catch (error) {
      const ended = errorMessage(failure);
      const message = `the migration ended (${ended}), and the guest did not resume`;
      const details = { state: guest.state, cause: error };
      return new StateError('ERR_PAGEFERRY_RESUME', message, details);
    }
  }

  #report(error: Error | undefined): MigrationReport {
    const { guest, transport } = this.options;
    const sourceRssBytes = this.#findings.sourceRssBytes ?? peakRssBytes();
    const ending = {
      role: 'source',
      transport,
      sessionId: this.#core?.sessionId ?? '',
      lanes: this.#core?.lanes.mostAtOnce ?? 0,
      perLane: this.#core?.lanes.reports() ?? [],
      error,
      totalMs: this.dependencies.clock.now() - this.#startedMs,
      guestState: guest.state === 'closed' ? 'gone' : guest.state,
    } as const;
    return buildReport(ending, { ...this.#findings, sourceRssBytes }, this.#statistics);
  }
}

function inDoubtError(cause: Error): StateError {
  return new StateError(
    'ERR_PAGEFERRY_IN_DOUBT',
    'the destination may have taken over the guest: it was told to, and has not answered. The ' +
      'guest stays paused here, with its memory, until somebody finds out where it runs',
    { state: 'committing', cause },
  );
}

/** Sends the guest. Resolves with the report, also when it failed; see its outcome. */
export function runSourceWith(
  options: SourceOptions,
  dependencies: SessionDependencies,
): Promise<MigrationReport> {
  return new SourceSession(options, dependencies).run();
}
