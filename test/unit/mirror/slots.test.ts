import assert from 'node:assert/strict';

import { StateError } from '../../../src/errors.js';
import { SLOT_BYTES } from '../../../src/limits.js';
import { windowLayout } from '../../../src/mirror/layout.js';
import { WindowSlots } from '../../../src/mirror/slots.js';

const offset = 4096;

function pool(total: number): WindowSlots {
  return new WindowSlots(new ArrayBuffer(offset + total * SLOT_BYTES), offset, total);
}

describe('mirror slots', () => {
  it('hands out every slot of the window once', () => {
    const slots = pool(2);
    const [first, second] = [slots.tryAcquire()!, slots.tryAcquire()!];
    assert.equal(slots.tryAcquire(), undefined);
    assert.deepEqual(
      [first.buffer.byteOffset, second.buffer.byteOffset],
      [offset, offset + SLOT_BYTES],
    );
    assert.equal(slots.free, 0);
    first.release();
    assert.equal(slots.free, 1);
  });

  it('serves those who wait in order', async () => {
    const slots = pool(1);
    const held = await slots.acquire();
    const order: string[] = [];
    const first = slots.acquire().then((slot) => {
      order.push('first');
      slot.release();
    });
    const second = slots.acquire().then((slot) => {
      order.push('second');
      slot.release();
    });
    held.release();
    await Promise.all([first, second]);
    assert.deepEqual(order, ['first', 'second']);
    assert.equal(slots.free, 1);
  });

  it('stops waiting when the signal fires, and loses no slot by it', async () => {
    const slots = pool(1);
    const held = await slots.acquire();
    const giveUp = new AbortController();
    const waiting = slots.acquire(giveUp.signal);
    const reason = new Error('enough');
    giveUp.abort(reason);
    await assert.rejects(waiting, reason);
    await assert.rejects(slots.acquire(giveUp.signal), reason);
    held.release();
    assert.equal(slots.free, 1);
  });

  it('refuses a second release, also after the slot went to somebody else', () => {
    const slots = pool(1);
    const slot = slots.tryAcquire()!;
    slot.release();
    const again = slots.tryAcquire()!;
    assert.throws(() => {
      slot.release();
    }, StateError);
    again.release();
    assert.equal(slots.free, 1);
  });

  it('rejects everybody once the mirror has ended', async () => {
    const slots = pool(1);
    slots.tryAcquire();
    const waiting = slots.acquire();
    const end = new Error('over');
    slots.end(end);
    await assert.rejects(waiting, end);
    await assert.rejects(slots.acquire(), end);
    assert.equal(slots.tryAcquire(), undefined);
  });
});

describe('mirror window layout', () => {
  it('keeps the parts apart and ends on 2 MiB', () => {
    const layout = windowLayout(3, 8 * SLOT_BYTES);
    assert.ok(layout.ring(3) <= layout.request(0, 0));
    assert.ok(layout.response(2, 63) < layout.list(0, 0));
    assert.ok(layout.list(2, 63) < layout.messageInput);
    assert.equal(layout.slotCount, 8);
    assert.equal(layout.slots % 4096, 0);
    assert.equal(layout.totalBytes % (2 * 1024 * 1024), 0);
    assert.ok(layout.slots + 8 * SLOT_BYTES <= layout.totalBytes);
  });
});
