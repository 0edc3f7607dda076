import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';

import { IntegrityError } from '../../src/errors.js';
import type { Mirror } from '../../src/mirror/contract.js';
import { openMirror } from '../../src/mirror/mirror.js';
import { PF_PAGE_BYTES } from '../../src/native/abi.generated.js';
import { onBothEngines } from '../support/peer/engines.js';
import { PeerHandshake } from '../support/peer/keys.js';
import { assertRefused, context } from '../support/peer/rig.js';

/** Header, public key, random value; what follows is a MAC. */
const bodyBytes = 96;

onBothEngines('a handshake message', (engine) => {
  const secret = randomBytes(32);
  let mirror: Mirror;
  let peer: PeerHandshake;

  beforeEach(async () => {
    mirror = await openMirror({ engine, vcpus: 1, windowBytes: 1, ramLimitBytes: PF_PAGE_BYTES });
    await mirror.setSecret(Buffer.from(secret));
    peer = new PeerHandshake(secret, context);
  });

  afterEach(() => mirror.close());

  /** Refused at any length, and with any bit changed from `firstByte` on; then taken as it is. */
  async function refusesChanges(
    message: Buffer,
    firstByte: number,
    offer: (message: Buffer) => Promise<unknown>,
  ): Promise<void> {
    for (let bit = 8 * firstByte; bit < 8 * message.length; bit += 1) {
      const changed = Buffer.from(message);
      changed[bit >> 3]! ^= 1 << (bit & 7);
      await assert.rejects(offer(changed), (error: { code?: string }) => {
        assert.ok(error instanceof IntegrityError, `bit ${bit}: ${error.code}`);
        assert.match(error.code, /^ERR_PAGEFERRY_(HANDSHAKE|SECRET|POINT)$/);
        return true;
      });
    }
    const refusal = { code: 'ERR_PAGEFERRY_HANDSHAKE' };
    for (let bytes = 0; bytes < message.length; bytes += 1) {
      await assertRefused(offer(message.subarray(0, bytes)), refusal, `${bytes} bytes of it`);
    }
    const longer = Buffer.concat([message, Buffer.alloc(1)]);
    await assertRefused(offer(longer), refusal, 'a byte more');
    await offer(message);
  }

  it('to the source is refused with any bit changed and at any length', async () => {
    const second = peer.respond(Buffer.from(await mirror.handshakeInitiate(context)));
    await refusesChanges(second, 0, (message) => mirror.handshakeFinish(message));
    assert.deepEqual(Buffer.from(mirror.sessionId), peer.session);
  });

  it('that confirms is refused with any bit changed and at any length', async () => {
    const second = await mirror.handshakeRespond(context, peer.initiate());
    const third = peer.finish(Buffer.from(second));
    await refusesChanges(third, 0, (message) => mirror.handshakeConfirm(message));
    assert.deepEqual(Buffer.from(mirror.sessionId), peer.session);
  });

  it('that begins is bound into the keys with every byte of it', async () => {
    const first = peer.initiate();
    assert.equal(first.length, bodyBytes);
    for (let at = 0; at < first.length; at += 1) {
      const changed = Buffer.from(first);
      changed[at]! ^= 0x80;
      const answer = await mirror.handshakeRespond(context, changed).catch((error: unknown) => {
        assert.ok(error instanceof IntegrityError, String(error));
        return undefined;
      });
      if (answer !== undefined) {
        assert.throws(() => peer.finish(Buffer.from(answer)), /MAC of message 2/, `byte ${at}`);
      }
      await mirror.reset();
      await mirror.setSecret(Buffer.from(secret));
    }
  });

  it('is refused by who was told another context or another secret', async () => {
    for (const other of [
      new PeerHandshake(secret, Buffer.from('another context')),
      new PeerHandshake(randomBytes(32), context),
    ]) {
      const second = other.respond(Buffer.from(await mirror.handshakeInitiate(context)));
      const refusal = { code: 'ERR_PAGEFERRY_SECRET' };
      await assertRefused(mirror.handshakeFinish(second), refusal, 'message 2');
      await mirror.reset();
      await mirror.setSecret(Buffer.from(secret));
    }
  });

  it('with a public key of small order is refused', async () => {
    const first = Buffer.from(peer.initiate());
    first.fill(0, 32, 64);
    const refusal = { code: 'ERR_PAGEFERRY_POINT' };
    await assertRefused(mirror.handshakeRespond(context, first), refusal, 'message 1');
  });
});
