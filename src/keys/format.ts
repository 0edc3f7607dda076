/**
 * What: the text format of key files, pure. Two lines:
 *
 *     pageferry-key v1 session
 *     <base64 of the secret, padded>
 *
 * The header says version and kind, so that a key made for one thing is not taken for another.
 * Secrets never become strings here: a string cannot be wiped.
 */
import { ConfigurationError, type ErrorCode } from '../errors.js';

/** What a key is for: `session` is the pre-shared secret of a migration. */
export type KeyKind = 'session';

/** A pre-shared secret has at least 32 random bytes; HKDF takes more, but more than 1 KiB not. */
export const KEY_BYTES_MIN = 32;
export const KEY_BYTES_MAX = 1024;
/** The largest secret in base64, a header, and room for line ends. */
export const KEY_FILE_BYTES_MAX = 2048;

/** What every key file begins with, whatever its version and kind. */
export const KEY_FILE_START = Buffer.from('pageferry-key ', 'latin1');

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const newline = 0x0a;
const carriageReturn = 0x0d;
const padding = 0x3d;
const header = /^pageferry-key v(\d{1,5}) ([a-z][a-z-]{0,31})$/;
const version = 1;

export function headerOf(kind: KeyKind): string {
  return `pageferry-key v${version} ${kind}`;
}

/** The error of a key that came from `origin` (a file's path, a variable's name). */
export function keyError(code: ErrorCode, origin: string, problem: string): ConfigurationError {
  return new ConfigurationError(code, `${origin}: ${problem}`);
}

/** 0-63, or -1 for what is no base64 digit. */
function digitOf(byte: number): number {
  if (byte >= 0x41 && byte <= 0x5a) return byte - 0x41;
  if (byte >= 0x61 && byte <= 0x7a) return byte - 0x61 + 26;
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30 + 52;
  if (byte === 0x2b) return 62;
  return byte === 0x2f ? 63 : -1;
}

/** Strict base64: whole groups, padded, no spare bits; undefined for anything else. */
export function decodeBase64(text: Uint8Array): Buffer | undefined {
  if (text.length === 0 || text.length % 4 !== 0) return undefined;
  const pads = text.at(-1) !== padding ? 0 : text.at(-2) === padding ? 2 : 1;
  const decoded = Buffer.alloc((text.length / 4) * 3 - pads);
  let bits = 0;
  let held = 0;
  let at = 0;
  for (const byte of text.subarray(0, text.length - pads)) {
    const digit = digitOf(byte);
    if (digit < 0) {
      decoded.fill(0);
      return undefined;
    }
    bits = ((bits << 6) | digit) & 0xffff;
    held += 6;
    if (held >= 8) {
      held -= 8;
      decoded[at++] = (bits >> held) & 0xff;
    }
  }
  if ((bits & ((1 << held) - 1)) === 0) return decoded;
  decoded.fill(0);
  return undefined;
}

/** Strict hexadecimal; undefined for anything else. */
export function decodeHex(text: Uint8Array): Buffer | undefined {
  if (text.length === 0 || text.length % 2 !== 0) return undefined;
  const decoded = Buffer.alloc(text.length / 2);
  for (const [index, byte] of text.entries()) {
    const lower = byte | 0x20;
    const isDigit = byte >= 0x30 && byte <= 0x39;
    if (!isDigit && !(lower >= 0x61 && lower <= 0x66)) {
      decoded.fill(0);
      return undefined;
    }
    const value = isDigit ? byte - 0x30 : lower - 0x61 + 10;
    const at = index >> 1;
    decoded[at] = ((decoded[at] ?? 0) << 4) | value;
  }
  return decoded;
}

function checkLength(secret: Buffer, origin: string): Buffer {
  const bytes = secret.length;
  if (bytes >= KEY_BYTES_MIN && bytes <= KEY_BYTES_MAX) return secret;
  secret.fill(0);
  if (bytes < KEY_BYTES_MIN) {
    const problem = `the key has ${bytes} bytes, at least ${KEY_BYTES_MIN} are needed`;
    throw keyError('ERR_PAGEFERRY_KEY_FILE_SHORT', origin, problem);
  }
  const problem = `the key has ${bytes} bytes, more than ${KEY_BYTES_MAX}`;
  throw keyError('ERR_PAGEFERRY_KEY_FILE_LARGE', origin, problem);
}

/** The lines of a text, without line ends; one empty line at the end is none. */
function linesOf(text: Uint8Array): Uint8Array[] {
  const lines: Uint8Array[] = [];
  let start = 0;
  while (start <= text.length) {
    const found = text.indexOf(newline, start);
    const end = found < 0 ? text.length : found;
    const trimmed = end > start && text[end - 1] === carriageReturn ? end - 1 : end;
    lines.push(text.subarray(start, trimmed));
    start = end + 1;
  }
  if (lines.at(-1)?.length === 0) lines.pop();
  return lines;
}

/** The secret in the text of a key file. The caller wipes both. */
export function parseKeyFile(text: Uint8Array, kind: KeyKind, origin: string): Buffer {
  const code = 'ERR_PAGEFERRY_KEY_FILE_FORMAT';
  const lines = linesOf(text);
  const first = lines[0];
  if (first === undefined) {
    throw keyError('ERR_PAGEFERRY_KEY_FILE_SHORT', origin, 'the key file is empty');
  }
  // Looked at only up to the length of a header: what is no header may be a secret.
  const match = first.length > 64 ? null : header.exec(Buffer.from(first).toString('latin1'));
  if (match === null) throw keyError(code, origin, `the first line is not "${headerOf(kind)}"`);
  if (Number(match[1]) !== version) {
    const problem = `this is a key file of version ${match[1] ?? ''}, known is ${version}`;
    throw keyError(code, origin, problem);
  }
  if (match[2] !== kind) {
    const problem = `this is a key of kind "${match[2] ?? ''}", needed is "${kind}"`;
    throw keyError(code, origin, problem);
  }
  const body = lines[1];
  if (body === undefined) {
    throw keyError('ERR_PAGEFERRY_KEY_FILE_SHORT', origin, 'there is no key after the header');
  }
  if (lines.length > 2) throw keyError(code, origin, 'there is something after the key');
  const secret = decodeBase64(body);
  if (secret === undefined) throw keyError(code, origin, 'the second line is not base64');
  return checkLength(secret, origin);
}

/** A secret without a header, as in a variable: hexadecimal, or else base64. */
export function parseBareKey(text: Uint8Array, origin: string): Buffer {
  const lines = linesOf(text);
  const line = lines.length === 1 ? lines[0] : undefined;
  const secret = line === undefined ? undefined : (decodeHex(line) ?? decodeBase64(line));
  if (secret === undefined) {
    const problem = 'the key is neither hexadecimal nor base64';
    throw keyError('ERR_PAGEFERRY_KEY_FILE_FORMAT', origin, problem);
  }
  return checkLength(secret, origin);
}

/** The text of a key file. The caller wipes both. */
export function formatKeyFile(secret: Uint8Array, kind: KeyKind): Buffer {
  const head = Buffer.from(`${headerOf(kind)}\n`, 'latin1');
  const text = Buffer.alloc(head.length + Math.ceil(secret.length / 3) * 4 + 1, padding);
  head.copy(text);
  let at = head.length;
  for (let index = 0; index < secret.length; index += 3) {
    const [a = 0, b = 0, c = 0] = secret.subarray(index, index + 3);
    const group = (a << 16) | (b << 8) | c;
    const digits = Math.min(secret.length - index, 3) + 1;
    for (let digit = 0; digit < digits; digit += 1) {
      text[at + digit] = alphabet.charCodeAt((group >> (18 - 6 * digit)) & 63);
    }
    at += 4;
  }
  text[at] = newline;
  return text;
}
