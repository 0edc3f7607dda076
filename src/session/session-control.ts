/**
 * What: the handle on a running session: look at it, hold it, let it go on, end it, change its
 * settings. Its user makes one and gives it to runSource or runDestination in the options; the
 * session attaches to it. One handle is for one session.
 */
import { setMaxListeners } from 'node:events';

import { AbortError, StateError } from '../errors.js';
import { checkSettings } from './settings.js';
import type { SessionSettings } from './settings.js';
import type { MigrationStatus, Role, SessionState } from './types.js';

/** What a session gives its handle. */
export interface ControlledSession {
  readonly role: Role;
  /** Undefined before the mirror is open. */
  state(): SessionState | undefined;
  status(): MigrationStatus;
  /** Settings or hold have changed. */
  changed(control: SessionControl): void;
}

/** Until the guest is about to be stopped, a source can be held. */
const holdable: ReadonlySet<SessionState> = new Set([
  'connecting',
  'handshake',
  'layout',
  'precopy',
]);

/** From here on only the peer's answer ends a session. */
const decided: ReadonlySet<SessionState> = new Set(['committing', 'committed']);
const ended: ReadonlySet<SessionState> = new Set(['completed', 'aborted', 'failed', 'undecided']);

export class SessionControl {
  readonly #cancelling = new AbortController();
  #session: ControlledSession | undefined;
  #settings: SessionSettings | undefined;
  #isPaused = false;
  #isStopping = false;
  readonly #resumeWaiters = new Set<() => void>();

  constructor() {
    setMaxListeners(0, this.#cancelling.signal);
  }

  /** Fires at `cancel`, with an AbortError. */
  get signal(): AbortSignal {
    return this.#cancelling.signal;
  }

  /** Undefined at a destination, and before a source has begun. */
  get settings(): SessionSettings | undefined {
    return this.#settings;
  }

  /** The source sends no pages until it is resumed; the guest runs on. */
  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** The session so far. Throws a StateError before a session has begun. */
  status(): MigrationStatus {
    return this.#demandSession().status();
  }

  /**
   * Holds a source: nothing is copied any more, the guest runs on, the lanes stay. Throws a
   * StateError at a destination, and when the guest is about to stop or has stopped.
   */
  pause(): void {
    const session = this.#demandSource('paused');
    const state = session.state();
    if (this.#isStopping || (state !== undefined && !holdable.has(state))) {
      throw this.#late('paused', state ?? 'stopping');
    }
    if (this.#isPaused) return;
    this.#isPaused = true;
    session.changed(this);
  }

  /** Idempotent. */
  resume(): void {
    const session = this.#demandSource('resumed');
    if (!this.#isPaused) return;
    this.#isPaused = false;
    session.changed(this);
    for (const go of [...this.#resumeWaiters]) go();
  }

  /** Ends the session as Ctrl-C does. Throws a StateError once COMMIT is decided. */
  cancel(reason = 'the migration was cancelled'): void {
    const state = this.#demandSession().state();
    if (state !== undefined && (decided.has(state) || ended.has(state))) {
      throw this.#late('cancelled', state);
    }
    this.#cancelling.abort(new AbortError('ERR_PAGEFERRY_CANCELLED', reason));
  }

  /**
   * Changes settings of a running source. Throws a ConfigurationError for a bad value; then
   * nothing has changed.
   */
  set(changes: Partial<SessionSettings>): SessionSettings {
    const session = this.#demandSource('changed');
    checkSettings(changes);
    const { settings } = this;
    if (settings === undefined) throw this.#late('changed', 'none');
    this.#settings = { ...settings, ...changes };
    session.changed(this);
    return this.#settings;
  }

  /** The session's side: it has begun. `settings` are a source's first ones. */
  attach(session: ControlledSession, settings?: SessionSettings): void {
    if (this.#session !== undefined) {
      const message = 'a SessionControl is for one session';
      throw new StateError('ERR_PAGEFERRY_CONTROL_USED', message, { state: 'attached' });
    }
    if (settings !== undefined) checkSettings({ ...settings });
    this.#session = session;
    this.#settings = settings;
  }

  /** The session's side: the guest is going to be stopped; it cannot be held any more. */
  beginStop(): void {
    this.#isStopping = true;
  }

  /** The session's side: resolves when it is not held; rejects with the signal's reason. */
  untilResumed(signal: AbortSignal): Promise<void> {
    if (!this.#isPaused) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const finish = (): void => {
        this.#resumeWaiters.delete(go);
        signal.removeEventListener('abort', onAbort);
      };
      const go = (): void => {
        finish();
        resolve();
      };
      const onAbort = (): void => {
        finish();
        reject(signal.reason as Error);
      };
      this.#resumeWaiters.add(go);
      signal.addEventListener('abort', onAbort, { once: true });
      if (signal.aborted) onAbort();
    });
  }

  #demandSession(): ControlledSession {
    if (this.#session !== undefined) return this.#session;
    const message = 'the session has not begun';
    throw new StateError('ERR_PAGEFERRY_CONTROL_EARLY', message, { state: 'none' });
  }

  #demandSource(what: string): ControlledSession {
    const session = this.#demandSession();
    if (session.role === 'source') return session;
    const message = `a migration is ${what} at its source; this is its destination`;
    throw new StateError('ERR_PAGEFERRY_CONTROL_SIDE', message, { state: session.role });
  }

  #late(what: string, state: string): StateError {
    const message = `the session cannot be ${what} any more: it is ${state}`;
    return new StateError('ERR_PAGEFERRY_CONTROL_LATE', message, { state });
  }
}
