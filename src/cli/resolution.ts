/**
 * What: whether a person's word on where a guest runs may be taken on one side of a session, by
 * what that side's files say. Pure. The rule is the session's own (DESIGN, decision 8): a side
 * that has decided stays with it, a side that still can decide by itself is left to it, and only
 * a destination that was READY has a guest to run.
 */
import { ConfigurationError, StateError } from '../errors.js';
import type { Role, SessionState } from '../session/types.js';
import type { Decision } from './decisions.js';

export interface SideFacts {
  readonly role: Role;
  /** As noted last. */
  readonly state: SessionState;
  /** The process that noted it still runs. */
  readonly isAlive: boolean;
  readonly decision: Decision | undefined;
}

export function decisionFor(runningAt: Role): Decision {
  return runningAt === 'destination' ? 'committed' : 'aborted';
}

/** What is noted from READY on; see SessionOptions.recordState. */
const promised: ReadonlySet<SessionState> = new Set(['ready', 'committing', 'undecided']);

/** True: it is to be recorded. False: it is so already. Throws why it cannot be. */
export function mayResolve(side: SideFacts, runningAt: Role): boolean {
  const { role, state, isAlive, decision } = side;
  const wanted = decisionFor(runningAt);
  if (decision !== undefined) {
    if (decision === wanted) return false;
    const where = decision === 'committed' ? 'destination' : 'source';
    const message = `the ${role} has decided already that the guest is the ${where}'s`;
    throw new StateError('ERR_PAGEFERRY_DECIDED', message, { state: decision });
  }
  if (isAlive && state !== 'undecided') {
    const message = `the ${role} is not in doubt: its session is under way, and decides by itself`;
    throw new StateError('ERR_PAGEFERRY_UNDER_WAY', message, { state });
  }
  if (role === 'destination' && runningAt === 'destination' && !promised.has(state)) {
    const message = 'the destination never had the whole guest: there is nothing to run there';
    throw new ConfigurationError('ERR_PAGEFERRY_INCOMPLETE', message);
  }
  return true;
}
