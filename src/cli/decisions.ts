/**
 * What: one side's durable memory of its sessions, two small JSON files each: the state file says
 * how far it came and which process holds the guest, and is replaced as it goes on; the decision
 * file says whose the guest is, and is made once. Both are on disk, with the directory that names
 * them, before they are acted on, so that after a crash the same rule can be applied to them.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, unlink } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, isAbsolute, join, resolve } from 'node:path';

import { ConfigurationError, StateError } from '../errors.js';
import { sessionStates } from '../session/machine.js';
import type { Role, SessionState } from '../session/types.js';
import { createDurably, syncDirectory, writeDurably } from './durable.js';
import { processStart } from './process-start.js';

/** committed: the guest is the destination's; aborted: it is the source's. */
export type Decision = 'committed' | 'aborted';

/** What a state file says. */
export interface StateRecord {
  readonly record: 'session';
  readonly version: 1;
  readonly sessionId: string;
  readonly role: Role;
  readonly state: SessionState;
  /** The process that has the guest, and when it was started, in the kernel's clock ticks. */
  readonly pid: number;
  readonly pidStart: string;
  readonly writtenAt: string;
}

interface DecisionRecord {
  readonly record: 'decision';
  readonly version: 1;
  readonly sessionId: string;
  readonly role: Role;
  readonly decision: Decision;
  /** The session itself, or a person (`pageferry resolve`). */
  readonly decidedBy: 'session' | 'resolve';
  readonly decidedAt: string;
}

const sessionPattern = /^[0-9a-f]{8,64}$/;

/** $XDG_STATE_HOME/pageferry, which is ~/.local/state/pageferry by default. */
export function defaultStateDirectory(environment: NodeJS.ProcessEnv = process.env): string {
  const base = environment['XDG_STATE_HOME'];
  // The specification says that relative paths are to be ignored.
  const isUsable = base !== undefined && isAbsolute(base);
  return join(isUsable ? base : join(homedir(), '.local', 'state'), 'pageferry');
}

function isStateRecord(value: unknown): value is StateRecord {
  if (typeof value !== 'object' || value === null) return false;
  const { record, version, state, pid, pidStart } = value as Record<string, unknown>;
  const isKnown = sessionStates.some((known) => known === state);
  const hasProcess = Number.isSafeInteger(pid) && typeof pidStart === 'string';
  return record === 'session' && version === 1 && isKnown && hasProcess;
}

/** Undefined where there is no such file. */
async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

export class DecisionStore {
  private constructor(
    private readonly directory: string,
    readonly role: Role,
  ) {}

  /** Makes the directory where there is none and tries it: better now than at READY. */
  static async open(directory: string, role: Role): Promise<DecisionStore> {
    const path = resolve(directory, 'sessions');
    try {
      const created = await mkdir(path, { recursive: true, mode: 0o700 });
      if (created !== undefined) await syncDirectory(dirname(created));
      const probe = join(path, `.probe-${randomBytes(6).toString('hex')}`);
      await writeDurably(probe, '');
      await unlink(probe);
    } catch (cause) {
      const problem = `cannot write to the state directory ${path}; --state-dir names another`;
      throw new ConfigurationError('ERR_PAGEFERRY_STATE_DIRECTORY', problem, { cause });
    }
    return new DecisionStore(path, role);
  }

  pathOf(sessionId: string, kind: 'state' | 'decision'): string {
    if (!sessionPattern.test(sessionId)) {
      const problem = `"${sessionId.slice(0, 80)}" is not the name of a session`;
      throw new ConfigurationError('ERR_PAGEFERRY_SESSION_NAME', problem);
    }
    return join(this.directory, `${sessionId}.${this.role}.${kind}.json`);
  }

  /** Notes how far this process's session has come; durable when it resolves. */
  async note(sessionId: string, state: SessionState): Promise<void> {
    const { pid } = process;
    const record: StateRecord = {
      record: 'session',
      version: 1,
      sessionId,
      role: this.role,
      state,
      pid,
      pidStart: processStart(pid) ?? '',
      writtenAt: new Date().toISOString(),
    };
    await writeDurably(this.pathOf(sessionId, 'state'), `${JSON.stringify(record)}\n`);
  }

  /** What was noted last, or undefined. */
  async state(sessionId: string): Promise<StateRecord | undefined> {
    const path = this.pathOf(sessionId, 'state');
    const text = await readIfThere(path);
    if (text === undefined) return undefined;
    try {
      const record: unknown = JSON.parse(text);
      if (isStateRecord(record)) return record;
    } catch {
      // Told below, like everything else that is no state file.
    }
    throw new ConfigurationError('ERR_PAGEFERRY_STATE_FILE', `${path} is not a state file`);
  }

  /** What was decided, or undefined. */
  async read(sessionId: string): Promise<Decision | undefined> {
    const path = this.pathOf(sessionId, 'decision');
    const text = await readIfThere(path);
    if (text === undefined) return undefined;
    const decision = /"decision":"(committed|aborted)"/.exec(text)?.[1];
    if (decision === 'committed' || decision === 'aborted') return decision;
    const problem = `${path} is not a decision file`;
    throw new ConfigurationError('ERR_PAGEFERRY_STATE_FILE', problem);
  }

  /** Durable when it resolves. Deciding the same again is fine, deciding otherwise is refused. */
  async record(
    sessionId: string,
    decision: Decision,
    decidedBy: DecisionRecord['decidedBy'] = 'session',
  ): Promise<void> {
    const record: DecisionRecord = {
      record: 'decision',
      version: 1,
      sessionId,
      role: this.role,
      decision,
      decidedBy,
      decidedAt: new Date().toISOString(),
    };
    const path = this.pathOf(sessionId, 'decision');
    if (await createDurably(path, `${JSON.stringify(record)}\n`)) return;
    const before = await this.read(sessionId);
    if (before === decision) {
      // Whoever made it may have died before the directory was synced.
      await syncDirectory(this.directory);
      return;
    }
    const problem = `session ${sessionId} was decided already: ${before ?? '?'}, not ${decision}`;
    throw new StateError('ERR_PAGEFERRY_DECIDED', problem, { state: before ?? '' });
  }
}
