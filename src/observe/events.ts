/**
 * What: session events as lines of JSON, from a child process to the one that shows them. Both
 * ends are this program, of the same version.
 */
import { type ErrorCode, PageferryError } from '../errors.js';
import type { SessionEvent } from '../session/types.js';

/** A process's own events, beside the session's. */
export type ProcessEvent =
  | SessionEvent
  /** A line for people. */
  | { readonly type: 'notice'; readonly text: string };

/** The largest line taken: a report with thousands of rounds stays far below. */
const lineBytesMax = 4 * 1024 * 1024;

/** An error that happened in another process. */
class ForwardedError extends PageferryError {}

export function encodeEvent(event: ProcessEvent): string {
  const isError = event.type === 'refused';
  const told = isError
    ? {
        ...event,
        error: {
          code: event.error instanceof PageferryError ? event.error.code : undefined,
          message: event.error.message,
        },
      }
    : event;
  return `${JSON.stringify(told)}\n`;
}

interface EncodedRefusal {
  readonly type: 'refused';
  readonly remote: string;
  readonly error: { readonly code?: ErrorCode; readonly message: string };
}

export function decodeEvent(line: string): ProcessEvent {
  const event = JSON.parse(line) as Exclude<ProcessEvent, { type: 'refused' }> | EncodedRefusal;
  if (event.type !== 'refused') return event;
  const { code, message } = event.error;
  const error = new ForwardedError(code ?? 'ERR_PAGEFERRY_INTERNAL', message);
  return { type: 'refused', remote: event.remote, error };
}

/** Cuts a stream into lines and hands each decoded event on. */
export class EventReader {
  private rest = '';

  constructor(private readonly onEvent: (event: ProcessEvent) => void) {}

  push(text: string): void {
    const lines = (this.rest + text).split('\n');
    this.rest = lines.pop() ?? '';
    if (this.rest.length > lineBytesMax) throw new Error('an event line without an end');
    for (const line of lines) if (line !== '') this.onEvent(decodeEvent(line));
  }
}
