/**
 * What: a destination from READY to its decision (DESIGN, decision 8). READY is a promise: the
 * guest stays here, paused and complete, until this side knows COMMITTED or ABORTED and has that
 * on its disk. It knows ABORTED only from the source's Abort, or when it declines a COMMIT that
 * has come: before that the source may be dead, and this the last complete copy.
 */
import type { AbortError } from '../errors.js';
import { errorCode, errorMessage, IntegrityError, StateError } from '../errors.js';
import type { OutgoingControl } from '../wire/control.js';
import type { SessionCore } from './core.js';
import { farewell } from './farewell.js';
import type { Findings } from './report.js';
import { outcomeOf } from './report.js';
import type { DestinationOptions } from './types.js';

export class Decision {
  #digest: Uint8Array | undefined;
  #commitCounter = 0;
  #repeatAnswer: (() => void) | undefined;
  #wish: AbortError | undefined;

  constructor(
    private readonly core: SessionCore,
    private readonly record: DestinationOptions['recordDecision'],
    private readonly findings: Findings,
  ) {}

  /** Promises: READY, with the digest of RAM. */
  async promise(digest: Uint8Array | undefined): Promise<void> {
    const { core } = this;
    this.#digest = digest;
    core.takeStop = (error) => {
      this.#askForAbort(error);
    };
    core.machine.fire('ready');
    await core.sendControl({ type: 'ready', digest });
  }

  /** Resolves when COMMITTED is durable: the guest is this side's. */
  async untilCommitted(ramBytes: number): Promise<void> {
    const { core, findings } = this;
    const wait = core.ramWait('did not decide', ramBytes);
    const commit = await core.mailbox.next(['commit'], wait);
    this.#commitCounter = core.mailbox.lastCounter;
    findings.sourceRssBytes = commit.peakRssBytes;
    findings.ticksBefore = commit.ticks ?? null;
    this.#compare(commit.digest);
    core.life.check();
    if (this.#wish !== undefined) throw this.#wish;
    core.machine.fire('commit');
    await this.record(core.sessionId, 'committed');
  }

  /** Sends the answer to COMMIT; resolves when it is acknowledged. */
  async answer(message: OutgoingControl): Promise<boolean> {
    const { core } = this;
    const sealed = await core.sealControl(message);
    this.#repeatAnswer = () => {
      if (!core.hasMessage(sealed.counter)) void core.shipMessage(sealed);
    };
    return core.shipMessage(sealed);
  }

  /** A message came again; where it is COMMIT, its answer is repeated, as the same bytes. */
  repeated(counter: number): void {
    if (counter === this.#commitCounter) this.#repeatAnswer?.();
  }

  /**
   * After a failure that comes before COMMITTED. True: ABORTED is durable and told, the guest may
   * be freed. False: this side does not know, or cannot record it, and keeps the guest.
   */
  async abort(failure: Error): Promise<boolean> {
    const { core } = this;
    const knows = core.peerAbort !== undefined || this.#commitCounter > 0;
    if (!knows || !(await this.#recordAborted())) {
      core.machine.fire('doubt');
      await core.recordDoubt();
      return false;
    }
    if (this.#commitCounter > 0) {
      // The source stays paused until it has this.
      const reason = { code: errorCode(failure), message: errorMessage(failure) };
      await farewell(core, { type: 'aborted', ...reason }, true);
    }
    const isAbort = outcomeOf(failure) === 'aborted' || core.machine.state === 'committing';
    core.machine.fire(isAbort ? 'abort' : 'fail');
    return true;
  }

  /** The user wants to stop. Only the source can end the session now; a COMMIT is declined. */
  #askForAbort(error: AbortError): void {
    if (this.#wish !== undefined) return;
    this.#wish = error;
    const { core } = this;
    const reason = { code: errorCode(error), message: errorMessage(error) };
    core.sendControl({ type: 'abort', asks: true, ...reason }).catch((cause: unknown) => {
      core.life.fail(cause as Error);
    });
  }

  #compare(theirs: Uint8Array | undefined): void {
    const own = this.#digest;
    if (own === undefined) return;
    const isEqual = theirs !== undefined && Buffer.compare(own, theirs) === 0;
    this.findings.digestsEqual = isEqual;
    if (isEqual) return;
    const message = 'RAM here is not the same as at the source: the digests differ';
    throw new IntegrityError('ERR_PAGEFERRY_DIGEST', message);
  }

  async #recordAborted(): Promise<boolean> {
    try {
      await this.record(this.core.sessionId, 'aborted');
      return true;
    } catch (error) {
      process.emitWarning(`pageferry: cannot record the decision: ${errorMessage(error)}`);
      return false;
    }
  }
}

/** Reported by a destination that keeps a guest it may or may not own. */
export function undecidedError(cause: Error): StateError {
  return new StateError(
    'ERR_PAGEFERRY_IN_DOUBT',
    "the source has not said whether the guest is this side's. It stays paused here, complete, " +
      'until somebody finds out where it runs',
    { state: 'undecided', cause },
  );
}
