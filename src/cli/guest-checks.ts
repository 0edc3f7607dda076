/** What: looking at a guest after its session: does it tick, and is everything it wrote right? */
import type { Guest, SelfCheck } from '../guest/contract.js';
import { formatCount } from '../units.js';
import { delay } from './interruption.js';

/** How long a guest is watched for its ticks to go on. */
const settleMs = 300;
const settleLimitMs = 5000;
const pollMs = 20;

export interface GuestCheck {
  readonly ticksBefore: number | null;
  readonly ticksAfter: number | null;
  readonly selfCheck: SelfCheck | undefined;
}

function ticksOf(guest: Guest): number | null {
  return guest.activity()?.ticks ?? null;
}

/** Watches a running guest for a moment, then lets it check itself. */
export async function checkRunningGuest(
  guest: Guest,
  ticksBefore = ticksOf(guest),
): Promise<GuestCheck> {
  const started = performance.now();
  await delay(settleMs);
  // A loaded machine may need longer for the first tick; a dead guest never ticks.
  while (ticksBefore !== null && (ticksOf(guest) ?? 0) <= ticksBefore) {
    if (performance.now() - started > settleLimitMs) break;
    await delay(pollMs);
  }
  const ticksAfter = ticksOf(guest);
  const selfCheck = await guest.selfCheck();
  return { ticksBefore, ticksAfter, selfCheck };
}

/** "ticks 12 to 345, self-check of 1,000 pages passed". */
export function describeCheck(check: GuestCheck): string {
  const parts: string[] = [];
  const { selfCheck, ticksAfter, ticksBefore } = check;
  if (ticksBefore !== null && ticksAfter !== null) {
    parts.push(`ticks ${formatCount(ticksBefore)} to ${formatCount(ticksAfter)}`);
  }
  if (selfCheck !== undefined) {
    const verdict = selfCheck.ok ? 'passed' : `FAILED on ${formatCount(selfCheck.badPages)}`;
    parts.push(`self-check of ${formatCount(selfCheck.pagesChecked)} pages ${verdict}`);
  }
  return parts.join(', ');
}
