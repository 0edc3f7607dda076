/**
 * What: how failures of sockets and misuse of lanes become TransportError. One place, so that the
 * same failure has the same code and the same `retryable` in every transport.
 */
import { AbortError, ConfigurationError, TransportError } from '../../errors.js';
import type { ErrorCode, TransportPhase } from '../../errors.js';
import type { OpenOptions, TransportCapabilities } from '../contract.js';

interface Meaning {
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly words: string;
}

function meaning(name: string, retryable: boolean, words: string): Meaning {
  return { code: `ERR_PAGEFERRY_TRANSPORT_${name}`, retryable, words };
}

const peerGone = meaning('PEER_GONE', true, 'the peer is gone');
const unreachable = meaning('UNREACHABLE', true, 'no route to the address');
const timedOut = meaning('TIMEOUT', true, 'no answer in time');
const outOfResources = meaning('RESOURCES', true, 'out of descriptors or memory');
const unresolved = meaning('UNRESOLVED', false, 'the host name does not resolve');
const forbidden = meaning('FORBIDDEN', false, 'not permitted');

/** What the system's error names mean; all others are ERR_PAGEFERRY_TRANSPORT_FAILED. */
const meanings: Readonly<Record<string, Meaning>> = {
  EACCES: forbidden,
  EADDRINUSE: meaning('ADDRESS_IN_USE', false, 'the address is in use'),
  EAGAIN: meaning('REFUSED', true, 'too many wait there already'),
  EADDRNOTAVAIL: meaning('ADDRESS_UNAVAILABLE', false, 'not an address of this host'),
  EAI_AGAIN: meaning('UNRESOLVED', true, 'the name server does not answer'),
  ECONNABORTED: peerGone,
  ECONNREFUSED: meaning('REFUSED', true, 'nobody listens there'),
  ECONNRESET: peerGone,
  EHOSTUNREACH: unreachable,
  EMFILE: outOfResources,
  ENETUNREACH: unreachable,
  ENFILE: outOfResources,
  ENOBUFS: outOfResources,
  ENOENT: meaning('REFUSED', true, 'nobody listens there'),
  ENOMEM: outOfResources,
  ENOTFOUND: unresolved,
  EPERM: forbidden,
  EPIPE: peerGone,
  ETIMEDOUT: timedOut,
};

const other = meaning('FAILED', false, 'the system refuses');

function systemName(error: unknown): string {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  return code ?? '';
}

/** The system's `error`, met while `doing` (such as "dial tcp://host:1"), as a typed one. */
export function systemError(error: unknown, phase: TransportPhase, doing: string): TransportError {
  if (error instanceof TransportError) return error;
  const { code, retryable, words } = meanings[systemName(error)] ?? other;
  return new TransportError(code, `cannot ${doing}: ${words}`, { phase, retryable, cause: error });
}

/** A failure this layer finds itself; `name` completes ERR_PAGEFERRY_TRANSPORT_. */
export function laneError(
  name: string,
  message: string,
  details: { phase: TransportPhase; retryable?: boolean; cause?: unknown },
): TransportError {
  return new TransportError(`ERR_PAGEFERRY_TRANSPORT_${name}`, message, {
    phase: details.phase,
    retryable: details.retryable ?? false,
    cause: details.cause,
  });
}

/** Somebody is turned away because there are `limit` of `what` already. */
export function tooMany(limit: number, what: string): TransportError {
  const message = `more than ${limit} ${what} at once`;
  return laneError('RESOURCES', message, { phase: 'accept', retryable: true });
}

/** What a wait rejects with when `signal` has fired. */
export function abortError(signal: AbortSignal): AbortError {
  return new AbortError('ERR_PAGEFERRY_ABORTED', 'aborted', { cause: signal.reason as unknown });
}

/** Throws ConfigurationError unless the limits of `options` fit the transport. */
export function checkOpenOptions(options: OpenOptions, capabilities: TransportCapabilities): void {
  const { maxFrameBytes, timeoutMs } = options;
  const most = capabilities.maxFrameBytes;
  if (!Number.isInteger(maxFrameBytes) || maxFrameBytes < 1 || maxFrameBytes > most) {
    throw new ConfigurationError(
      'ERR_PAGEFERRY_TRANSPORT_OPTIONS',
      `maxFrameBytes is ${maxFrameBytes}: expected a whole number from 1 to ${most}`,
    );
  }
  if (timeoutMs !== undefined && !(timeoutMs > 0 && timeoutMs <= longestTimeoutMs)) {
    throw new ConfigurationError(
      'ERR_PAGEFERRY_TRANSPORT_OPTIONS',
      `timeoutMs is ${timeoutMs}: expected more than 0 and at most ${longestTimeoutMs}`,
    );
  }
}

/** What a timer of Node can hold. */
const longestTimeoutMs = 0x7fff_ffff;
