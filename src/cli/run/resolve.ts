/** What: `pageferry resolve`: what it does. The processes that hold the guest see the files. */
import { ConfigurationError } from '../../errors.js';
import type { Role } from '../../session/types.js';
import type { ResolveOptions } from '../commands/resolve.js';
import { DecisionStore, defaultStateDirectory } from '../decisions.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import { isAlive } from '../process-start.js';
import { decisionFor, mayResolve, type SideFacts } from '../resolution.js';

interface Side {
  readonly store: DecisionStore;
  readonly facts: SideFacts;
  readonly pid: number;
}

async function findSide(
  directory: string,
  role: Role,
  sessionId: string,
): Promise<Side | undefined> {
  const store = await DecisionStore.open(directory, role);
  const noted = await store.state(sessionId);
  if (noted === undefined) return undefined;
  const decision = await store.read(sessionId);
  const facts = { role, state: noted.state, isAlive: isAlive(noted), decision };
  return { store, facts, pid: noted.pid };
}

function sentence({ facts, pid }: Side, runningAt: Role): string {
  const says = `${facts.role}: the guest is the ${runningAt}'s`;
  if (facts.decision !== undefined) return `${says}, as decided before`;
  if (facts.isAlive) return `${says}; process ${pid} holds it and acts on that`;
  return `${says}; the process that held it (${pid}) is gone`;
}

/** Both sides may keep their files here: then the one that gives the guest up comes first. */
export async function resolveSession(
  sessionId: string,
  { runningAt, stateDir }: ResolveOptions,
): Promise<ExitCode> {
  const directory = stateDir ?? defaultStateDirectory();
  const roles: Role[] =
    runningAt === 'source' ? ['destination', 'source'] : ['source', 'destination'];
  const sides: Side[] = [];
  for (const role of roles) {
    const side = await findSide(directory, role, sessionId);
    if (side !== undefined) sides.push(side);
  }
  if (sides.length === 0) {
    const message = `nothing is known here of session ${sessionId}; --state-dir names the place`;
    throw new ConfigurationError('ERR_PAGEFERRY_SESSION_MISSING', message);
  }
  const open = sides.filter(({ facts }) => mayResolve(facts, runningAt));
  for (const { store } of open) await store.record(sessionId, decisionFor(runningAt), 'resolve');
  for (const side of sides) process.stdout.write(`${sentence(side, runningAt)}\n`);
  return EXIT.completed;
}
