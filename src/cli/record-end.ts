/** What: a side's decisions for a command: where they are kept, and the one at the end. */
import { errorMessage } from '../errors.js';
import type { MigrationReport, Role } from '../session/types.js';
import { DecisionStore, defaultStateDirectory } from './decisions.js';
import { isInDoubt } from './exit-codes.js';

export function openDecisions(directory: string | undefined, role: Role): Promise<DecisionStore> {
  return DecisionStore.open(directory ?? defaultStateDirectory(), role);
}

/**
 * Records whose the guest is, where the session has not done so at READY: for whoever asks later.
 * Nothing hangs on it any more, so that it fails is worth a warning only.
 */
export async function recordEnd(decisions: DecisionStore, report: MigrationReport): Promise<void> {
  const { sessionId, outcome, guest } = report;
  if (sessionId === '' || isInDoubt(report)) return;
  // The owner's guest that did not resume: that decision is made.
  if (guest.role === 'destination' && outcome !== 'completed' && guest.state !== 'gone') return;
  const decision = outcome === 'completed' ? 'committed' : 'aborted';
  await decisions.record(sessionId, decision).catch((error: unknown) => {
    process.emitWarning(`pageferry: cannot record how the session ended: ${errorMessage(error)}`);
  });
}
