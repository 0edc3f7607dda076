/**
 * What: commands on the vCPU they belong to, alone or shared, with the window's message area and
 * the mirror's end.
 * Order of locks: the message area first, then the device's gate.
 */
import { HelperError, type MirrorError } from '../errors.js';
import { SLOT_BYTES } from '../limits.js';
import { PF_STATUS_OK } from '../native/abi.generated.js';
import type { NativeMirror, NativeMirrorEvent } from '../native/addon.js';
import { ringViolation } from '../ring/errors.js';
import { Gate } from './gate.js';
import type { WindowLayout } from './layout.js';
import { type Command, type Part, type Reply, VcpuQueue } from './queue.js';
import { eventError, ringDeath, statusError } from './status.js';

export interface MessageCommand {
  readonly command: number;
  readonly flags?: number;
  readonly args?: readonly number[];
  /** Copied one after the other into the message area. */
  readonly input?: readonly Uint8Array[];
  /** The command writes output. */
  readonly hasOutput?: boolean;
  /** The command needs the device to itself. */
  readonly isAlone?: boolean;
  /** Statuses that are answers and no refusals. */
  readonly accepts?: readonly number[];
  /** Nothing of the input stays in the window. */
  readonly isSecret?: boolean;
}

export interface MessageReply extends Reply {
  /** A copy of the output. */
  readonly output: Uint8Array;
}

/** The reply when its status is OK or among `accepts`; throws what the status means otherwise. */
export function accept(reply: Reply, accepts: readonly number[] = []): Reply {
  if (reply.status === PF_STATUS_OK || accepts.includes(reply.status)) return reply;
  throw statusError(reply.status, reply.detail, reply.values[0]);
}

/** A value of the reply that is a count. */
export function valueOf(reply: Reply, index: number): number {
  const value = reply.values[index];
  if (value === undefined || !Number.isSafeInteger(value)) {
    const details = { status: reply.status, detail: reply.detail };
    throw new HelperError('ERR_PAGEFERRY_HELPER_VALUE', `value ${index} is no count`, details);
  }
  return value;
}

export class Commander {
  /** Settles when the mirror dies on its own. */
  readonly died: Promise<Error>;
  readonly #queues: VcpuQueue[];
  readonly #gate = new Gate();
  readonly #area = new Gate();
  #settleDied: (error: Error) => void = () => undefined;
  #end: Error | undefined;

  constructor(
    private readonly native: NativeMirror,
    private readonly layout: WindowLayout,
    vcpus: number,
    private readonly onEnd: (error: Error) => void,
  ) {
    this.died = new Promise((resolve) => {
      this.#settleDied = resolve;
    });
    const { window, windowGpa } = native;
    this.#queues = Array.from({ length: vcpus }, (_, vcpu) => {
      const kick = (): void => {
        native.kick(vcpu);
      };
      const onBroken = (cause: unknown): void => {
        this.#die(ringDeath(vcpu, cause));
      };
      return new VcpuQueue(vcpu, window, windowGpa, layout, kick, onBroken);
    });
  }

  get vcpus(): number {
    return this.#queues.length;
  }

  /** Dead or closed: the addon's mirror is not to be touched any more. */
  get isEnded(): boolean {
    return this.#end !== undefined;
  }

  /** What the addon reports: null for a halt. */
  onEvent(vcpu: number, event: NativeMirrorEvent | null): void {
    if (event === null) this.#queues[vcpu]?.poll();
    else this.#die(eventError(vcpu, event));
  }

  /** A command of vCPU 0 without input or output. */
  plain(command: Command): Promise<Reply> {
    return this.alone((run) => run(command));
  }

  /** Runs `work` while no other command is under way; commands of its own go through `run`. */
  alone<Result>(
    work: (run: (command: Command) => Promise<Reply>) => Promise<Result>,
  ): Promise<Result> {
    return this.#gate.alone(() => {
      if (this.#end !== undefined) throw this.#end;
      return work(async (command) => accept(await this.#runOn(this.#first, () => command)));
    });
  }

  /** A command of vCPU 0 with its input and output in the message area. */
  message(command: MessageCommand): Promise<MessageReply> {
    return this.#area.alone(() => {
      const run = (): Promise<MessageReply> => this.#runMessage(command);
      return command.isAlone === true ? this.#gate.alone(run) : this.#gate.shared(run);
    });
  }

  /** A command on the vCPU with the least to do, together with others; undefined: none built. */
  work(build: (listOffset: number) => Command | undefined): Promise<Reply | undefined> {
    return this.#gate.shared(() => {
      const queue = this.#queues.reduce((a, b) => (b.load < a.load ? b : a), this.#first);
      return queue.run(build);
    });
  }

  /** Rejects everything pending and to come with `error`. */
  end(error: Error): void {
    if (this.#end !== undefined) return;
    this.#end = error;
    for (const queue of this.#queues) queue.end(error);
    this.onEnd(error);
  }

  /** For an answer that contradicts itself on an otherwise sound ring. */
  broken(message: string): MirrorError {
    const error = ringDeath(0, ringViolation('response', message));
    this.#die(error);
    return error;
  }

  get #first(): VcpuQueue {
    const queue = this.#queues[0];
    if (queue === undefined) throw new Error('a mirror has at least one vCPU');
    return queue;
  }

  async #runOn(queue: VcpuQueue, build: () => Command): Promise<Reply> {
    const reply = await queue.run(build);
    if (reply === undefined) throw new Error('the command was built, so there is a reply');
    return reply;
  }

  async #runMessage(command: MessageCommand): Promise<MessageReply> {
    if (this.#end !== undefined) throw this.#end;
    const input = this.#write(command.input ?? []);
    const output = { offset: this.layout.messageOutput, bytes: SLOT_BYTES };
    const { command: number, flags = 0, args = [], hasOutput = false } = command;
    const whole = { command: number, flags, args, input, ...(hasOutput ? { output } : {}) };
    try {
      const reply = accept(await this.#runOn(this.#first, () => whole), command.accepts);
      return { ...reply, output: this.#read(output, reply) };
    } finally {
      if (command.isSecret === true) {
        new Uint8Array(this.native.window, input.offset, input.bytes).fill(0);
      }
    }
  }

  #write(pieces: readonly Uint8Array[]): Part {
    const offset = this.layout.messageInput;
    const bytes = pieces.reduce((sum, piece) => sum + piece.byteLength, 0);
    if (bytes > SLOT_BYTES) {
      const details = { status: 0, detail: 0 };
      const message = `${bytes} bytes of input, ${SLOT_BYTES} fit`;
      throw new HelperError('ERR_PAGEFERRY_HELPER_INPUT', message, details);
    }
    const area = new Uint8Array(this.native.window, offset, bytes);
    let at = 0;
    for (const piece of pieces) {
      area.set(piece, at);
      at += piece.byteLength;
    }
    return { offset, bytes };
  }

  #read(output: Part, reply: Reply): Uint8Array {
    const bytes = reply.status === PF_STATUS_OK ? reply.written : 0;
    return new Uint8Array(this.native.window.slice(output.offset, output.offset + bytes));
  }

  #die(error: MirrorError): void {
    if (this.#end !== undefined) return;
    this.end(error);
    this.#settleDied(error);
  }
}
