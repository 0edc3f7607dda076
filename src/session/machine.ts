/**
 * What: the state machines of both roles as tables: which event leads where, and which message of
 * the peer belongs to which state. docs/wire-protocol.md shows them as diagrams. Pure.
 * An event that a state's row does not name is refused with a StateError.
 */
import { ProtocolError, StateError } from '../errors.js';
import type { ControlType } from '../wire/control.js';
import type { Role, SessionState } from './types.js';

export const sessionStates = [
  'connecting',
  'handshake',
  'layout',
  'precopy',
  'stopping',
  'ready',
  'committing',
  'committed',
  'completed',
  'aborted',
  'failed',
  'undecided',
] as const satisfies readonly SessionState[];

export const sessionEvents = [
  /** A lane's Hello and its answer are exchanged. */
  'greeted',
  /** The handshake failed, and this side goes on listening. */
  'refused',
  /** Keys are agreed and the first lane has joined. */
  'established',
  /** The destination has memory for the layout. */
  'layout-accepted',
  /** Source: the guest is paused. Destination: RAM is complete, or device state comes. */
  'stopped',
  /** Everything is at the destination, verified and loaded. */
  'ready',
  /** Source: COMMIT is decided. Destination: COMMIT has come. */
  'commit',
  /** Source: the answer has come. Destination: the decision is durable. */
  'committed',
  /** Source, after COMMIT: the authentic answer is ABORTED. */
  'declined',
  /** The guest runs at the destination, and both know. */
  'finished',
  /** Somebody stopped it: a signal, the peer. */
  'abort',
  /** It broke. */
  'fail',
  /** Only the peer could say who owns the guest, and it does not: it stays paused and complete. */
  'doubt',
] as const;

export type SessionTransition = (typeof sessionEvents)[number];

export type TransitionTable = Readonly<
  Record<SessionState, Readonly<Partial<Record<SessionTransition, SessionState>>>>
>;

const endings = { abort: 'aborted', fail: 'failed' } as const;

const connecting = {
  connecting: { greeted: 'handshake', ...endings },
  handshake: { refused: 'connecting', established: 'layout', ...endings },
  layout: { 'layout-accepted': 'precopy', ...endings },
  precopy: { stopped: 'stopping', ...endings },
  stopping: { ready: 'ready', ...endings },
  completed: {},
  aborted: {},
  failed: {},
  undecided: {},
} as const;

export const transitionTables: Readonly<Record<Role, TransitionTable>> = {
  source: {
    ...connecting,
    ready: { commit: 'committing', ...endings },
    // No 'abort': after COMMIT only an authentic answer, or its absence, decides.
    committing: { committed: 'committed', declined: 'aborted', doubt: 'undecided' },
    // The guest is the destination's, whatever happens to the summary.
    committed: { finished: 'completed' },
  },
  destination: {
    ...connecting,
    // Leaving READY other than by COMMIT or in doubt needs ABORTED on the disk first.
    ready: { commit: 'committing', doubt: 'undecided', ...endings },
    // 'doubt': neither decision could be made durable.
    committing: { committed: 'committed', abort: 'aborted', doubt: 'undecided' },
    // 'fail': the owner's guest did not resume.
    committed: { finished: 'completed', fail: 'failed' },
  },
};

/** Messages that may be looked at in each state. Abort and Aborted: see abortBelongs. */
const belonging: Readonly<
  Record<Role, Readonly<Partial<Record<SessionState, readonly (ControlType | 'chunk')[]>>>>
> = {
  source: {
    layout: ['layout-accepted'],
    precopy: ['epoch-accepted'],
    stopping: ['epoch-accepted', 'ready'],
    committing: ['committed', 'aborted'],
    committed: ['summary'],
  },
  destination: {
    layout: ['layout'],
    // Device state may overtake the start token: they are in classes of their own.
    precopy: ['device-state-begin'],
    stopping: ['device-state-begin', 'chunk', 'device-state-end'],
    ready: ['commit'],
  },
};

/** Refuses a message that does not belong to the state; it is authentic, so that is fatal. */
export function checkBelongs(role: Role, state: SessionState, type: ControlType | 'chunk'): void {
  const expected = belonging[role][state] ?? [];
  if (expected.includes(type)) return;
  throw new ProtocolError(
    'ERR_PAGEFERRY_UNEXPECTED_MESSAGE',
    `the peer sent ${type} to a ${role} in state ${state}`,
    { field: 'message', expected: expected.join(' or ') || 'nothing', received: type },
  );
}

/** Whether the peer's Abort, or an Aborted before COMMIT, ends the session in this state. */
export function abortBelongs(role: Role, state: SessionState): boolean {
  return transitionTables[role][state].abort !== undefined && state !== 'committing';
}

/**
 * Whether being without lanes has to end soon: the guest is paused and could run here, or it runs
 * already and only figures are missing. In COMMIT patience is better: giving up leaves a doubt.
 */
export function isHurried(role: Role, state: SessionState): boolean {
  return role === 'source' && (state === 'stopping' || state === 'ready' || state === 'committed');
}

/**
 * Whether a destination takes records of pages: from the layout's acceptance on, and to the end.
 * After the start token only those may come that have come before, because an acknowledgement was
 * lost; the helper says so, and they are acknowledged again.
 */
export function takesRecords(state: SessionState): boolean {
  return state === 'precopy' || state === 'stopping' || state === 'ready' || isPastCommit(state);
}

/** Whether COMMIT has been decided (source) or has come (destination). */
export function isPastCommit(state: SessionState): boolean {
  return state === 'committing' || state === 'committed' || state === 'completed';
}

export class SessionMachine {
  #state: SessionState = 'connecting';

  constructor(
    readonly role: Role,
    private readonly onState: (state: SessionState) => void,
  ) {}

  get state(): SessionState {
    return this.#state;
  }

  can(event: SessionTransition): boolean {
    return transitionTables[this.role][this.#state][event] !== undefined;
  }

  /** Goes where the event leads; throws when it does not belong to the state. */
  fire(event: SessionTransition): void {
    const next = transitionTables[this.role][this.#state][event];
    if (next === undefined) {
      throw new StateError(
        'ERR_PAGEFERRY_STATE',
        `a ${this.role} in state ${this.#state} cannot take ${event}`,
        { state: this.#state },
      );
    }
    this.#state = next;
    this.onState(next);
  }
}
