/**
 * What: the destination's session from mirror to report. Nothing of the guest exists before an
 * authenticated, checked layout; nothing runs before COMMITTED is durable.
 */
import { errorCode, errorMessage, ProtocolError } from '../errors.js';
import type { Guest } from '../guest/contract.js';
import type { Mirror } from '../mirror/contract.js';
import { PF_PAGE_BYTES } from '../native/abi.generated.js';
import type { OutgoingControl, WireEpochAccepted } from '../wire/control.js';
import type { WireLayout } from '../wire/layout.js';
import { checkLayout } from '../wire/layout.js';
import { EPOCH_FIRST } from '../wire/limits.js';
import type { CoreHooks } from './core.js';
import { SessionCore } from './core.js';
import { Decision, undecidedError } from './decision.js';
import type { SessionDependencies } from './dependencies.js';
import { measuresDigest } from './downtime-costs.js';
import { EventEmitter } from './events.js';
import { farewell } from './farewell.js';
import { prefaultFilled } from './huge-pages.js';
import { Importer } from './importer.js';
import { RAM_LIMIT_BYTES_DEFAULT } from './limits.js';
import { takesRecords } from './machine.js';
import { checkGuest, receiveDeviceState } from './reception.js';
import type { Findings } from './report.js';
import { buildReport, noFindings, outcomeOf, peakRssBytes } from './report.js';
import { ramBytesOf } from './source-run.js';
import { Statistics } from './statistics.js';
import { Steering } from './steering.js';
import { takeOver } from './takeover.js';
import type { DestinationOptions, MigrationReport } from './types.js';

type DigestMeasure = Pick<WireEpochAccepted, 'digestMs' | 'measuringMs'>;
const noMeasure: DigestMeasure = { digestMs: undefined, measuringMs: 0 };

class DestinationSession {
  readonly #findings: Findings;
  readonly #events: EventEmitter;
  readonly #statistics: Statistics;
  readonly #startedMs: number;
  readonly #steering: Steering;
  #core: SessionCore | undefined;
  #mirror: Mirror | undefined;
  #guest: Guest | undefined;
  #layout: WireLayout | undefined;
  #decision: Decision | undefined;
  #ramDigest: Promise<Uint8Array | undefined> | undefined;
  #tellStarted: () => void = () => undefined;
  readonly #started = new Promise<void>((resolve) => {
    this.#tellStarted = resolve;
  });
  /** The guest is ours: closing the session does not close it. */
  #isOwner = false;
  #keepsGuest = false;

  constructor(
    private readonly options: DestinationOptions,
    private readonly dependencies: SessionDependencies,
  ) {
    const { clock } = dependencies;
    this.#startedMs = clock.now();
    this.#findings = noFindings('none', options.vcpus);
    this.#events = new EventEmitter(options.onEvent);
    this.#statistics = new Statistics('destination', clock, this.#events);
    const report = (): MigrationReport => this.#report(undefined);
    this.#steering = new Steering('destination', options, clock, this.#events, report);
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
    if (!this.#isOwner && !this.#keepsGuest) failure = await this.#freeGuest(failure);
    const report = this.#report(failure);
    this.#events.emit({ type: 'ended', report });
    return report;
  }

  async #migrate(): Promise<void> {
    const { engine, vcpus, windowBytes } = this.options;
    this.#steering.attach();
    const ramLimitBytes = this.options.ramLimitBytes ?? RAM_LIMIT_BYTES_DEFAULT;
    const mirror = await this.dependencies.openMirror({
      engine,
      vcpus,
      windowBytes,
      ramLimitBytes,
    });
    this.#mirror = mirror;
    this.#findings.destinationEngine = mirror.info.engine;
    const core = this.#makeCore(mirror);
    this.#events.emit({ type: 'state', role: 'destination', state: core.machine.state });
    await core.connect();
    await core.recordState('layout');
    const guest = await this.#acceptLayout(core, mirror);
    await this.#receive(core, guest);
    await this.#takeOver(core, guest);
  }

  async #takeOver(core: SessionCore, guest: Guest): Promise<void> {
    const decision = this.#decision;
    if (decision === undefined) throw new Error('READY comes before its decision');
    await decision.untilCommitted(this.#findings.ramBytes);
    this.#isOwner = true;
    core.machine.fire('committed');
    const answer = (message: OutgoingControl): Promise<boolean> => decision.answer(message);
    await takeOver({ core, guest, findings: this.#findings, answer });
  }

  #makeCore(mirror: Mirror): SessionCore {
    const { clock } = this.dependencies;
    const { random } = this.dependencies;
    const hooks: CoreHooks = {
      records: (made) =>
        new Importer(made, mirror, {
          isOpen: () => takesRecords(made.machine.state),
          imported: (record, wireBytes) => {
            this.#statistics.count(record, wireBytes);
          },
          epochComplete: (epoch, start) => this.#epochComplete(made, mirror, epoch, start),
        }),
      duplicate: (counter) => {
        this.#decision?.repeated(counter);
      },
    };
    const options = { ...this.options, signal: this.#steering.signal };
    const core = new SessionCore(
      'destination',
      options,
      mirror,
      clock,
      this.#events,
      hooks,
      random,
    );
    this.#core = core;
    this.#steering.begin(core, this.#statistics);
    return core;
  }

  async #acceptLayout(core: SessionCore, mirror: Mirror): Promise<Guest> {
    const wait = core.peerWait('sent no layout');
    const announced = await core.mailbox.next(['layout'], wait);
    const limit = this.options.ramLimitBytes ?? RAM_LIMIT_BYTES_DEFAULT;
    const layout = checkLayout(announced.layout, Math.min(limit, mirror.info.ramLimitBytes));
    this.#layout = layout;
    this.#findings.sourceEngine = layout.engine;
    this.#findings.codec = layout.codec;
    this.#findings.ramBytes = ramBytesOf(layout.blocks);
    const { ramBytes } = this.#findings;
    this.#events.emit({ type: 'established', sessionId: core.sessionId, ramBytes });
    const guest = await this.#openGuest(core, layout);
    checkGuest(guest, layout);
    await prefaultFilled(guest, layout.blocks);
    for (const block of guest.blocks) await mirror.setBlock(block);
    core.life.check();
    core.machine.fire('layout-accepted');
    this.#statistics.beginRound(EPOCH_FIRST, ramBytes / PF_PAGE_BYTES);
    await core.sendControl({ type: 'layout-accepted', engine: mirror.info.engine });
    return guest;
  }

  async #openGuest(core: SessionCore, layout: WireLayout): Promise<Guest> {
    const { guestKind: kind, blocks, description } = layout;
    const opening = this.options.openGuest({ kind, blocks, description });
    try {
      this.#guest = await core.life.wait(opening, { what: 'is waiting', timeoutMs: undefined });
      return this.#guest;
    } catch (error) {
      // One that comes after the end is not wanted any more.
      void opening.then(closeUnwanted, () => undefined);
      throw error;
    }
  }

  async #epochComplete(
    core: SessionCore,
    mirror: Mirror,
    epoch: number,
    start: boolean,
  ): Promise<void> {
    const epochsMax = this.#layout?.epochsMax ?? 0;
    if (epoch > epochsMax) {
      const details = { field: 'epoch', expected: `at most ${epochsMax}`, received: `${epoch}` };
      const message = `the peer went on to epoch ${epoch}, beyond its own limit`;
      throw new ProtocolError('ERR_PAGEFERRY_PROTOCOL', message, details);
    }
    this.#statistics.endRound();
    // The source does not begin another epoch before it has this answer.
    if (!start) this.#statistics.beginRound(epoch + 1, 0);
    const measured = start ? noMeasure : await this.#measureDigest(core, mirror, epoch);
    await core.sendControl({ type: 'epoch-accepted', epoch, start, ...measured });
    if (!start) return;
    // RAM is complete and nothing can change it any more: the digest need not wait for the rest.
    const blocks = this.#guest?.blocks ?? [];
    this.#ramDigest = this.#layout?.verify === true ? mirror.digest(blocks) : nothing();
    this.#ramDigest.catch((error: unknown) => {
      core.life.fail(error as Error);
    });
    this.#tellStarted();
  }

  /** What the digest at the stop is going to cost, for the source's forecast. */
  async #measureDigest(core: SessionCore, mirror: Mirror, epoch: number): Promise<DigestMeasure> {
    const blocks = this.#guest?.blocks ?? [];
    if (this.#layout?.verify !== true || !measuresDigest(epoch)) return noMeasure;
    const startedMs = core.clock.now();
    const digestMs = await mirror.measureDigest(blocks);
    return { digestMs, measuringMs: core.clock.now() - startedMs };
  }

  /** Records, device state, digest: all up to READY. */
  async #receive(core: SessionCore, guest: Guest): Promise<void> {
    const { ramBytes } = this.#findings;
    const wait = core.ramWait('sent neither records nor device state', ramBytes);
    const begin = await core.mailbox.next(['device-state-begin'], wait);
    core.machine.fire('stopped');
    const state = await receiveDeviceState(core, begin.bytes);
    await core.life.wait(this.#started, core.peerWait('did not send all of RAM'));
    const digest = await this.#ramDigest;
    core.life.check();
    await guest.loadDeviceState(state);
    await core.recordState('ready');
    core.life.check();
    const { recordDecision } = this.options;
    this.#decision = new Decision(core, recordDecision, this.#findings);
    await this.#decision.promise(digest);
  }

  /** After a failure: what is decided, what the peer is told. Gives what is reported. */
  async #recover(error: Error): Promise<Error | undefined> {
    const core = this.#core;
    if (core === undefined) return error;
    const failure = core.life.failure ?? error;
    const { state } = core.machine;
    if (state === 'committed') {
      // The owner's guest did not resume; the source must not take it back all the same.
      core.machine.fire('fail');
      return error;
    }
    core.life.fail(failure);
    if (this.#decision !== undefined && (state === 'ready' || state === 'committing')) {
      if (await this.#decision.abort(failure)) return failure;
      this.#keepsGuest = true;
      return undecidedError(failure);
    }
    const reason = { code: errorCode(failure), message: errorMessage(failure) };
    await farewell(core, { type: 'abort', asks: false, ...reason });
    core.machine.fire(outcomeOf(failure) === 'aborted' ? 'abort' : 'fail');
    return failure;
  }

  async #freeGuest(failure: Error | undefined): Promise<Error | undefined> {
    try {
      await this.#guest?.close();
      return failure;
    } catch (error) {
      return failure ?? (error as Error);
    }
  }

  #report(error: Error | undefined): MigrationReport {
    const destinationRssBytes = this.#findings.destinationRssBytes ?? peakRssBytes();
    const guestState = this.#guest?.state ?? 'closed';
    const ending = {
      role: 'destination',
      transport: this.options.transport,
      sessionId: this.#core?.sessionId ?? '',
      lanes: this.#core?.lanes.mostAtOnce ?? 0,
      perLane: this.#core?.lanes.reports() ?? [],
      error,
      totalMs: this.dependencies.clock.now() - this.#startedMs,
      guestState: guestState === 'closed' ? 'gone' : guestState,
    } as const;
    return buildReport(ending, { ...this.#findings, destinationRssBytes }, this.#statistics);
  }
}

/** Nobody waits for it any more, so nobody but the user can be told. */
async function closeUnwanted(guest: Guest): Promise<void> {
  try {
    await guest.close();
  } catch (error) {
    process.emitWarning(`pageferry: a guest that is not wanted stays open: ${errorMessage(error)}`);
  }
}

function nothing(): Promise<undefined> {
  return Promise.resolve(undefined);
}

/** Receives a guest. Resolves with the report, also when it failed; see its outcome. */
export function runDestinationWith(
  options: DestinationOptions,
  dependencies: SessionDependencies,
): Promise<MigrationReport> {
  return new DestinationSession(options, dependencies).run();
}
