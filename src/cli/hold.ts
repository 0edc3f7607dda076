/**
 * What: keeps the process, and with it a paused guest's memory, when nobody but a person can say
 * where the guest is to run: until `pageferry resolve` has recorded that, or a signal comes.
 */
import type { Decision, DecisionStore } from './decisions.js';
import type { Frontend } from './frontend.js';
import { aborted, delay, Interruption } from './interruption.js';

const dayMs = 86_400_000;
/** A look at one small file. */
const lookEveryMs = 200;

/** Resolves when it is asked for; the event loop has something to wait for until then. */
export async function keepAlive(until: Promise<void>): Promise<void> {
  const timer = setInterval(() => undefined, dayMs);
  await until;
  clearInterval(timer);
}

/** Tells `lines`, then waits for a signal of its own: the session's may have fired already. */
export async function holdGuest(front: Frontend, lines: readonly string[]): Promise<void> {
  const release = new Interruption();
  for (const line of lines) front.line(line);
  try {
    await keepAlive(aborted(release.signal));
  } finally {
    release.dispose();
  }
}

/** The same, until a decision is recorded as well; undefined: a signal came. */
export async function holdUntilDecided(
  front: Frontend,
  decisions: DecisionStore,
  sessionId: string,
  lines: readonly string[],
): Promise<Decision | undefined> {
  const release = new Interruption();
  for (const line of lines) front.line(line);
  try {
    while (!release.signal.aborted) {
      const decision = await decisions.read(sessionId);
      if (decision !== undefined) return decision;
      await delay(lookEveryMs, release.signal);
    }
    return undefined;
  } finally {
    release.dispose();
  }
}

/** What a person has to know to settle a session in doubt. */
export function doubtLines(sessionId: string, role: 'source' | 'destination'): string[] {
  const command = `pageferry resolve ${sessionId} --running-at`;
  const other = role === 'source' ? 'destination' : 'source';
  return [
    `The guest of session ${sessionId} stays paused here, its memory intact.`,
    `If it runs at the ${other}, or is to: ${command} ${other}`,
    `If the ${other} is gone for good or has given it up: ${command} ${role}`,
  ];
}
