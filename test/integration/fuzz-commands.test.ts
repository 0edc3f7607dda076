import assert from 'node:assert/strict';

import { MirrorError } from '../../src/errors.js';
import * as abi from '../../src/native/abi.generated.js';
import { onBothEngines } from '../support/peer/engines.js';
import { Forge } from '../support/peer/forge.js';
import { FUZZ_MS, oddNumber } from '../support/peer/fuzz.js';
import { GuardedRam, assertNothingOf } from '../support/peer/guarded-ram.js';
import { PeerHandshake, TO_DESTINATION, TO_SOURCE } from '../support/peer/keys.js';
import { RAW_INPUT_BYTES_MAX, RawCommands, type RawCommand } from '../support/peer/raw-commands.js';
import { RawMirror } from '../support/peer/raw-ring.js';
import { KIND_CONTROL, KIND_LANE, PAGE_BYTES } from '../support/peer/records.js';
import { context } from '../support/peer/rig.js';
import { withSeed, type Random } from '../support/random.js';
import { mutate } from '../support/session/mutation.js';

const vcpus = 2;
const ramPages = 64;
const commandsPerSession = 120;
const takesRecord = [
  abi.PF_COMMAND_IMPORT,
  abi.PF_COMMAND_OPEN_MESSAGE,
  abi.PF_COMMAND_TOKEN_CHECK,
];

/** A page list, or bytes that look like one. */
function oddInput(random: Random): Buffer {
  if (random.once(4)) return Buffer.alloc(0);
  if (random.once(8)) return Buffer.from(random.bytes(random.below(600)));
  const input = Buffer.alloc(8 * (1 + random.below(8)));
  let page = 0;
  for (let at = 0; at < input.length; at += 8) {
    page += random.once(10) ? -random.below(4) : random.below(6);
    const first = BigInt(Math.max(0, page));
    const more = BigInt(random.below(4));
    input.writeBigUInt64LE(first | (more << 44n) | (random.once(4) ? 1n << 63n : 0n), at);
    page += Number(more) + 1;
  }
  if (random.once(6)) input[random.below(input.length)]! ^= 1 << random.below(8);
  return input;
}

function oddCommand(random: Random): RawCommand {
  let command = random.once(40) ? random.word() : random.below(17);
  // A session is soon over when every sixteenth command ends it.
  if (command === abi.PF_COMMAND_RESET && !random.once(8)) command = abi.PF_COMMAND_EXPORT;
  const args = Array.from({ length: 6 }, () => oddNumber(random));
  if (command === abi.PF_COMMAND_EXPORT && !random.once(3)) {
    args.splice(0, 3, 1n, BigInt(random.below(3)), BigInt(random.below(3) * 4096));
  }
  return {
    command,
    args,
    flags: random.once(8) ? Number(oddNumber(random) & 0xffffffffn) : 0,
    reserved: random.once(30) ? 1n : 0n,
    input: oddInput(random),
    outputBytes: random.once(3) ? random.below(200) : random.below(100_000),
  };
}

/** What only the peer could have sealed, and then something on the way has changed. */
function changedRecord(random: Random, forge: Forge): Buffer {
  const counter = 1 + random.below(3);
  const runs = [{ first: random.below(8), pages: 1 + random.below(3), zero: random.once(2) }];
  const content = Buffer.from(random.bytes(runs[0]!.zero ? 0 : runs[0]!.pages * PAGE_BYTES));
  const blocks = [{ id: 0, ramAddr: 0, bytes: ramPages * PAGE_BYTES }];
  const plain = Buffer.from(random.bytes(random.below(100)));
  const kind = random.pick([KIND_CONTROL, KIND_LANE]);
  const record = random.pick([
    forge.pages({ counter, epoch: 1, runs, content, codec: random.below(2) }),
    forge.token({ counter, epoch: 1, counts: [0], blocks }),
    forge.message({ kind, counter, plain }),
  ]);
  for (;;) {
    const changed = mutate(random, record);
    const fits = changed.length > 0 && changed.length <= RAW_INPUT_BYTES_MAX;
    if (fits && !record.equals(changed)) return Buffer.from(changed);
  }
}

onBothEngines('commands that make no sense', (engine) => {
  for (const role of ['nobody', 'source', 'destination'] as const) {
    it(`never hang the helper, show or change RAM, or kill: as ${role}`, function () {
      this.timeout(60_000);
      return withSeed(async (random) => {
        const ram = new GuardedRam(ramPages);
        const end = Date.now() + FUZZ_MS / 2;
        try {
          const statuses = new Set<number>();
          do {
            await oneMirror(random, ram, role, statuses, end);
            ram.assertUntouched();
          } while (Date.now() < end);
          assert.ok(statuses.has(abi.PF_STATUS_OK) && statuses.size > 5, [...statuses].join());
        } finally {
          ram.close();
        }
      });
    });
  }

  async function oneMirror(
    random: Random,
    ram: GuardedRam,
    role: 'nobody' | 'source' | 'destination',
    statuses: Set<number>,
    end: number,
  ): Promise<void> {
    const mirror = new RawMirror({ engine, vcpus, ramLimitBytes: ram.bytes, stallTimeoutMs: 5000 });
    ram.mapInto(mirror.native);
    const commands = new RawCommands(mirror);
    const rings = [mirror.ring(0), mirror.ring(1)] as const;
    /** The host has named memory that it never gave. */
    let isLiar = false;
    try {
      do {
        const secret = Buffer.from(random.bytes(32));
        const peer = new PeerHandshake(secret, context);
        const isSource = role === 'source';
        if (role !== 'nobody') {
          await commands.establish(rings[0], peer, secret, isSource, ram.bytes);
        }
        const forge = new Forge(peer, isSource ? TO_SOURCE : TO_DESTINATION);
        for (let count = 0; count < commandsPerSession; count += 1) {
          const isRecord = role !== 'nobody' && random.once(2);
          const command: RawCommand = isRecord
            ? {
                command: random.pick(takesRecord),
                input: changedRecord(random, forge),
                outputBytes: random.below(300),
              }
            : oddCommand(random);
          const answer = await commands.run(random.pick(rings), command);
          statuses.add(answer.status);
          if (isRecord) assert.notEqual(answer.status, abi.PF_STATUS_OK, 'a changed record');
          if (command.command === abi.PF_COMMAND_BLOCK_SET) {
            isLiar ||= answer.status === abi.PF_STATUS_OK;
          }
          assertNothingOf(answer.output);
        }
      } while (Date.now() < end);
    } catch (error) {
      assert.ok(error instanceof MirrorError && isLiar, String(error));
      assert.match(error.code, /^ERR_PAGEFERRY_MIRROR_(EXIT|FAULT)$/);
    } finally {
      await mirror.close();
    }
  }
});
