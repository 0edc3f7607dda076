/**
 * What: files of keys for TLS-PSK. Pure. The format is that of GnuTLS's psktool and of QEMU: lines
 * `IDENTITY:HEX`. It is not that of Pageferry's own key files, and one key must not serve as both:
 * TLS ends at the transport, while the session's secret is the helpers' alone.
 */

/** 256 bits: whoever records a handshake may guess at the key afterwards. */
const keyBytesMin = 32;
/** What OpenSSL takes (PSK_MAX_PSK_LEN). */
const keyBytesMax = 512;
/** RFC 4279 asks for 128 at least; OpenSSL takes no more. */
const identityBytesMax = 128;
/** Enough for a fleet; the file is read whole. */
const linesMax = 1024;

export type PskKeys = ReadonlyMap<string, Buffer>;

/** Keys by identity in the file's order; a text saying what is wrong where there are none. */
export function parsePskFile(bytes: Buffer): PskKeys | string {
  const text = bytes.toString('utf8');
  if (text.startsWith('pageferry-key')) {
    return 'this is a session key of pageferry; lanes over TLS need a key of their own';
  }
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  if (lines.length === 0) return 'it has no line IDENTITY:HEX';
  if (lines.length > linesMax) return `${lines.length} lines, expected at most ${linesMax}`;
  const keys = new Map<string, Buffer>();
  for (const [index, line] of lines.entries()) {
    const problem = addLine(keys, line);
    // The line itself is a secret.
    if (problem !== undefined) return `entry ${index + 1}: ${problem}`;
  }
  return keys;
}

function addLine(keys: Map<string, Buffer>, line: string): string | undefined {
  const match = /^([^:\s]+):([0-9A-Fa-f]+)\r?$/.exec(line);
  if (match === null) return 'expected IDENTITY:HEX';
  const [, identity = '', hex = ''] = match;
  if (Buffer.byteLength(identity) > identityBytesMax) {
    return `the identity is longer than ${identityBytesMax} bytes`;
  }
  const bytes = hex.length / 2;
  if (!Number.isInteger(bytes) || bytes < keyBytesMin || bytes > keyBytesMax) {
    return `the key has ${bytes} bytes, expected ${keyBytesMin} to ${keyBytesMax}`;
  }
  if (keys.has(identity)) return 'its identity occurs twice';
  keys.set(identity, Buffer.from(hex, 'hex'));
  return undefined;
}
