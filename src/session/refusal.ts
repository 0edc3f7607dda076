/** What: what a helper's refusal of a record or handshake message means for the session. */
import { HelperError, IntegrityError, PageferryError } from '../errors.js';
import {
  PF_STATUS_POINT,
  PF_STATUS_RECORD,
  PF_STATUS_SECRET,
  PF_STATUS_VIOLATION,
} from '../native/abi.generated.js';

/**
 * unauthentic: not from the peer, or changed on the way; costs the lane it came on.
 * violation: from the peer, and forbidden; the session is over for good.
 * broken: something failed on this side; the session is over.
 */
export type Verdict = 'unauthentic' | 'violation' | 'broken';

/** Statuses 32 to 37: "not authentic, or not for us; nothing has changed". */
function isUnauthentic(status: number): boolean {
  return status >= PF_STATUS_RECORD && status <= PF_STATUS_POINT;
}

function statusOf(error: unknown): number | undefined {
  if (error instanceof HelperError) return error.status;
  const status = (error as { status?: unknown } | undefined)?.status;
  return typeof status === 'number' ? status : undefined;
}

export function verdictOn(error: unknown): Verdict {
  const status = statusOf(error);
  if (status === PF_STATUS_VIOLATION) return 'violation';
  if (status !== undefined) return isUnauthentic(status) ? 'unauthentic' : 'broken';
  if (!(error instanceof IntegrityError)) return 'broken';
  return error.code.includes('VIOLATION') ? 'violation' : 'unauthentic';
}

/** Whether the handshake failed because the keys differ (or a message was changed on the way). */
export function isSecretMismatch(error: unknown): boolean {
  if (error instanceof PageferryError && error.code === 'ERR_PAGEFERRY_SECRET') return true;
  return statusOf(error) === PF_STATUS_SECRET;
}

/** The clear error for two sides that do not share their secret. */
export function secretError(cause: unknown): IntegrityError {
  return new IntegrityError(
    'ERR_PAGEFERRY_SECRET',
    "the peer's key is another one than this side's, or somebody changed the handshake on the " +
      'way; give both sides the same key file',
    { cause },
  );
}
