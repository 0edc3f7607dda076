/** What: what a broker answers, as typed errors. */
import { TransportError } from '../../src/transport/index.js';
import type { TransportPhase } from '../../src/transport/index.js';
import { laneError, systemError } from '../../src/transport/base/index.js';

interface Meaning {
  readonly name: string;
  readonly retryable: boolean;
  readonly words: string;
}

const forbidden = { name: 'FORBIDDEN', retryable: false };
const later = { name: 'RESOURCES', retryable: true };
const gone = { name: 'PEER_GONE', retryable: true };

/** By the first word of an error reply. */
const meanings: Readonly<Record<string, Meaning>> = {
  BUSY: { ...later, words: 'the broker is busy with a script' },
  CLUSTERDOWN: { ...later, words: 'the cluster is down' },
  LOADING: { ...later, words: 'the broker is still loading its data' },
  MASTERDOWN: { ...later, words: 'the broker has lost its master' },
  MISCONF: { ...later, words: 'the broker cannot save and takes no writes' },
  MOVED: { ...gone, words: 'the lane’s keys have moved to another node' },
  ASK: { ...gone, words: 'the lane’s keys are moving to another node' },
  NOAUTH: { ...forbidden, words: 'the broker wants a password' },
  NOGROUP: { ...gone, words: 'the lane’s keys are gone from the broker' },
  NOPERM: { ...forbidden, words: 'the broker’s user may not do this' },
  OOM: { ...later, words: 'the broker’s memory is full' },
  READONLY: { ...gone, words: 'the broker has become a replica' },
  UNBLOCKED: { ...gone, words: 'the lane’s keys are gone from the broker' },
  WRONGPASS: { ...forbidden, words: 'the broker refuses user or password' },
  WRONGTYPE: { name: 'GARBAGE', retryable: false, words: 'a key holds something else' },
};

function firstWord(error: unknown): string {
  return error instanceof Error ? (/^[A-Z]+(?= )/.exec(error.message)?.[0] ?? '') : '';
}

/** Whether the broker had no memory for it: backpressure, not an error. */
export function isOutOfMemory(error: unknown): boolean {
  return firstWord(error) === 'OOM';
}

/** Whether the broker answered at all: otherwise the connection was lost. */
export function isReply(error: unknown): boolean {
  return error instanceof Error && error.name === 'ReplyError';
}

/** `error`, met while `doing` (such as "dial redis://host:1?name=a"), as a typed one. */
export function brokerError(error: unknown, phase: TransportPhase, doing: string): Error {
  if (error instanceof TransportError) return error;
  const meaning = meanings[firstWord(error)];
  if (meaning !== undefined) {
    const { name, retryable, words } = meaning;
    return laneError(name, `cannot ${doing}: ${words}`, { phase, retryable, cause: error });
  }
  if (isReply(error)) {
    const message = `cannot ${doing}: the broker refuses`;
    return laneError('FAILED', message, { phase, cause: error });
  }
  if (error instanceof Error && error.message === 'Connection is closed.') {
    const message = `cannot ${doing}: the broker is gone`;
    return laneError('PEER_GONE', message, { phase, retryable: true, cause: error });
  }
  return systemError(error, phase, doing);
}
