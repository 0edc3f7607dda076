/** What: the helper's statuses and the addon's events as errors. Pure. */
import { HelperError, IntegrityError, KvmError, MirrorError, type ErrorCode } from '../errors.js';
import {
  PF_STATUS_NAMES,
  PF_STATUS_POINT,
  PF_STATUS_RECORD,
  PF_STATUS_VIOLATION,
  PF_VIOLATION_NAMES,
} from '../native/abi.generated.js';
import type { NativeMirrorEvent } from '../native/addon.js';

/** An IntegrityError from the helper, with the ABI's status and detail. */
export class HelperIntegrityError extends IntegrityError {
  readonly status: number;
  readonly detail: number;

  constructor(code: ErrorCode, message: string, status: number, detail: number) {
    super(code, message);
    this.name = 'IntegrityError';
    this.status = status;
    this.detail = detail;
  }
}

const messages: Readonly<Record<string, string>> = {
  RECORD: 'a record is malformed',
  TAG: 'a record is not authentic',
  SESSION: 'a record belongs to another session, direction or stream',
  HANDSHAKE: 'a handshake message is malformed',
  SECRET: 'the two sides do not share their secret, or the handshake was changed on the way',
  POINT: "the peer's handshake key is not acceptable",
};

/** The error for a status other than OK; `value` is the response's first value. */
export function statusError(status: number, detail: number, value = 0): Error {
  const name = (PF_STATUS_NAMES[status] ?? 'PF_STATUS_UNKNOWN').slice('PF_STATUS_'.length);
  if (status === PF_STATUS_VIOLATION) {
    const full = PF_VIOLATION_NAMES[detail] ?? 'PF_VIOLATION_UNKNOWN';
    const violation = full.slice('PF_VIOLATION_'.length);
    const message = `the peer broke the session's rules: ${violation} (${value})`;
    return new HelperIntegrityError(
      `ERR_PAGEFERRY_VIOLATION_${violation}`,
      message,
      status,
      detail,
    );
  }
  if (status >= PF_STATUS_RECORD && status <= PF_STATUS_POINT) {
    const message = `${messages[name] ?? name} (detail ${detail})`;
    return new HelperIntegrityError(`ERR_PAGEFERRY_${name}`, message, status, detail);
  }
  const message = `the helper refused: ${name}, status ${status}, detail ${detail} (${value})`;
  return new HelperError(`ERR_PAGEFERRY_HELPER_${name}`, message, { status, detail });
}

/** Why the mirror died, from what the addon saw on a vCPU. */
export function eventError(vcpu: number, event: NativeMirrorEvent): MirrorError {
  switch (event.kind) {
    case 'fault': {
      const { vector, rip, address, errorCode } = event;
      const at = `at 0x${rip.toString(16)}, address 0x${address.toString(16)}`;
      const message = `the helper faulted on vCPU ${vcpu}: vector ${vector}, error ${errorCode} `;
      const details = { vcpu, vector, rip, address };
      return new MirrorError('ERR_PAGEFERRY_MIRROR_FAULT', message + at, details);
    }
    case 'exit': {
      const { name, reason, address, suberror, rip } = event;
      const at = `at 0x${rip.toString(16)}, address 0x${address.toString(16)}`;
      const message = `vCPU ${vcpu} left with ${name} (${reason}, suberror ${suberror}) ${at}`;
      return new MirrorError('ERR_PAGEFERRY_MIRROR_EXIT', message, { vcpu, rip, address });
    }
    case 'stall': {
      const message = `vCPU ${vcpu} has not come back for ${event.milliseconds} ms`;
      return new MirrorError('ERR_PAGEFERRY_MIRROR_STALL', message, { vcpu });
    }
    case 'error': {
      const { operation, errno } = event;
      const failed = `${operation} failed with errno ${errno}`;
      const cause = new KvmError('ERR_PAGEFERRY_KVM', failed, { operation, errno });
      const message = `vCPU ${vcpu} cannot go on`;
      return new MirrorError('ERR_PAGEFERRY_MIRROR_SYSTEM', message, { vcpu, cause });
    }
  }
}

/** The helper broke the ring's rules; the mirror cannot be used any more. */
export function ringDeath(vcpu: number, cause: unknown): MirrorError {
  const message = `the ring of vCPU ${vcpu} is broken`;
  return new MirrorError('ERR_PAGEFERRY_MIRROR_RING', message, { vcpu, cause });
}
