/** What: what the suite's tests share: pairs of lanes, sinks that collect, waiting, seeds. */
import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

import type { FrameSink, Lane, Listener, OpenOptions, Transport } from '../contract.js';
import type { ComplianceHook, ComplianceTarget, TestGlobals } from './index.js';

/** Frames of the suite's lanes; small enough to be tried at the limit often. */
export const suiteFrameBytes = 1024 * 1024;

/** How long a test waits for what must happen. */
const patienceMs = 30_000;

/** Fails a test with a plain Error: no assertion library is assumed. */
export function check(condition: boolean, claim: string): asserts condition {
  if (!condition) throw new Error(`not so: ${claim}`);
}

/** What `promise` rejects with. */
export async function rejection(promise: Promise<unknown>, claim: string): Promise<Error> {
  let value: unknown;
  try {
    value = await within(promise, claim);
  } catch (error) {
    if (error instanceof Error && !(error instanceof Impatience)) return error;
    throw error;
  }
  throw new Error(`not so: ${claim}: it resolved with ${String(value)}`);
}

class Impatience extends Error {}

/** `promise`, or an error that names what did not happen. */
export async function within<T>(promise: Promise<T>, claim: string): Promise<T> {
  const timer = new AbortController();
  const late = sleep(patienceMs, undefined, { signal: timer.signal }).then(
    () => {
      throw new Impatience(`did not happen within ${patienceMs} ms: ${claim}`);
    },
    () => new Promise<never>(() => undefined),
  );
  try {
    return await Promise.race([promise, late]);
  } finally {
    timer.abort();
  }
}

/** Waits until `condition` holds. */
export async function until(condition: () => boolean, claim: string): Promise<void> {
  const endMs = Date.now() + patienceMs;
  while (!condition()) {
    if (Date.now() > endMs) throw new Impatience(`did not happen: ${claim}`);
    await sleep(1);
  }
}

/** Long enough for what must not happen to happen. */
export function aWhile(): Promise<void> {
  return sleep(50);
}

export function describeError(error: unknown): string {
  const code = (error as { code?: string } | undefined)?.code ?? 'no code';
  return `${code} ${String(error)}`;
}

/** Checks a TransportError of any copy of the package by its fields. */
export function checkTransportError(
  error: unknown,
  want: { code?: string; phase?: string; retryable?: boolean },
): void {
  const { code, phase, retryable } = error as {
    code?: string;
    phase?: string;
    retryable?: boolean;
  };
  const fields = `phase ${phase ?? 'none'}, retryable ${retryable ?? 'none'}`;
  const shown = `${describeError(error)}, ${fields}`;
  const wanted = want.code === undefined ? undefined : `ERR_PAGEFERRY_TRANSPORT_${want.code}`;
  check(code?.startsWith('ERR_PAGEFERRY_') === true, `it is an error of ours: ${shown}`);
  check(wanted === undefined || code === wanted, `the code is ${wanted ?? ''}: ${shown}`);
  check(typeof phase === 'string', `it is a TransportError: ${shown}`);
  check(
    want.phase === undefined || phase === want.phase,
    `the phase is ${want.phase ?? ''}: ${shown}`,
  );
  check(
    want.retryable === undefined || retryable === want.retryable,
    `retryable is ${String(want.retryable)}: ${shown}`,
  );
}

/** A sink that keeps copies of its frames and counts what it has handed out. */
export class CollectingSink implements FrameSink {
  readonly frames: Buffer[] = [];
  readonly heads: Buffer[] = [];
  readonly reserved: number[] = [];
  endedCount = 0;
  endError: Error | undefined;
  unused: Uint8Array | undefined;
  #tellEnd: () => void = () => undefined;
  /** Settles when `ended` was called. */
  readonly end = new Promise<void>((resolve) => {
    this.#tellEnd = resolve;
  });

  /** Memory for one frame; a test may replace it. */
  give: (bytes: number) => Uint8Array | Promise<Uint8Array> = (bytes) => Buffer.alloc(bytes);

  reserve(bytes: number, head: Uint8Array): Uint8Array | Promise<Uint8Array> {
    this.reserved.push(bytes);
    this.heads.push(Buffer.from(head));
    return this.give(bytes);
  }

  deliver(buffer: Uint8Array, bytes: number): void {
    this.frames.push(Buffer.from(buffer.subarray(0, bytes)));
  }

  ended(error: Error | undefined, unused: Uint8Array | undefined): void {
    this.endedCount += 1;
    this.endError = error;
    this.unused = unused;
    this.#tellEnd();
  }
}

/** Memory for frames that is given only when the test says so. */
export class Gate {
  #open: () => void = () => undefined;
  readonly #opened = new Promise<void>((resolve) => {
    this.#open = resolve;
  });

  readonly give = async (bytes: number): Promise<Uint8Array> => {
    await this.#opened;
    return Buffer.alloc(bytes);
  };

  open(): void {
    this.#open();
  }
}

export interface End {
  readonly lane: Lane;
  readonly sink: CollectingSink;
}

export interface Pair {
  readonly dialed: End;
  readonly accepted: End;
}

/** A small generator of numbers that repeats with its seed (mulberry32). */
export class Random {
  readonly seed: number;
  #state: number;

  constructor(seed = Number(process.env['COMPLIANCE_SEED'] ?? randomInt(2 ** 31))) {
    this.seed = seed;
    this.#state = seed;
  }

  /** A whole number from 0 to `limit` - 1. */
  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit);
  }

  bytes(length: number): Buffer {
    const buffer = Buffer.alloc(length);
    for (let at = 0; at < length; at += 1) buffer[at] = this.below(256);
    return buffer;
  }
}

export class Harness {
  readonly globals: TestGlobals;
  readonly #hooks: ReadonlySet<ComplianceHook>;
  #target: ComplianceTarget | undefined;
  readonly #lanes: Lane[] = [];
  readonly #listeners: Listener[] = [];

  constructor(globals: TestGlobals, hooks: ReadonlySet<ComplianceHook>) {
    this.globals = globals;
    this.#hooks = hooks;
  }

  use(target: ComplianceTarget): void {
    this.#target = target;
  }

  get target(): ComplianceTarget {
    check(this.#target !== undefined, 'the target was created');
    return this.#target;
  }

  get transport(): Transport {
    return this.target.transport;
  }

  /** Registers a test. */
  it(name: string, body: () => Promise<void>): void {
    this.globals.it(name, body);
  }

  /** Registers a test when the target has the hook it needs. */
  itWith(hook: ComplianceHook, name: string, body: () => Promise<void>): void {
    if (this.#hooks.has(hook)) this.globals.it(name, body);
  }

  /** Listens at a fresh address; what is accepted goes to `onLane`. */
  async listen(
    onLane: (lane: Lane) => void,
    options: Partial<OpenOptions> = {},
    address = this.target.listenAddress(),
  ): Promise<Listener> {
    const limits = { maxFrameBytes: suiteFrameBytes, ...options };
    const keep = (lane: Lane): void => {
      this.#lanes.push(lane);
      onLane(lane);
    };
    const listening = this.transport.listen(address, limits, keep);
    const listener = await within(listening, 'the transport listens');
    this.#listeners.push(listener);
    return listener;
  }

  /** What a peer dials to reach the listener at `address`. */
  dialUrl(address: string): URL {
    return this.target.dialAddress?.(address) ?? new URL(address);
  }

  /** What listens at the very address of a listener again, with what its address does not tell. */
  listenUrl(address: string): URL {
    const url = new URL(address);
    for (const [name, value] of this.target.listenAddress().searchParams) {
      if (!url.searchParams.has(name)) url.searchParams.set(name, value);
    }
    return url;
  }

  async dial(address: string, options: Partial<OpenOptions> = {}): Promise<Lane> {
    const limits = { maxFrameBytes: suiteFrameBytes, ...options };
    const lane = await within(
      this.transport.dial(this.dialUrl(address), limits),
      'the dial succeeds',
    );
    this.#lanes.push(lane);
    return lane;
  }

  /** Two ends of a lane, both receiving. */
  async pair(
    dialing: Partial<OpenOptions> = {},
    accepting: Partial<OpenOptions> = {},
    sinks = { dialed: new CollectingSink(), accepted: new CollectingSink() },
  ): Promise<Pair> {
    let arrived: (lane: Lane) => void = () => undefined;
    const accepted = new Promise<Lane>((resolve) => {
      arrived = resolve;
    });
    const onLane = (lane: Lane): void => {
      lane.receive(sinks.accepted);
      arrived(lane);
    };
    const listener = await this.listen(onLane, accepting);
    const dialed = await this.dial(listener.address, dialing);
    dialed.receive(sinks.dialed);
    const lane = await within(accepted, 'the listener hands over the lane');
    await within(listener.close(), 'the listener closes');
    return {
      dialed: { lane: dialed, sink: sinks.dialed },
      accepted: { lane, sink: sinks.accepted },
    };
  }

  /** Frees what a test left. */
  async cleanUp(): Promise<void> {
    for (const lane of this.#lanes.splice(0)) lane.abort();
    for (const listener of this.#listeners.splice(0)) await listener.close();
  }

  async close(): Promise<void> {
    await this.#target?.close?.();
  }
}
