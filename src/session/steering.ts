/**
 * What: what joins a session to the handle that its user steers it by (session-control.ts): the
 * two signals to stop, the pacer, the messages that tell the destination of a hold, and the status.
 */
import type { Clock } from './clock.js';
import type { SessionCore } from './core.js';
import type { EventEmitter } from './events.js';
import { PINGS_PER_TIMEOUT } from './limits.js';
import { Pacer } from './pacing.js';
import { SessionControl } from './session-control.js';
import type { SessionSettings } from './settings.js';
import type { Statistics } from './statistics.js';
import type {
  MigrationReport,
  MigrationStatus,
  Role,
  SessionOptions,
  SessionState,
  SourceOptions,
} from './types.js';

/** The outcome is the state's name, once it has ended; in doubt it has failed. */
function outcomeOf(state: SessionState): MigrationStatus['outcome'] {
  if (state === 'undecided') return 'failed';
  return state === 'completed' || state === 'aborted' || state === 'failed' ? state : 'running';
}

export class Steering {
  readonly control: SessionControl;
  readonly pacer: Pacer;
  readonly #stopping = new AbortController();
  readonly #unlisten: (() => void)[] = [];
  #core: SessionCore | undefined;
  #statistics: Statistics | undefined;
  #wasPaused = false;
  #told: SessionSettings | undefined;
  #cancelBeat: (() => void) | undefined;
  /** A message about the hold is on its way. */
  #isTelling = false;
  #heldMs = 0;
  #heldSinceMs: number | undefined;

  constructor(
    private readonly role: Role,
    private readonly options: SessionOptions,
    private readonly clock: Clock,
    private readonly events: EventEmitter,
    private readonly report: () => MigrationReport,
  ) {
    this.control = options.control ?? new SessionControl();
    this.pacer = new Pacer(clock);
    for (const signal of [options.signal, this.control.signal]) this.#follow(signal);
  }

  /** Fires when the user's signal or the handle ends the session. */
  get signal(): AbortSignal {
    return this.#stopping.signal;
  }

  /** For how long the session has been held so far: no time to measure rates by. */
  get heldMs(): number {
    const sinceMs = this.#heldSinceMs;
    return this.#heldMs + (sinceMs === undefined ? 0 : this.clock.now() - sinceMs);
  }

  /** Attaches to the handle; `source` has a source's first settings. Throws for bad ones. */
  attach(source?: SourceOptions): void {
    const settings = source === undefined ? undefined : settingsOf(source);
    const session = {
      role: this.role,
      state: () => this.#core?.machine.state,
      status: () => this.#status(),
      changed: () => {
        this.#changed();
      },
    };
    this.control.attach(session, settings);
    this.#told = settings;
    this.pacer.set(settings?.maxBandwidthBytesPerSecond ?? undefined);
  }

  /** The mirror is open and the session has lanes to come. */
  begin(core: SessionCore, statistics: Statistics): void {
    this.#core = core;
    this.#statistics = statistics;
  }

  /** Ends timers and listeners. */
  close(): void {
    this.#cancelBeat?.();
    this.pacer.close();
    for (const unlisten of this.#unlisten.splice(0)) unlisten();
  }

  #follow(signal: AbortSignal | undefined): void {
    if (signal === undefined) return;
    const stop = (): void => {
      this.#stopping.abort(signal.reason);
    };
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    this.#unlisten.push(() => {
      signal.removeEventListener('abort', stop);
    });
  }

  #status(): MigrationStatus {
    const state = this.#core?.machine.state ?? 'connecting';
    const report = this.report();
    return {
      ...report,
      outcome: outcomeOf(state),
      role: this.role,
      state,
      isPaused: this.control.isPaused,
      settings: this.control.settings ?? null,
      progress: this.#statistics?.progress ?? null,
    };
  }

  #changed(): void {
    const { isPaused, settings } = this.control;
    if (settings !== undefined && settings !== this.#told) {
      this.#told = settings;
      this.pacer.set(settings.maxBandwidthBytesPerSecond ?? undefined);
      this.events.emit({ type: 'settings', settings });
    }
    if (isPaused === this.#wasPaused) return;
    this.#heldMs = this.heldMs;
    this.#heldSinceMs = isPaused ? this.clock.now() : undefined;
    this.#wasPaused = isPaused;
    this.events.emit({ type: 'held', role: this.role, isPaused });
    this.#cancelBeat?.();
    this.#tellPeer();
  }

  /** Again and again while it lasts: the destination waits for us with a deadline. */
  #tellPeer(): void {
    const core = this.#core;
    const { isPaused } = this.control;
    const canTell = core?.isEstablished === true && core.life.failure === undefined;
    if (canTell && !this.#isTelling) void this.#tell(core);
    if (!isPaused) return;
    this.#cancelBeat = this.clock.after(this.options.peerTimeoutMs / PINGS_PER_TIMEOUT, () => {
      this.#tellPeer();
    });
  }

  /** One at a time: without lanes they would pile up, for as long as the session is held. */
  async #tell(core: SessionCore): Promise<void> {
    const { isPaused } = this.control;
    this.#isTelling = true;
    try {
      const sealed = await core.sealControl({ type: 'hold', isPaused });
      await core.shipMessage(sealed);
    } catch (error) {
      core.life.fail(error as Error);
    }
    this.#isTelling = false;
    // It has changed meanwhile.
    const isStale = this.control.isPaused !== isPaused && core.life.failure === undefined;
    if (isStale) void this.#tell(core);
  }
}

function settingsOf(options: SourceOptions): SessionSettings {
  return {
    maxBandwidthBytesPerSecond: options.maxBandwidthBytesPerSecond ?? null,
    downtimeLimitMs: options.downtimeLimitMs,
    onStall: options.onStall ?? null,
  };
}
