import assert from 'node:assert/strict';

import { MirrorError } from '../../src/errors.js';
import * as abi from '../../src/native/abi.generated.js';
import { loadHelperImage } from '../../src/native/loader.js';
import { BareMirror, type BareOptions } from '../support/peer/bare-mirror.js';
import { ENGINES, requireEngine } from '../support/peer/engines.js';

/** PF_HELPER_VIRTUAL as a number; a multiple of 2^31, so it is exact. */
const helperVirtual = 2 ** 64 - 2 ** 31;
/** The GDT's page, which ring 3 must not see (native/engine/layout.h). */
const systemVirtual = helperVirtual + 2 ** 30;
const stub = helperVirtual + 4096;
/** RAM addresses without a RAM block, in the page tables and not. */
const noMemory = 2 ** 29;
const unmapped = 2 ** 46;

interface Fault {
  readonly kind: number;
  readonly address?: number;
  readonly vector: number;
  /** What CR2 is to be; page faults only. */
  readonly faultsAt?: number;
}

function pageFault(kind: number, address: number): Fault {
  return { kind, address, vector: 14, faultsAt: address };
}

const faults: Readonly<Record<string, Fault>> = {
  'a misaligned vector access': { kind: abi.PF_FAULT_MISALIGNED_VECTOR, vector: 13 },
  'an undefined instruction': { kind: abi.PF_FAULT_UNDEFINED, vector: 6 },
  'a division by zero': { kind: abi.PF_FAULT_DIVIDE, vector: 0 },
  'port I/O': { kind: abi.PF_FAULT_PORT, vector: 13 },
  'an HLT that is not the one': { kind: abi.PF_FAULT_OTHER_HALT, vector: 13 },
  'a read of no address at all': { kind: abi.PF_FAULT_READ, address: 2 ** 62, vector: 13 },
  'a read outside its address space': pageFault(abi.PF_FAULT_READ, unmapped),
  'a vector read outside it': pageFault(abi.PF_FAULT_VECTOR_READ, unmapped),
  'a read of the ring-0 stub': pageFault(abi.PF_FAULT_READ, stub),
  'a read of the GDT': pageFault(abi.PF_FAULT_READ, systemVirtual),
  'a write to its own header': pageFault(abi.PF_FAULT_WRITE, helperVirtual),
  'a write to its own code': pageFault(abi.PF_FAULT_WRITE, helperVirtual + 0x10000),
  'a jump to guest memory': pageFault(abi.PF_FAULT_EXECUTE, noMemory),
  'a jump out of its address space': pageFault(abi.PF_FAULT_EXECUTE, unmapped),
};

interface Leave {
  readonly kind: number;
  readonly address?: number;
  /** Code put in place of the stub's entry for exception 6, in ring 0. */
  readonly code?: string;
  readonly name: RegExp;
  readonly at?: bigint;
}

const mmio = /KVM_EXIT_MMIO/;
const exits: Readonly<Record<string, Leave>> = {
  'a read where no memory is': {
    kind: abi.PF_FAULT_READ,
    address: noMemory,
    name: mmio,
    at: BigInt(noMemory),
  },
  'a write where no memory is': {
    kind: abi.PF_FAULT_WRITE,
    address: noMemory + 8,
    name: mmio,
    at: BigInt(noMemory) + 8n,
  },
  'a vector read where no memory is': {
    kind: abi.PF_FAULT_VECTOR_READ,
    address: noMemory,
    name: /KVM_EXIT_(INTERNAL_ERROR|MMIO)/,
  },
  // out 0x80, al
  'port I/O of ring 0': {
    kind: abi.PF_FAULT_UNDEFINED,
    code: 'e680f4ebfd',
    name: /KVM_EXIT_IO/,
    at: 0x80n,
  },
  // An IDT of no entries, and an exception: no handler for the exception's exceptions either.
  'a triple fault': {
    kind: abi.PF_FAULT_UNDEFINED,
    code: '6a006a000f011c240f0b',
    name: /KVM_EXIT_SHUTDOWN/,
  },
};

/** The test image with other code at the stub's entry for #UD. */
function patched(code: string): Buffer {
  const image = Buffer.from(loadHelperImage(true));
  const vectorsOffset = image.readUInt32LE(24);
  const vectorBytes = image.readUInt32LE(28);
  assert.ok(code.length / 2 <= vectorBytes);
  Buffer.from(code, 'hex').copy(image, vectorsOffset + 6 * vectorBytes);
  return image;
}

describe('a fault of the helper in a mirror VM', () => {
  let mirror: BareMirror | undefined;

  before(function () {
    requireEngine(this, 'kvm');
  });

  afterEach(async () => {
    await mirror?.close();
    mirror = undefined;
  });

  function open(options: Partial<BareOptions> = {}): BareMirror {
    mirror = new BareMirror({ engine: 'kvm', testImage: true, ...options });
    return mirror;
  }

  /** What a fault does: the command fails, and so does all that comes after it, the same way. */
  async function dies(on: BareMirror, kind: number, address = 0): Promise<MirrorError> {
    const command = { command: abi.PF_COMMAND_TEST_FAULT, args: [kind, address] };
    const waiting = on.commander.message({ command: abi.PF_COMMAND_HELLO, hasOutput: true });
    const [error, other] = await Promise.all(
      [on.commander.work(() => command), waiting].map((answer) =>
        answer.then(
          () => undefined,
          (thrown: unknown) => thrown,
        ),
      ),
    );
    assert.ok(error instanceof MirrorError, String(error));
    assert.ok(other === undefined || other === error, 'answered before, or dead with it');
    assert.equal(await on.commander.died, error);
    await assert.rejects(on.hello(), (later) => later === error);
    return error;
  }

  function inHelper(rip: bigint | undefined): boolean {
    return rip !== undefined && rip > abi.PF_HELPER_VIRTUAL && rip < BigInt(systemVirtual);
  }

  it('has a test for every kind that the test image knows', () => {
    const kinds = Object.entries(abi)
      .filter(([name]) => name.startsWith('PF_FAULT_') && name !== 'PF_FAULT_MAGIC')
      .map(([, value]) => value as number);
    const tested = [...Object.values(faults), ...Object.values(exits)].map(({ kind }) => kind);
    const others = [abi.PF_FAULT_ENDLESS, abi.PF_FAULT_BREAKPOINT];
    assert.deepEqual([...new Set([...tested, ...others])].sort(), kinds.sort());
  });

  for (const [what, { kind, address, vector, faultsAt }] of Object.entries(faults)) {
    it(`tells vector, instruction and address: ${what}`, async () => {
      const error = await dies(open(), kind, address);
      assert.equal(error.code, 'ERR_PAGEFERRY_MIRROR_FAULT');
      assert.equal(error.vector, vector);
      assert.equal(error.vcpu, 0);
      if (faultsAt !== undefined) assert.equal(error.address, BigInt(faultsAt));
      if (kind === abi.PF_FAULT_EXECUTE) assert.equal(error.rip, error.address);
      else assert.ok(inHelper(error.rip), String(error.rip));
    });
  }

  it('tells vector and instruction: a breakpoint', async () => {
    const error = await dies(open(), abi.PF_FAULT_BREAKPOINT);
    assert.equal(error.code, 'ERR_PAGEFERRY_MIRROR_FAULT');
    // Ring 3 may not call a gate of privilege 0 (Intel SDM 3A, 6.12.1.2), if KVM looks at it.
    assert.ok(error.vector === 13 || error.vector === 3, `vector ${error.vector}`);
    assert.ok(inHelper(error.rip));
  });

  it('that never comes back is a stall', async () => {
    const error = await dies(open({ stallTimeoutMs: 200 }), abi.PF_FAULT_ENDLESS);
    assert.equal(error.code, 'ERR_PAGEFERRY_MIRROR_STALL');
  });

  for (const [what, { kind, address, code, name, at }] of Object.entries(exits)) {
    it(`that leaves KVM_RUN is told by name and address: ${what}`, async () => {
      const on = open(code === undefined ? {} : { image: patched(code) });
      const error = await dies(on, kind, address);
      assert.equal(error.code, 'ERR_PAGEFERRY_MIRROR_EXIT');
      assert.match(error.message, name);
      if (at !== undefined) assert.equal(error.address, at);
      assert.ok(inHelper(error.rip), `instruction ${String(error.rip)}`);
    });
  }

  it('on one vCPU ends the whole mirror, and says which it was', async () => {
    const on = open({ vcpus: 3 });
    const greetings = Array.from({ length: 2 }, () =>
      on.commander.work((offset) => ({
        command: abi.PF_COMMAND_HELLO,
        output: { offset, bytes: abi.PF_HELLO_BYTES },
      })),
    );
    // The third command goes to the vCPU with the least to do.
    const error = await dies(on, abi.PF_FAULT_UNDEFINED);
    await Promise.allSettled(greetings);
    assert.equal(error.vcpu, 2);
    assert.equal(error.vector, 6);
  });
});

describe('the command that faults', () => {
  for (const engine of ENGINES) {
    it(`is unknown to the helper that users run on ${engine}`, async function () {
      requireEngine(this, engine);
      const mirror = new BareMirror({ engine });
      try {
        const args = [abi.PF_FAULT_UNDEFINED];
        await assert.rejects(
          mirror.commander.message({ command: abi.PF_COMMAND_TEST_FAULT, args }),
          { code: 'ERR_PAGEFERRY_HELPER_COMMAND' },
        );
        assert.equal((await mirror.hello()).state, abi.PF_STATE_FRESH);
      } finally {
        await mirror.close();
      }
    });
  }
});
