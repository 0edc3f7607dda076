import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';

import * as abi from '../../src/native/abi.generated.js';
import { BareMirror } from '../support/peer/bare-mirror.js';
import { onBothEngines } from '../support/peer/engines.js';
import {
  gcmVectors,
  hkdfVectors,
  x25519Iterated,
  x25519Vectors,
  type GcmVector,
} from '../support/peer/vectors.js';

/** A command's list area in the window, 4 KiB: input in the first half, output in the second. */
const halfBytes = 2048;
const filesAndCounts = [
  ['gcmEncryptExtIV256.rsp', 7875],
  ['gcmDecrypt256.rsp', 7875],
] as const;

interface Answer {
  readonly status: number;
  readonly output: Buffer;
}

onBothEngines('the primitives of the helper', (engine) => {
  let mirror: BareMirror | undefined;

  function open(aesVariant: number): BareMirror {
    mirror = new BareMirror({ engine, aesVariant });
    return mirror;
  }

  afterEach(async () => {
    await mirror?.close();
    mirror = undefined;
  });

  /** CRYPTO_CHECK on any vCPU; many of them share a kick. */
  async function check(
    { commander, native }: BareMirror,
    args: readonly number[],
    input: readonly Buffer[],
  ): Promise<Answer> {
    let at = 0;
    const reply = await commander.work((offset) => {
      const bytes = Buffer.concat(input);
      assert.ok(bytes.length <= halfBytes);
      at = offset + halfBytes;
      new Uint8Array(native.window, offset, bytes.length).set(bytes);
      return {
        command: abi.PF_COMMAND_CRYPTO_CHECK,
        args,
        input: { offset, bytes: bytes.length },
        output: { offset: at, bytes: halfBytes },
      };
    });
    assert.ok(reply !== undefined);
    return {
      status: reply.status,
      output: Buffer.from(native.window.slice(at, at + reply.written)),
    };
  }

  async function checkVector(on: BareMirror, vector: GcmVector, seals: boolean): Promise<number> {
    const { key, iv, aad, plain, cipher, tag, name, isForged } = vector;
    const sizes = [iv.length, aad.length, cipher.length, tag.length];
    const opens = [abi.PF_CRYPTO_GCM_OPEN, ...sizes];
    const opened = await check(on, opens, [key, iv, aad, cipher, tag]);
    assert.equal(opened.status, isForged ? abi.PF_STATUS_TAG : abi.PF_STATUS_OK, name);
    if (isForged) assert.equal(opened.output.length, 0, name);
    else assert.ok(opened.output.equals(plain), name);
    if (!seals) return 1;
    const sealed = await check(on, [abi.PF_CRYPTO_GCM_SEAL, ...sizes], [key, iv, aad, plain]);
    assert.equal(sealed.status, abi.PF_STATUS_OK, name);
    assert.ok(sealed.output.equals(Buffer.concat([cipher, tag])), name);
    return 1;
  }

  async function checkAll(on: BareMirror): Promise<void> {
    for (const [file, expected] of filesAndCounts) {
      const vectors = gcmVectors(file);
      const seals = file.startsWith('gcmEncrypt');
      const forged = vectors.filter(({ isForged }) => isForged).length;
      assert.ok(seals ? forged === 0 : forged > 1000, `${forged} forged ones in ${file}`);
      const passed = await Promise.all(vectors.map((vector) => checkVector(on, vector, seals)));
      assert.equal(passed.length, expected, `vectors of ${file}`);
    }
  }

  it('answer the CAVP vectors of AES-256-GCM in every variant the CPU runs', async function () {
    this.timeout(60_000);
    const { aesVariant: widest } = await open(abi.PF_AES_AUTO).hello();
    await mirror?.close();
    assert.ok(widest >= abi.PF_AES_SSE && widest <= abi.PF_AES_AVX512, `variant ${widest}`);
    // Each variant needs all that the ones before it need (native/helper/gcm.c).
    for (let variant = abi.PF_AES_SSE; variant <= widest; variant += 1) {
      const on = open(variant);
      assert.equal((await on.hello()).aesVariant, variant);
      await checkAll(on);
      await on.close();
    }
  });

  it('answer RFC 5869', async () => {
    const on = open(abi.PF_AES_AUTO);
    const vectors = hkdfVectors();
    assert.equal(vectors.length, 3);
    for (const { material, salt, info, output } of vectors) {
      const sizes = [salt.length, material.length, info.length, output.length];
      const answer = await check(on, [abi.PF_CRYPTO_HKDF, ...sizes], [salt, material, info]);
      assert.equal(answer.status, abi.PF_STATUS_OK);
      assert.equal(answer.output.toString('hex'), output.toString('hex'));
    }
  });

  it('answer RFC 7748', async () => {
    const on = open(abi.PF_AES_AUTO);
    const vectors = x25519Vectors();
    assert.equal(vectors.length, 3);
    for (const { scalar, point, product } of vectors) {
      const answer = await check(on, [abi.PF_CRYPTO_X25519], [scalar, point]);
      assert.equal(answer.output.toString('hex'), product.toString('hex'));
    }
    const nine = Buffer.alloc(32);
    nine[0] = 9;
    let [scalar, point]: [Buffer, Buffer] = [nine, nine];
    for (let step = 1; step <= 1000; step += 1) {
      const { output } = await check(on, [abi.PF_CRYPTO_X25519], [scalar, point]);
      [scalar, point] = [output, scalar];
      if (step === 1) assert.equal(scalar.toString('hex'), x25519Iterated[1]);
    }
    assert.equal(scalar.toString('hex'), x25519Iterated[1000]);
  });

  it('refuse points of small order', async () => {
    const on = open(abi.PF_AES_AUTO);
    for (const low of [0, 1]) {
      const point = Buffer.alloc(32);
      point[0] = low;
      const answer = await check(on, [abi.PF_CRYPTO_X25519], [randomBytes(32), point]);
      assert.equal(answer.status, abi.PF_STATUS_POINT);
      assert.equal(answer.output.length, 0);
    }
  });

  it('are not to be asked once the helper holds a secret', async () => {
    const on = open(abi.PF_AES_AUTO);
    const command = abi.PF_COMMAND_SECRET_SET;
    await on.commander.message({ command, input: [randomBytes(32)], isAlone: true });
    const { status } = await check(on, [abi.PF_CRYPTO_X25519], [randomBytes(64)]);
    assert.equal(status, abi.PF_STATUS_STATE);
  });
});
