/**
 * What: the source's last steps: pause, last epoch, device state, digests, COMMIT and its answer.
 * Until COMMIT is decided every failure leads back to a running guest; after it only the peer's
 * authentic answer does (DESIGN, decision 8).
 */
import { AbortError, IntegrityError } from '../errors.js';
import { PF_MESSAGE_BYTES_MAX } from '../native/abi.generated.js';
import type { SealedMessage } from '../mirror/contract.js';
import type { WireReason, WireSummary } from '../wire/control.js';
import { COMMIT_RESEND_MS, DEVICE_STATE_CHUNKS_MAX } from './limits.js';
import type { Precopy } from './precopy.js';
import { peakRssBytes } from './report.js';
import type { SourceRun } from './source-run.js';

/** The destination's answer to COMMIT was ABORTED: the guest is the source's again. */
export class DeclinedError extends AbortError {
  constructor(reason: WireReason) {
    const text = `the destination declined the guest: ${reason.message} (${reason.code})`;
    super('ERR_PAGEFERRY_PEER_ABORTED', text);
  }
}

export class Handover {
  #pausedAtMs = 0;
  /** When each part of the downtime ended, in order. */
  readonly #marksMs: number[] = [];

  constructor(
    private readonly run: SourceRun,
    private readonly precopy: Precopy,
  ) {}

  async complete(): Promise<void> {
    const digest = await this.#stop();
    await this.#commit(digest);
    await this.#summary();
  }

  /** Everything up to READY; gives the digest both sides agree on. */
  async #stop(): Promise<Uint8Array | undefined> {
    const { core, guest, tracker, pages, mirror, blocks, options, ramBytes } = this.run;
    // Without a lane the guest would stand still for nothing.
    await core.life.wait(core.connection.connected(), core.peerWait('has no lane'));
    // From before the pause: the guest may stop at any moment of it, so this is the upper bound.
    this.#pausedAtMs = core.clock.now();
    await guest.pause();
    this.#mark();
    core.life.check();
    core.machine.fire('stopped');
    this.run.findings.ticksBefore = guest.activity()?.ticks ?? null;
    const state = guest.saveDeviceState();
    const exported = tracker.collect(pages).then(() => this.precopy.exportEpoch(true));
    const [deviceState] = await Promise.all([state, exported]);
    const digest = options.verify ? mirror.digest(blocks) : Promise.resolve(undefined);
    const [own] = await Promise.all([digest, this.#afterExport(deviceState)]);
    const wait = core.ramWait('did not get ready', ramBytes);
    const ready = await core.mailbox.next(['ready'], wait);
    this.#mark();
    this.#compare(own, ready.digest);
    core.life.check();
    core.machine.fire('ready');
    return own;
  }

  async #afterExport(deviceState: Uint8Array): Promise<void> {
    await this.#sendDeviceState(deviceState);
    await this.precopy.accepted(true);
    this.#mark();
    this.run.tracker.commit();
  }

  async #sendDeviceState(state: Uint8Array): Promise<void> {
    const { core } = this.run;
    await core.sendControl({ type: 'device-state-begin', bytes: state.length });
    const underWay = new Set<Promise<unknown>>();
    for (let at = 0; at < state.length; at += PF_MESSAGE_BYTES_MAX) {
      if (underWay.size >= DEVICE_STATE_CHUNKS_MAX) {
        const wait = core.peerWait('did not take the device state');
        await core.life.wait(Promise.race(underWay), wait);
      }
      const chunk = state.subarray(at, at + PF_MESSAGE_BYTES_MAX);
      const { done } = await core.sendMessage('device-state', chunk);
      const tracked: Promise<unknown> = done.then(() => underWay.delete(tracked));
      underWay.add(tracked);
    }
    await core.sendControl({ type: 'device-state-end' });
  }

  #compare(own: Uint8Array | undefined, peers: Uint8Array | undefined): void {
    if (own === undefined) return;
    const isEqual = peers !== undefined && Buffer.compare(own, peers) === 0;
    this.run.findings.digestsEqual = isEqual;
    if (isEqual) return;
    const message = 'RAM at the destination is not the same as here: the digests differ';
    throw new IntegrityError('ERR_PAGEFERRY_DIGEST', message);
  }

  /** From here on there is no way back but the peer's. */
  async #commit(digest: Uint8Array | undefined): Promise<void> {
    const { core, findings } = this.run;
    await core.recordState('committing');
    core.beginCommit();
    const sealed = await core.sealControl({
      type: 'commit',
      digest,
      ticks: findings.ticksBefore ?? undefined,
      peakRssBytes: peakRssBytes(),
    });
    core.life.check();
    core.machine.fire('commit');
    const stopResending = this.#keepSending(sealed);
    try {
      const wait = core.strictWait('did not answer COMMIT');
      const answer = await core.mailbox.next(['committed', 'aborted'], wait);
      if (answer.type === 'aborted') {
        core.machine.fire('declined');
        throw new DeclinedError(answer);
      }
      core.machine.fire('committed');
      this.#mark();
      this.#noteParts(0);
    } finally {
      stopResending();
    }
  }

  /**
   * Sends COMMIT, and again as the same bytes until it is answered. Also when it has been
   * acknowledged: an acknowledgement is a hint that anybody on the way can forge.
   */
  #keepSending(sealed: SealedMessage): () => void {
    const { core } = this.run;
    void core.shipMessage(sealed);
    let cancel = (): void => undefined;
    const again = (): void => {
      cancel = core.clock.after(COMMIT_RESEND_MS, () => {
        if (!core.hasMessage(sealed.counter)) void core.shipMessage(sealed);
        again();
      });
    };
    again();
    return () => {
      cancel();
    };
  }

  /**
   * What the destination tells once the guest runs. The guest is gone whether it comes or not, so
   * a failure here costs a few figures of the report.
   */
  async #summary(): Promise<void> {
    const { core, findings, ramBytes } = this.run;
    const wait = core.ramWait('sent no summary', ramBytes);
    const received = await core.mailbox.next(['summary'], wait).catch((error: unknown) => {
      process.emitWarning(`pageferry: completed, without a summary: ${String(error)}`);
      return undefined;
    });
    if (received !== undefined) this.#note(received);
    findings.sourceRssBytes = peakRssBytes();
    core.machine.fire('finished');
  }

  #note(summary: WireSummary): void {
    const { findings } = this.run;
    findings.destinationRssBytes = summary.peakRssBytes;
    findings.ticksAfter = summary.ticks ?? null;
    findings.selfCheck = summary.selfCheck;
    // Committed is sent when the decision is durable and the resume begins; the guest runs when
    // that is done. So: pause to the answer's arrival here, plus the resume there.
    this.#noteParts(summary.resumeMs);
  }

  #mark(): void {
    this.#marksMs.push(this.run.core.clock.now());
  }

  #noteParts(resumeMs: number): void {
    const { findings } = this.run;
    const [paused = 0, copied = 0, ready = 0, committed = 0] = this.#marksMs;
    findings.downtimeParts = {
      pauseMs: paused - this.#pausedAtMs,
      copyMs: copied - paused,
      verifyMs: ready - copied,
      commitMs: committed - ready,
      resumeMs,
    };
    findings.downtimeMs = committed - this.#pausedAtMs + resumeMs;
  }
}
