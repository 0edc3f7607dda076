/**
 * What: the whole error taxonomy. Every error that leaves the library is a PageferryError with a
 * stable `code`; codes never change meaning, messages may.
 * Rule: bad input (arguments, files, peers, guests, stores) gets one of these; assertions are for
 * our own bugs only. A message says what happened and, where there is one, what to do; the cause
 * is chained, not repeated.
 */

export type ErrorCode = `ERR_PAGEFERRY_${string}`;

export interface ErrorOptionsWithCause {
  readonly cause?: unknown;
}

export abstract class PageferryError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options: ErrorOptionsWithCause = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.code = code;
  }
}

/** Wrong arguments, options, URLs, key files: the user can mend it. */
export class ConfigurationError extends PageferryError {}

/** A call that does not belong to the present state of its object. */
export class StateError extends PageferryError {
  readonly state: string;

  constructor(
    code: ErrorCode,
    message: string,
    details: { state: string } & ErrorOptionsWithCause,
  ) {
    super(code, message, details);
    this.state = details.state;
  }
}

/** A KVM or memory system call failed. */
export class KvmError extends PageferryError {
  /** The ioctl or system call, such as KVM_SET_USER_MEMORY_REGION. */
  readonly operation: string;
  /** errno, or 0 where there is none. */
  readonly errno: number;

  constructor(
    code: ErrorCode,
    message: string,
    details: { operation: string; errno: number } & ErrorOptionsWithCause,
  ) {
    super(code, message, details);
    this.operation = details.operation;
    this.errno = details.errno;
  }
}

/** The helper faulted, the mirror left KVM_RUN for another reason than HLT, or it stalled. */
export class MirrorError extends PageferryError {
  readonly vcpu: number;
  /** Exception vector (Intel SDM, volume 3, 6.15), when it was a fault. */
  readonly vector: number | undefined;
  /** The instruction, when it was a fault or another exit than HLT. */
  readonly rip: bigint | undefined;
  /** CR2 of a page fault, the physical address of an MMIO exit, the port of an I/O exit. */
  readonly address: bigint | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    details: {
      vcpu: number;
      vector?: number | undefined;
      rip?: bigint | undefined;
      address?: bigint | undefined;
    } & ErrorOptionsWithCause,
  ) {
    super(code, message, details);
    this.vcpu = details.vcpu;
    this.vector = details.vector;
    this.rip = details.rip;
    this.address = details.address;
  }
}

/** The other side of the ring broke the virtqueue's rules. */
export class RingError extends PageferryError {}

/** The helper refused a command; `status` and `detail` are the ABI's (native/abi/command.h). */
export class HelperError extends PageferryError {
  readonly status: number;
  readonly detail: number;

  constructor(
    code: ErrorCode,
    message: string,
    details: { status: number; detail: number } & ErrorOptionsWithCause,
  ) {
    super(code, message, details);
    this.status = details.status;
    this.detail = details.detail;
  }
}

/** A peer sent what the protocol forbids. */
export class ProtocolError extends PageferryError {
  readonly field: string;
  readonly expected: string;
  readonly received: string;

  constructor(
    code: ErrorCode,
    message: string,
    details: { field: string; expected: string; received: string } & ErrorOptionsWithCause,
  ) {
    super(code, message, details);
    this.field = details.field;
    this.expected = details.expected;
    this.received = details.received;
  }
}

export type TransportPhase =
  'configure' | 'dial' | 'listen' | 'accept' | 'send' | 'receive' | 'close';

/** A transport could not do what was asked. */
export class TransportError extends PageferryError {
  readonly phase: TransportPhase;
  /** Whether doing the same again later can help. */
  readonly retryable: boolean;

  constructor(
    code: ErrorCode,
    message: string,
    details: { phase: TransportPhase; retryable: boolean } & ErrorOptionsWithCause,
  ) {
    super(code, message, details);
    this.phase = details.phase;
    this.retryable = details.retryable;
  }
}

/** Something is not authentic, or not what was sealed. */
export class IntegrityError extends PageferryError {}

/** Stopped on purpose: a signal, an AbortSignal, or the peer's abort. */
export class AbortError extends PageferryError {}

/** The error's code, or a general one for what is not ours. */
export function errorCode(error: unknown): ErrorCode {
  return error instanceof PageferryError ? error.code : 'ERR_PAGEFERRY_INTERNAL';
}

/** The error's message, with the messages of its causes behind it. */
export function errorMessage(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause === undefined ? '' : `: ${errorMessage(error.cause)}`;
  return `${error.message}${cause}`;
}
