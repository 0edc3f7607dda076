/** What: asks sessions over their control sockets, and finds the one that is meant. */
import { unlink } from 'node:fs/promises';
import { connect } from 'node:net';

import { ConfigurationError, StateError, TransportError } from '../errors.js';
import type { MigrationStatus, Role } from '../session/types.js';
import { listSockets, type SocketName } from './directory.js';
import { ANSWER_BYTES_MAX, ANSWER_TIMEOUT_MS } from './limits.js';
import { readLines } from './lines.js';
import { parseAnswer, type ControlRequest } from './protocol.js';

/** A session that runs on this machine, for this user. */
export interface FoundSession {
  readonly socket: SocketName;
  readonly status: MigrationStatus;
}

/** The session refused what it was asked. */
class RefusedError extends StateError {}

function gone(path: string, cause?: unknown): TransportError {
  const message = `the session at ${path} does not answer`;
  const options = { phase: 'receive', retryable: true } as const;
  return new TransportError('ERR_PAGEFERRY_CONTROL_GONE', message, { ...options, cause });
}

function exchange(path: string, request: ControlRequest): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    const timer = setTimeout(() => socket.destroy(), ANSWER_TIMEOUT_MS);
    readLines(socket, ANSWER_BYTES_MAX, (line) => {
      resolve(line);
      socket.destroy();
    });
    socket.on('connect', () => socket.write(`${JSON.stringify(request)}\n`));
    socket.on('error', (cause) => {
      reject(gone(path, cause));
    });
    // Without effect where the answer has come.
    socket.on('close', () => {
      clearTimeout(timer);
      reject(gone(path));
    });
  });
}

/** Asks one session; rejects with its error where it refuses. */
export async function ask(path: string, request: ControlRequest): Promise<MigrationStatus> {
  const answer = parseAnswer(await exchange(path, request));
  if (answer.ok) return answer.status;
  const { code, message } = answer.error;
  throw new RefusedError(code, message, { state: 'refused' });
}

/** Removes what a killed process left; whoever listens there is not touched. */
async function askOrTidy(socket: SocketName): Promise<FoundSession | undefined> {
  try {
    return { socket, status: await ask(socket.path, { request: 'status' }) };
  } catch (error) {
    const cause = error instanceof TransportError ? (error.cause as NodeJS.ErrnoException) : null;
    if (cause?.code === 'ECONNREFUSED') await unlink(socket.path);
    // One that ended meanwhile, is too busy, or has not begun: there is nothing to show of it.
    if (error instanceof TransportError || error instanceof RefusedError) return undefined;
    throw error;
  }
}

/** All sessions of this user on this machine. */
export async function findSessions(directory?: string): Promise<FoundSession[]> {
  const found = await Promise.all((await listSockets(directory)).map(askOrTidy));
  return found.filter((session) => session !== undefined);
}

function isMeant({ socket, status }: FoundSession, name: string): boolean {
  const isId = name !== '' && status.sessionId.startsWith(name.toLowerCase());
  return isId || name === `${socket.role}-${socket.pid}`;
}

/**
 * The session whose id begins with `name`, or that is called so (source-4711). Where both sides
 * run here they have the same id; then the one of `role` is meant, by default the source.
 */
export function pickSession(
  sessions: readonly FoundSession[],
  name: string,
  role?: Role,
): FoundSession {
  const meant = sessions.filter(
    (session) => isMeant(session, name) && (role === undefined || session.socket.role === role),
  );
  const ids = new Set(meant.map(({ socket, status }) => status.sessionId || socket.path));
  const [only] = meant;
  if (only !== undefined && ids.size === 1) {
    return meant.find(({ socket }) => socket.role === 'source') ?? only;
  }
  const many = meant.length > 1 ? `${meant.length} sessions are` : 'no session here is';
  const message = `${many} called "${name.slice(0, 80)}"; pageferry status lists them`;
  throw new ConfigurationError('ERR_PAGEFERRY_SESSION_NAME', message);
}
