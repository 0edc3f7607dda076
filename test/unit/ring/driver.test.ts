import { strict as assert } from 'node:assert';

import { RingError } from '../../../src/errors.js';
import { type Chain, RingDriver } from '../../../src/ring/driver.js';
import { type FakeChain, FakeDevice } from '../../support/fake-device.js';
import { type Random, withSeed } from '../../support/random.js';

const windowGpa = 0xc0_0000_0000n;
const ringOffset = 16384;

function chain(over: Partial<Chain> = {}): Chain {
  return {
    requestOffset: 0x8000,
    requestBytes: 64,
    inputOffset: 0x9000,
    inputBytes: 0,
    responseOffset: 0x8040,
    responseBytes: 64,
    outputOffset: 0xa000,
    outputBytes: 0,
    ...over,
  };
}

interface Setup {
  readonly window: ArrayBuffer;
  readonly ring: RingDriver;
  readonly device: FakeDevice;
}

function setUp(entries = 8): Setup {
  const window = new ArrayBuffer(65536);
  const ring = new RingDriver(window, ringOffset, entries, windowGpa);
  return { window, ring, device: new FakeDevice(window, ringOffset, entries) };
}

function refuses(ring: RingDriver, code: string): void {
  assert.throws(
    () => ring.poll(() => {}),
    (error) => error instanceof RingError && error.code === code,
  );
}

describe('the ring driver', () => {
  it('lays a chain out as request, input, response, output at window addresses', () => {
    const { ring, device } = setUp();
    ring.add(chain({ inputBytes: 100, outputBytes: 200 }), 1);
    ring.publish();
    assert.deepEqual(device.take()[0]?.descriptors, [
      { address: windowGpa + 0x8000n, bytes: 64, writable: false },
      { address: windowGpa + 0x9000n, bytes: 100, writable: false },
      { address: windowGpa + 0x8040n, bytes: 64, writable: true },
      { address: windowGpa + 0xa000n, bytes: 200, writable: true },
    ]);
  });

  it('leaves out the input and the output that a chain does not have', () => {
    const { ring, device } = setUp();
    ring.add(chain(), 1);
    ring.add(chain({ inputBytes: 5 }), 2);
    ring.publish();
    const [bare, withInput] = device.take();
    assert.deepEqual(
      bare?.descriptors.map((descriptor) => descriptor.writable),
      [false, true],
    );
    assert.deepEqual(
      withInput?.descriptors.map((descriptor) => descriptor.writable),
      [false, false, true],
    );
  });

  it('shows the device nothing before publish', () => {
    const { ring, device } = setUp();
    ring.add(chain(), 1);
    assert.equal(device.take().length, 0);
    ring.publish();
    assert.equal(device.take().length, 1);
  });

  it('says when there is no room for another chain, and finds it again after a poll', () => {
    const { ring, device } = setUp();
    while (ring.hasRoom) ring.add(chain({ inputBytes: 1, outputBytes: 1 }), 1);
    assert.equal(ring.outstanding, 2);
    assert.throws(() => {
      ring.add(chain(), 1);
    }, /a free chain/);
    ring.publish();
    for (const taken of device.take()) device.push(taken.head, 64);
    device.publish();
    assert.equal(
      ring.poll(() => {}),
      2,
    );
    assert.ok(ring.hasRoom);
  });

  it('gives each cookie back once, in any order of completion, across many index wraps', () =>
    withSeed((random) => {
      const { ring, device } = setUp(16);
      const expected = new Map<number, number>();
      const taken: FakeChain[] = [];
      let cookie = 0;
      for (let step = 0; step < 150_000; step += 1) {
        if (ring.hasRoom && random.once(2)) {
          cookie += 1;
          const outputBytes = random.below(2) * 4096;
          ring.add(chain({ inputBytes: random.below(2) * 9, outputBytes }), cookie);
          expected.set(cookie, 64 + outputBytes);
          ring.publish();
        }
        taken.push(...device.take());
        if (taken.length > 0 && random.once(2)) {
          const [done] = taken.splice(random.below(taken.length), 1);
          device.push(done!.head, done!.writableBytes);
          device.publish();
        }
        ring.poll((came, bytes) => {
          assert.equal(expected.get(came), bytes);
          expected.delete(came);
        });
        assert.equal(ring.outstanding, expected.size);
      }
      assert.ok(cookie > 65536, 'the free-running index has wrapped');
    }));

  it('never reads a descriptor back that the device has changed', () => {
    const { window, ring, device } = setUp();
    ring.add(chain({ outputBytes: 10 }), 7);
    ring.publish();
    const [taken] = device.take();
    new Uint8Array(window, ringOffset, 4096).fill(0xff);
    device.push(taken!.head, 74);
    device.publish();
    const cookies: number[] = [];
    ring.poll((cookie) => cookies.push(cookie));
    assert.deepEqual(cookies, [7]);
    ring.add(chain({ inputBytes: 1, outputBytes: 1 }), 8);
    ring.publish();
    assert.equal(device.take()[0]?.descriptors.length, 4);
  });
});

describe('the ring driver refuses a device that', () => {
  it('moves used.idx past what is outstanding', () => {
    const { ring, device } = setUp();
    ring.add(chain(), 1);
    ring.publish();
    device.publish(2);
    refuses(ring, 'ERR_PAGEFERRY_RING_ADVANCE');
  });

  it('moves used.idx backwards', () => {
    const { ring, device } = setUp();
    device.publish(65535);
    refuses(ring, 'ERR_PAGEFERRY_RING_ADVANCE');
  });

  it('uses a descriptor outside the table', () => {
    const { ring, device } = setUp();
    ring.add(chain(), 1);
    device.push(8, 64);
    device.publish();
    refuses(ring, 'ERR_PAGEFERRY_RING_ID');
  });

  it('uses a descriptor in the middle of a chain', () => {
    const { ring, device } = setUp();
    ring.add(chain(), 1);
    device.push(1, 64);
    device.publish();
    refuses(ring, 'ERR_PAGEFERRY_RING_UNKNOWN');
  });

  it('completes a chain twice', () => {
    const { ring, device } = setUp();
    ring.add(chain(), 1);
    ring.add(chain(), 2);
    ring.publish();
    const [first] = device.take();
    device.push(first!.head, 64);
    device.push(first!.head, 64);
    device.publish();
    refuses(ring, 'ERR_PAGEFERRY_RING_UNKNOWN');
  });

  it('claims to have written more than the chain lets it', () => {
    const { ring, device } = setUp();
    ring.add(chain({ outputBytes: 36 }), 1);
    device.push(0, 101);
    device.publish();
    refuses(ring, 'ERR_PAGEFERRY_RING_BYTES');
  });

  it('has lied once: the queue stays out of use', () => {
    const { ring, device } = setUp();
    ring.add(chain(), 1);
    ring.publish();
    device.publish(9);
    refuses(ring, 'ERR_PAGEFERRY_RING_ADVANCE');
    device.publish(0);
    refuses(ring, 'ERR_PAGEFERRY_RING_POISONED');
    assert.throws(() => {
      ring.add(chain(), 2);
    }, RingError);
  });

  it('writes anything at all into the used ring', () =>
    withSeed((random) => {
      for (let round = 0; round < 3000; round += 1) hostileRound(random);
    }));
});

/** A device that lies at random: either the driver throws a RingError, or the books balance. */
function hostileRound(random: Random): void {
  const entries = random.pick([2, 4, 8, 16, 64, 256]);
  const { window, ring, device } = setUp(entries);
  const usedRing = new Uint8Array(window, ringOffset + 8192, 4 + 8 * entries);
  const pending = new Set<number>();
  const limits = new Map<number, number>();
  for (let step = 0; step < 40; step += 1) {
    try {
      if (ring.hasRoom) {
        const outputBytes = random.below(3) * 50;
        ring.add(chain({ inputBytes: random.below(2), outputBytes }), step);
        ring.publish();
        pending.add(step);
        limits.set(step, 64 + outputBytes);
      }
      for (const taken of device.take()) {
        const lies = random.once(6);
        const id = lies ? random.below(2 * entries) : taken.head;
        device.push(id, lies ? random.word() : taken.writableBytes);
      }
      if (random.once(30)) usedRing.set(random.bytes(usedRing.length));
      device.publish(random.once(12) ? random.below(65536) : device.used);
      ring.poll((cookie, bytes) => {
        assert.ok(pending.delete(cookie), 'a cookie comes back once');
        assert.ok(bytes <= limits.get(cookie)!, 'a length is within the chain');
      });
      assert.equal(ring.outstanding, pending.size);
    } catch (error) {
      assert.ok(error instanceof RingError, String(error));
      refuses(ring, 'ERR_PAGEFERRY_RING_POISONED');
      return;
    }
  }
}
