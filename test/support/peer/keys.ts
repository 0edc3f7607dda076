/**
 * What: the handshake and key schedule of docs/record-format.md on node:crypto alone: the
 * independent other end that tests hold the helper against. Imports nothing of Pageferry.
 */
import {
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  randomBytes,
  type KeyObject,
} from 'node:crypto';

export type PeerRole = 'source' | 'destination';

export const CLASS_PAGES = 1;
export const CLASS_MESSAGE = 2;
export const CLASS_TOKEN = 3;
export const CLASS_LANE = 4;
export const TO_DESTINATION = 0;
export const TO_SOURCE = 1;

const HEADER_BYTES = 32;

/** RFC 5869, 2.2 and 2.3, for one block of output. */
function hkdfExtract(salt: Buffer, material: Buffer): Buffer {
  return createHmac('sha256', salt).update(material).digest();
}

function hkdfExpand32(prk: Buffer, info: Buffer): Buffer {
  return createHmac('sha256', prk)
    .update(info)
    .update(Buffer.from([1]))
    .digest();
}

/** The 32 raw bytes of an X25519 public key, from and to SubjectPublicKeyInfo (RFC 8410). */
const SPKI_PREFIX = Buffer.from('302a300506032b656e032100', 'hex');
const PKCS8_PREFIX = Buffer.from('302e020100300506032b656e04220420', 'hex');

export function rawPublicKey(key: KeyObject): Buffer {
  return key.export({ type: 'spki', format: 'der' }).subarray(SPKI_PREFIX.length);
}

export function publicKeyFromRaw(raw: Buffer): KeyObject {
  return createPublicKey({ key: Buffer.concat([SPKI_PREFIX, raw]), type: 'spki', format: 'der' });
}

export function privateKeyFromRaw(raw: Buffer): KeyObject {
  return createPrivateKey({
    key: Buffer.concat([PKCS8_PREFIX, raw]),
    type: 'pkcs8',
    format: 'der',
  });
}

function le32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

/** One end of the handshake, playing either role. */
export class PeerHandshake {
  readonly #pair = generateKeyPairSync('x25519');
  #session = randomBytes(16);
  #first = Buffer.alloc(0);
  #prk: Buffer | undefined;
  #transcript = Buffer.alloc(0);

  constructor(
    private readonly secret: Buffer,
    private readonly context: Buffer,
    private readonly streams = 1,
  ) {}

  get session(): Buffer {
    return this.#session;
  }

  key(label: string, suffix: Buffer = Buffer.alloc(0)): Buffer {
    if (this.#prk === undefined) throw new Error('the handshake has not come that far');
    return hkdfExpand32(this.#prk, Buffer.concat([Buffer.from(`pageferry v1 ${label}`), suffix]));
  }

  recordKey(direction: number, recordClass: number, stream: number, generation = 0): Buffer {
    const suffix = [Buffer.from([direction, recordClass]), le32(stream), le32(generation)];
    return this.key('record', Buffer.concat(suffix));
  }

  /** Source: message 1. */
  initiate(): Buffer {
    this.#first = Buffer.concat([
      this.header(1),
      rawPublicKey(this.#pair.publicKey),
      randomBytes(32),
    ]);
    return this.#first;
  }

  /** Destination: message 2 for message 1. */
  respond(first: Buffer): Buffer {
    this.#first = Buffer.from(first);
    this.#session = Buffer.from(first.subarray(16, 32));
    const body = Buffer.concat([
      this.header(2),
      rawPublicKey(this.#pair.publicKey),
      randomBytes(32),
    ]);
    this.derive(body, first.subarray(HEADER_BYTES, HEADER_BYTES + 32));
    return Buffer.concat([body, this.destinationMac()]);
  }

  /** Source: message 3 for message 2; throws when the other end holds another secret. */
  finish(second: Buffer): Buffer {
    const body = second.subarray(0, 96);
    this.derive(body, body.subarray(HEADER_BYTES, HEADER_BYTES + 32));
    if (!second.subarray(96).equals(this.destinationMac())) throw new Error('MAC of message 2');
    return Buffer.concat([this.header(3), this.sourceMac()]);
  }

  /** Destination: checks message 3. */
  confirm(third: Buffer): void {
    if (!third.subarray(HEADER_BYTES).equals(this.sourceMac())) throw new Error('MAC of message 3');
  }

  private header(message: number): Buffer {
    const bytes = Buffer.alloc(HEADER_BYTES);
    bytes.write('PFK1', 'latin1');
    bytes[4] = 1;
    bytes[5] = message;
    bytes.writeUInt32LE(message === 3 ? 0 : this.streams, 8);
    bytes.writeUInt32LE(message === 3 ? 0 : 0b111, 12);
    this.#session.copy(bytes, 16);
    return bytes;
  }

  private derive(secondBody: Buffer, peerKey: Buffer): void {
    const shared = diffieHellman({
      privateKey: this.#pair.privateKey,
      publicKey: publicKeyFromRaw(Buffer.from(peerKey)),
    });
    this.#transcript = createHash('sha256')
      .update('pageferry v1 transcript')
      .update(le32(this.context.length))
      .update(this.context)
      .update(this.#first)
      .update(secondBody)
      .digest();
    this.#prk = hkdfExtract(this.#transcript, Buffer.concat([shared, this.secret]));
  }

  private destinationMac(): Buffer {
    return createHmac('sha256', this.key('confirm destination')).update(this.#transcript).digest();
  }

  private sourceMac(): Buffer {
    return createHmac('sha256', this.key('confirm source'))
      .update(this.#transcript)
      .update(this.destinationMac())
      .digest();
  }
}
