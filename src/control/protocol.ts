/**
 * What: what crosses a control socket: one line of JSON for a request, one for its answer. Pure.
 *
 *     {"request":"status"}                              pause, resume and cancel alike
 *     {"request":"set","settings":{"maxBandwidthBytesPerSecond":5e7}}
 *     {"ok":true,"pid":4711,"status":{…}}               the report so far; see MigrationStatus
 *     {"ok":false,"error":{"code":"ERR_PAGEFERRY_…","message":"…"}}
 */
import { errorCode, errorMessage, type ErrorCode, ProtocolError } from '../errors.js';
import { checkSettings, type SessionSettings } from '../session/settings.js';
import type { MigrationStatus } from '../session/types.js';

export const plainRequests = ['status', 'pause', 'resume', 'cancel'] as const;
export type PlainRequest = (typeof plainRequests)[number];

export type ControlRequest =
  | { readonly request: PlainRequest }
  | { readonly request: 'set'; readonly settings: Partial<SessionSettings> };

export type ControlAnswer =
  | { readonly ok: true; readonly pid: number; readonly status: MigrationStatus }
  | { readonly ok: false; readonly error: { readonly code: ErrorCode; readonly message: string } };

function refuse(field: string, expected: string, received: string): never {
  const message = `a control ${field} is ${expected}`;
  const details = { field, expected, received: received.slice(0, 80) };
  throw new ProtocolError('ERR_PAGEFERRY_CONTROL_REQUEST', message, details);
}

function parseObject(field: string, line: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    // Why it is no JSON tells the client nothing that it does not know.
    refuse(field, 'a line of JSON', line);
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  return refuse(field, 'an object', line);
}

/** Reads a request; throws a typed error for anything else. */
export function parseRequest(line: string): ControlRequest {
  const { request, settings } = parseObject('request', line);
  if (request === 'set') {
    if (typeof settings !== 'object' || settings === null) refuse('setting', 'an object', line);
    checkSettings(settings as Record<string, unknown>);
    return { request, settings: settings };
  }
  const plain = plainRequests.find((name) => name === request);
  if (plain === undefined) refuse('request', `set or one of ${plainRequests.join(', ')}`, line);
  return { request: plain };
}

/** Reads an answer; it comes from a session of this user's, of this program's version. */
export function parseAnswer(line: string): ControlAnswer {
  const answer = parseObject('answer', line);
  if (typeof answer['ok'] !== 'boolean') refuse('answer', 'ok or not', line);
  return answer as unknown as ControlAnswer;
}

export function failureAnswer(error: unknown): ControlAnswer {
  return { ok: false, error: { code: errorCode(error), message: errorMessage(error) } };
}
