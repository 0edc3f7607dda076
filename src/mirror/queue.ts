/**
 * What: commands of one vCPU as promises: entries of the window's request area, the ring, and one
 * kick for all commands of an event-loop turn.
 * The helper is hostile: a response is copied out once and only the copy is looked at.
 */
import { RING_COMMANDS, RING_ENTRIES } from '../limits.js';
import {
  OFFSET_pf_request_arg,
  OFFSET_pf_request_flags,
  OFFSET_pf_response_detail,
  OFFSET_pf_response_value,
  PF_REQUEST_BYTES,
  PF_RESPONSE_BYTES,
  PF_RING_USED_OFFSET,
} from '../native/abi.generated.js';
import { RingDriver } from '../ring/driver.js';
import { ringViolation } from '../ring/errors.js';
import type { WindowLayout } from './layout.js';

/** PF_USED_F_BROKEN of native/abi/ring.h, which is not among the generated constants. */
const usedBroken = 0x8000;
const valueCount = 7;
/** The longest a timer can wait, in milliseconds. */
const foreverMs = 2 ** 31 - 1;

/** A part of the window. */
export interface Part {
  readonly offset: number;
  readonly bytes: number;
}

export interface Command {
  readonly command: number;
  readonly flags?: number;
  readonly args?: readonly number[];
  readonly input?: Part;
  readonly output?: Part;
}

export interface Reply {
  readonly status: number;
  readonly detail: number;
  readonly values: readonly number[];
  /** Bytes written to the command's output. */
  readonly written: number;
}

interface Pending {
  readonly responseOffset: number;
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: Error) => void;
}

export class VcpuQueue {
  readonly #driver: RingDriver;
  readonly #view: DataView;
  readonly #usedFlags: Uint16Array;
  readonly #pending = new Map<number, Pending>();
  readonly #free = Array.from({ length: RING_COMMANDS }, (_, index) => index);
  readonly #waiters: (() => void)[] = [];
  /** Holds the event loop while a command is in flight; the addon's events do not. */
  readonly #hold = setInterval(() => undefined, foreverMs).unref();
  #load = 0;
  #isKickDue = false;
  #end: Error | undefined;

  constructor(
    private readonly vcpu: number,
    private readonly window: ArrayBuffer,
    windowGpa: bigint,
    private readonly layout: WindowLayout,
    private readonly kick: () => void,
    /** The ring or the kick failed: the mirror is dead. */
    private readonly onBroken: (cause: unknown) => void,
  ) {
    this.#driver = new RingDriver(window, layout.ring(vcpu), RING_ENTRIES, windowGpa);
    this.#view = new DataView(window);
    this.#usedFlags = new Uint16Array(window, layout.ring(vcpu) + PF_RING_USED_OFFSET, 1);
  }

  /** Commands in flight or waiting for an entry. */
  get load(): number {
    return this.#load;
  }

  /**
   * Asks `build` for a command once there is an entry for it, giving it the offset of the entry's
   * list area, and resolves with the helper's answer; undefined when there was no command.
   */
  async run(build: (listOffset: number) => Command | undefined): Promise<Reply | undefined> {
    this.#load += 1;
    try {
      const entry = await this.#takeEntry();
      try {
        this.#assertAlive();
        const command = build(this.layout.list(this.vcpu, entry));
        return command === undefined ? undefined : await this.#submit(entry, command);
      } finally {
        this.#free.push(entry);
        this.#waiters.shift()?.();
      }
    } finally {
      this.#load -= 1;
    }
  }

  /** Takes what the helper has answered. */
  poll(): void {
    if (this.#end !== undefined) return;
    try {
      this.#driver.poll((entry, bytes) => {
        this.#complete(entry, bytes);
      });
      if (((this.#usedFlags[0] ?? 0) & usedBroken) !== 0) {
        throw ringViolation('advance', 'the helper has given the ring up');
      }
    } catch (error) {
      this.onBroken(error);
    }
  }

  /** Rejects everything pending and everything to come; the window is not touched any more. */
  end(error: Error): void {
    if (this.#end !== undefined) return;
    this.#end = error;
    for (const pending of this.#pending.values()) pending.reject(error);
    this.#pending.clear();
    clearInterval(this.#hold);
    for (const wake of this.#waiters.splice(0)) wake();
  }

  async #takeEntry(): Promise<number> {
    for (;;) {
      this.#assertAlive();
      const entry = this.#free.pop();
      if (entry !== undefined) return entry;
      await new Promise<void>((wake) => this.#waiters.push(wake));
    }
  }

  #submit(entry: number, command: Command): Promise<Reply> {
    const requestOffset = this.layout.request(this.vcpu, entry);
    const responseOffset = this.layout.response(this.vcpu, entry);
    new Uint8Array(this.window, requestOffset, PF_REQUEST_BYTES + PF_RESPONSE_BYTES).fill(0);
    this.#view.setUint32(requestOffset, command.command, true);
    this.#view.setUint32(requestOffset + OFFSET_pf_request_flags, command.flags ?? 0, true);
    const args = requestOffset + OFFSET_pf_request_arg;
    for (const [index, value] of (command.args ?? []).entries()) {
      this.#view.setBigUint64(args + 8 * index, BigInt(value), true);
    }
    const chain = {
      requestOffset,
      requestBytes: PF_REQUEST_BYTES,
      inputOffset: command.input?.offset ?? 0,
      inputBytes: command.input?.bytes ?? 0,
      responseOffset,
      responseBytes: PF_RESPONSE_BYTES,
      outputOffset: command.output?.offset ?? 0,
      outputBytes: command.output?.bytes ?? 0,
    };
    return new Promise((resolve, reject) => {
      this.#driver.add(chain, entry);
      this.#pending.set(entry, { responseOffset, resolve, reject });
      this.#hold.ref();
      this.#scheduleKick();
    });
  }

  #scheduleKick(): void {
    if (this.#isKickDue) return;
    this.#isKickDue = true;
    setImmediate(() => {
      this.#isKickDue = false;
      if (this.#end !== undefined) return;
      try {
        this.#driver.publish();
        this.kick();
      } catch (error) {
        this.onBroken(error);
      }
      this.poll();
    });
  }

  #complete(entry: number, bytes: number): void {
    const pending = this.#pending.get(entry);
    if (pending === undefined) throw new Error(`nothing waits for entry ${entry}`);
    if (bytes < PF_RESPONSE_BYTES) {
      throw ringViolation('response', `an answer of ${bytes} bytes`);
    }
    const copy = this.window.slice(
      pending.responseOffset,
      pending.responseOffset + PF_RESPONSE_BYTES,
    );
    this.#pending.delete(entry);
    if (this.#pending.size === 0) this.#hold.unref();
    pending.resolve(parseReply(new DataView(copy), bytes - PF_RESPONSE_BYTES));
  }

  #assertAlive(): void {
    if (this.#end !== undefined) throw this.#end;
  }
}

function parseReply(view: DataView, written: number): Reply {
  return {
    status: view.getUint32(0, true),
    detail: view.getUint32(OFFSET_pf_response_detail, true),
    values: Array.from({ length: valueCount }, (_, index) =>
      Number(view.getBigUint64(OFFSET_pf_response_value + 8 * index, true)),
    ),
    written,
  };
}
