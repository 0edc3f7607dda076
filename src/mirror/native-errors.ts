/** What: the addon's errors (native/binding/errors.h) as the library's own. */
import { ConfigurationError, type ErrorCode, KvmError, PageferryError } from '../errors.js';
import type { NativeMirrorEvent } from '../native/addon.js';
import { eventError } from './status.js';

interface NativeError extends Error {
  readonly code?: unknown;
  readonly operation?: unknown;
  readonly syscall?: unknown;
  readonly errno?: unknown;
  readonly vcpu?: unknown;
}

/**
 * The error for what the addon threw: a failed system call, a mirror that did not start, or with
 * `invalid` as its code an argument it does not take. Anything else stays as it is.
 */
export function nativeError(thrown: unknown, invalid: ErrorCode): unknown {
  if (!(thrown instanceof Error) || thrown instanceof PageferryError) return thrown;
  const error: NativeError = thrown;
  if (error.code === 'ERR_PAGEFERRY_SYSTEM') {
    const details = { operation: String(error.syscall), errno: Number(error.errno), cause: thrown };
    return new KvmError('ERR_PAGEFERRY_SYSTEM', thrown.message, details);
  }
  if (error.code === 'ERR_PAGEFERRY_INVALID' || thrown instanceof TypeError) {
    return new ConfigurationError(invalid, thrown.message, { cause: thrown });
  }
  if (error.code === 'ERR_PAGEFERRY_MIRROR_START') {
    return eventError(Number(error.vcpu), thrown as unknown as NativeMirrorEvent);
  }
  return thrown;
}

/** Runs `call` on the addon; throws what `nativeError` makes of its errors. */
export function onAddon<Result>(invalid: ErrorCode, call: () => Result): Result {
  try {
    return call();
  } catch (thrown) {
    throw nativeError(thrown, invalid);
  }
}
