import { strict as assert } from 'node:assert';

import { MirrorError, RingError } from '../../../src/errors.js';
import { RING_ENTRIES } from '../../../src/limits.js';
import { Commander } from '../../../src/mirror/commander.js';
import { windowLayout } from '../../../src/mirror/layout.js';
import * as abi from '../../../src/native/abi.generated.js';
import type { NativeMirror } from '../../../src/native/addon.js';
import { FakeDevice, type FakeChain } from '../../support/fake-device.js';
import { withSeed, type Random } from '../../support/random.js';

const windowGpa = 0x60_0000_0000n;
const layout = windowLayout(1, 1);
const command = abi.PF_COMMAND_HELLO;

/** A helper that answers as a test says, in the window of a mirror that is nothing but it. */
class HostileHelper {
  readonly window = new ArrayBuffer(layout.totalBytes);
  readonly device = new FakeDevice(this.window, layout.ring(0), RING_ENTRIES);
  readonly commander: Commander;

  constructor(answer: (helper: HostileHelper, chains: FakeChain[]) => void) {
    const kick = (): void => {
      answer(this, this.device.take());
    };
    // All that a commander asks of the addon.
    const native: Pick<NativeMirror, 'window' | 'windowGpa' | 'kick'> = {
      window: this.window,
      windowGpa,
      kick,
    };
    this.commander = new Commander(native as NativeMirror, layout, 1, () => undefined);
  }

  /** Answers as an honest helper would, with nothing in its output. */
  answer(chain: FakeChain, bytes = abi.PF_RESPONSE_BYTES): void {
    this.device.push(chain.head, bytes);
    this.device.publish();
  }

  setUsedFlags(flags: number): void {
    new DataView(this.window).setUint16(layout.ring(0) + abi.PF_RING_USED_OFFSET, flags, true);
  }
}

type Lie = (helper: HostileHelper, chain: FakeChain) => void;

const lies: Readonly<Record<string, readonly [code: string, Lie]>> = {
  'says that it wrote more than it may': [
    'ERR_PAGEFERRY_RING_BYTES',
    (helper, chain) => {
      helper.answer(chain, chain.writableBytes + 1);
    },
  ],
  'says that it wrote less than an answer': [
    'ERR_PAGEFERRY_RING_RESPONSE',
    (helper, chain) => {
      helper.answer(chain, abi.PF_RESPONSE_BYTES - 1);
    },
  ],
  'says that it wrote nothing': [
    'ERR_PAGEFERRY_RING_RESPONSE',
    (helper, chain) => {
      helper.answer(chain, 0);
    },
  ],
  'names a chain that is none': [
    'ERR_PAGEFERRY_RING_UNKNOWN',
    (helper, chain) => {
      helper.answer({ ...chain, head: chain.head + 1 });
    },
  ],
  'names a descriptor that is none': [
    'ERR_PAGEFERRY_RING_ID',
    (helper, chain) => {
      helper.answer({ ...chain, head: RING_ENTRIES });
    },
  ],
  'moves its index too far': [
    'ERR_PAGEFERRY_RING_ADVANCE',
    (helper) => {
      helper.device.publish(RING_ENTRIES);
    },
  ],
  'gives the ring up': [
    'ERR_PAGEFERRY_RING_ADVANCE',
    (helper) => {
      helper.setUsedFlags(0x8000);
    },
  ],
};

describe('a helper that lies on its ring', () => {
  for (const [what, [code, lie]] of Object.entries(lies)) {
    it(`ends its mirror with a typed error: it ${what}`, async () => {
      const { commander } = new HostileHelper((helper, [chain]) => {
        lie(helper, chain!);
      });
      const attempts = [
        commander.message({ command, hasOutput: true }),
        commander.work(() => ({ command })),
      ];
      const thrown = await Promise.all(
        attempts.map((attempt) =>
          attempt.then(
            () => undefined,
            (error: unknown) => error,
          ),
        ),
      );
      const died = await commander.died;
      for (const error of [...thrown, died]) {
        assert.ok(error instanceof MirrorError);
        assert.equal(error.code, 'ERR_PAGEFERRY_MIRROR_RING');
        assert.equal(error.vcpu, 0);
        assert.ok(error.cause instanceof RingError);
        assert.equal(error.cause.code, code);
      }
      await assert.rejects(commander.message({ command }), MirrorError);
    });
  }

  it('cannot take back what it said: an answer is read once', async () => {
    const { commander, window } = new HostileHelper((helper, [chain]) => {
      const response = Number(chain!.descriptors[1]!.address - windowGpa);
      new DataView(helper.window).setUint32(response, abi.PF_STATUS_BUSY, true);
      helper.answer(chain!);
    });
    const reply = await commander.work(() => ({ command }));
    new Uint8Array(window).fill(0xff);
    assert.equal(reply?.status, abi.PF_STATUS_BUSY);
    assert.deepEqual(reply.values, [0, 0, 0, 0, 0, 0, 0]);
  });

  it('answers anything at all, and every command ends, with an answer or typed', () =>
    withSeed(async (random) => {
      for (let round = 0; round < 300; round += 1) await hostileRound(random);
    }));
});

async function hostileRound(random: Random): Promise<void> {
  const waiting: FakeChain[] = [];
  const { commander } = new HostileHelper((helper, chains) => {
    waiting.push(...chains);
    for (const chain of waiting.splice(0)) {
      const isLie = random.once(20);
      helper.device.push(
        isLie ? random.below(2 * RING_ENTRIES) : chain.head,
        isLie ? random.below(1000) : abi.PF_RESPONSE_BYTES + random.below(2),
      );
    }
    helper.device.publish(random.once(40) ? random.below(65536) : helper.device.used);
  });
  for (let step = 0; step < 8; step += 1) {
    const commands = Array.from({ length: 1 + random.below(6) }, () =>
      commander.work((offset) => ({ command, output: { offset, bytes: 64 } })),
    );
    for (const result of await Promise.allSettled(commands)) {
      if (result.status === 'fulfilled') continue;
      assert.ok(result.reason instanceof MirrorError, String(result.reason));
      assert.equal(result.reason.code, 'ERR_PAGEFERRY_MIRROR_RING');
    }
    if (commander.isEnded) return;
  }
  commander.end(new Error('the round is over'));
}
