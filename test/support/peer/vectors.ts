/** The published vectors, as Debian's python3-cryptography-vectors holds them. */
import { readFileSync } from 'node:fs';

const place = '/usr/lib/python3/dist-packages/cryptography_vectors';

export interface GcmVector {
  readonly name: string;
  readonly key: Buffer;
  readonly iv: Buffer;
  readonly aad: Buffer;
  readonly plain: Buffer;
  readonly cipher: Buffer;
  readonly tag: Buffer;
  /** The tag is wrong: opening has to fail. */
  readonly isForged: boolean;
}

/** Every "name = value" of each block that begins with a line matching `start`. */
function blocks(path: string, start: RegExp): Map<string, string>[] {
  const found: Map<string, string>[] = [];
  for (const line of readFileSync(`${place}/${path}`, 'latin1').split(/\r?\n/)) {
    if (start.test(line)) found.push(new Map());
    const [name, value] = line.split(/ *= */, 2);
    if (name !== undefined) found.at(-1)?.set(name, value ?? '');
  }
  return found;
}

function bytes(block: Map<string, string>, name: string): Buffer {
  return Buffer.from(block.get(name) ?? '', 'hex');
}

/** All vectors of a CAVP file for 256-bit keys. */
export function gcmVectors(file: 'gcmEncryptExtIV256.rsp' | 'gcmDecrypt256.rsp'): GcmVector[] {
  return blocks(`ciphers/AES/GCM/${file}`, /^Count = /).map((block, index) => ({
    name: `vector ${index} of ${file}`,
    key: bytes(block, 'Key'),
    iv: bytes(block, 'IV'),
    aad: bytes(block, 'AAD'),
    plain: bytes(block, 'PT'),
    cipher: bytes(block, 'CT'),
    tag: bytes(block, 'Tag'),
    isForged: block.has('FAIL'),
  }));
}

export interface HkdfVector {
  readonly material: Buffer;
  readonly salt: Buffer;
  readonly info: Buffer;
  readonly output: Buffer;
}

/** RFC 5869, A.1 to A.3: those for SHA-256. */
export function hkdfVectors(): HkdfVector[] {
  return blocks('KDF/rfc-5869-HKDF-SHA256.txt', /^COUNT = /).map((block) => ({
    material: bytes(block, 'IKM'),
    salt: bytes(block, 'salt'),
    info: bytes(block, 'info'),
    output: bytes(block, 'OKM'),
  }));
}

export interface X25519Vector {
  readonly scalar: Buffer;
  readonly point: Buffer;
  readonly product: Buffer;
}

/** RFC 7748, 5.2: the two vectors, and the first step of the iterated one. */
export function x25519Vectors(): X25519Vector[] {
  const all = blocks('asymmetric/X25519/rfc7748.txt', /^COUNT = /);
  return all
    .filter((block) => block.has('OUTPUT_U'))
    .map((block) => ({
      scalar: bytes(block, 'INPUT_SCALAR'),
      point: bytes(block, 'INPUT_U'),
      product: bytes(block, 'OUTPUT_U'),
    }));
}

/** RFC 7748, 5.2: scalar and point after so many iterations from 9. */
export const x25519Iterated = {
  1: '422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079',
  1000: '684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51',
} as const;
