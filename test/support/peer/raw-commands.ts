/** What: any command at all, sent through a sound chain of a ring written by hand. */
import { strict as assert } from 'node:assert';

import * as abi from '../../../src/native/abi.generated.js';
import type { PeerHandshake } from './keys.js';
import type { RawMirror, RawRing } from './raw-ring.js';
import { context } from './rig.js';

export interface RawCommand {
  readonly command: number;
  readonly flags?: number;
  readonly args?: readonly bigint[];
  readonly reserved?: bigint;
  readonly input?: Uint8Array;
  readonly outputBytes?: number;
}

export interface RawAnswer {
  readonly status: number;
  readonly detail: number;
  readonly output: Buffer;
}

export const RAW_INPUT_BYTES_MAX = 64 * 1024;

export class RawCommands {
  readonly #start: number;

  constructor(private readonly mirror: RawMirror) {
    const vcpus = mirror.options.vcpus ?? 1;
    this.#start = vcpus * abi.PF_RING_STRIDE;
  }

  /** Runs one command; checks what every answer has to keep to. */
  async run(ring: RawRing, command: RawCommand): Promise<RawAnswer> {
    const { view, bytes } = this.mirror;
    const { input = new Uint8Array(), outputBytes = 0 } = command;
    const request = this.#start;
    const response = request + abi.PF_REQUEST_BYTES;
    const inputAt = request + 4096;
    const outputAt = inputAt + RAW_INPUT_BYTES_MAX;
    assert.ok(input.length <= RAW_INPUT_BYTES_MAX && outputAt + outputBytes <= bytes.length);
    bytes.fill(0, request, response + abi.PF_RESPONSE_BYTES);
    view.setUint32(request, command.command, true);
    view.setUint32(request + abi.OFFSET_pf_request_flags, command.flags ?? 0, true);
    (command.args ?? []).forEach((value, index) => {
      view.setBigUint64(request + abi.OFFSET_pf_request_arg + 8 * index, value, true);
    });
    view.setBigUint64(request + abi.OFFSET_pf_request_reserved, command.reserved ?? 0n, true);
    bytes.set(input, inputAt);
    bytes.fill(0xee, outputAt, outputAt + outputBytes);
    const parts = [
      { at: request, length: abi.PF_REQUEST_BYTES, flags: 0 },
      { at: inputAt, length: input.length, flags: 0 },
      { at: response, length: abi.PF_RESPONSE_BYTES, flags: abi.PF_DESC_F_WRITE },
      { at: outputAt, length: outputBytes, flags: abi.PF_DESC_F_WRITE },
    ].filter(({ length }) => length > 0);
    parts.forEach(({ at, length, flags }, index) => {
      const hasNext = index + 1 < parts.length;
      ring.setDescriptor(index, {
        address: this.mirror.native.windowGpa + BigInt(at),
        bytes: length,
        flags: flags | (hasNext ? abi.PF_DESC_F_NEXT : 0),
        next: hasNext ? index + 1 : 0,
      });
    });
    for (let index = parts.length; index < 4; index += 1) {
      ring.setDescriptor(index, { address: 0n, bytes: 0, flags: 0, next: 0 });
    }
    const [used] = await ring.runChecked([0]);
    const written = used!.bytes - abi.PF_RESPONSE_BYTES;
    const status = view.getUint32(response, true);
    const detail = view.getUint32(response + abi.OFFSET_pf_response_detail, true);
    const what = `command ${command.command}, status ${status}`;
    assert.ok(status in abi.PF_STATUS_NAMES, what);
    assert.ok(written >= 0 && written <= outputBytes, what);
    if (status !== abi.PF_STATUS_OK) {
      assert.equal(written, 0, what);
      const isUntouched = bytes.subarray(outputAt, outputAt + outputBytes).every((b) => b === 0xee);
      assert.ok(isUntouched, `${what}: nothing is written to output`);
    }
    return { status, detail, output: Buffer.from(bytes.subarray(outputAt, outputAt + written)) };
  }

  async #ok(ring: RawRing, command: RawCommand): Promise<Buffer> {
    const { status, output } = await this.run(ring, command);
    assert.equal(status, abi.PF_STATUS_OK, `command ${command.command}`);
    return output;
  }

  /** A session with the peer, over one block at address 0, whatever was before. */
  async establish(
    ring: RawRing,
    peer: PeerHandshake,
    secret: Buffer,
    isSource: boolean,
    ramBytes: number,
  ): Promise<void> {
    const step = (number: number, input: Buffer, contextBytes: number): Promise<Buffer> =>
      this.#ok(ring, {
        command: abi.PF_COMMAND_HANDSHAKE,
        args: [BigInt(number), BigInt(contextBytes)],
        input,
        outputBytes: 256,
      });
    await this.#ok(ring, { command: abi.PF_COMMAND_RESET });
    await this.#ok(ring, {
      command: abi.PF_COMMAND_BLOCK_SET,
      args: [0n, 0n, BigInt(ramBytes)],
    });
    await this.#ok(ring, { command: abi.PF_COMMAND_SECRET_SET, input: secret });
    if (isSource) {
      const first = await step(abi.PF_HANDSHAKE_INITIATE, context, context.length);
      const third = await step(abi.PF_HANDSHAKE_FINISH, peer.respond(first), 0);
      peer.confirm(third);
      return;
    }
    const greeting = Buffer.concat([context, peer.initiate()]);
    const second = await step(abi.PF_HANDSHAKE_RESPOND, greeting, context.length);
    await step(abi.PF_HANDSHAKE_CONFIRM, peer.finish(second), 0);
  }
}
