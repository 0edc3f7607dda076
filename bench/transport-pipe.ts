/**
 * What: how fast 1 MiB pieces cross a transport between two processes: over its bare pipe (the
 * package as it is used by hand) and over our lanes. The receiving process is a fork of the module
 * that has the pipe's ends; it measures from its first byte to its last.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import { transportFor } from '../src/transport/registry.js';
import { DelayProxy } from '../test/support/delay-proxy.js';
import { withParameters } from './address.js';
import { Meter, ringSink } from './tcp-bare.js';
import type { Received } from './tcp-bare.js';

export interface TransportPipeOptions {
  /** `bare`: the package by hand; `default`: the same with its default settings. */
  readonly pipe: 'bare' | 'default' | 'lane';
  readonly lanes: number;
  /** Bytes of all lanes together. */
  readonly totalBytes: number;
  readonly chunkBytes: number;
  /** Who sends: the side that dials, or the side that listens. */
  readonly sender: 'dialer' | 'listener';
  /**
   * Of a delay proxy in between, where one side listens at a port. 0: the proxy without a delay;
   * absent: no proxy.
   */
  readonly roundTripMs?: number;
  /** Where to listen, as an address. */
  readonly place: string;
}

export interface TransportPipeResult extends TransportPipeOptions {
  readonly bytesPerSecond: number;
  /** Processor time of the receiving process, user and system. */
  readonly receiverCpuSeconds: number;
  readonly senderCpuSeconds: number;
  readonly receiverPeakRssBytes: number;
  readonly senderPeakRssBytes: number;
}

/** One side of a bare pipe: sends `pieces` chunks on each lane, or counts what comes. */
export interface Task {
  readonly options: TransportPipeOptions;
  readonly pieces: number;
  readonly meter: Meter | undefined;
}

export interface PipeEnds {
  /** Resolves with the address to dial. */
  listen(task: Task): Promise<string>;
  /** Opens one lane; resolves when its part is done, with what closes it. */
  dial(address: string, task: Task): Promise<() => void>;
}

const lanesAsEnds: PipeEnds = {
  async listen(task) {
    const { transport, url } = await transportFor(task.options.place);
    const limits = { maxFrameBytes: task.options.chunkBytes };
    const listener = await transport.listen(url, limits, (lane) => {
      lane.receive(ringSink(task.meter ?? new Meter(1, () => undefined), limits.maxFrameBytes));
      if (task.meter === undefined) void push(task, (chunk) => lane.send([chunk]));
    });
    return listener.address;
  },
  async dial(address, task) {
    const { transport, url } = await transportFor(address);
    const limits = { maxFrameBytes: task.options.chunkBytes };
    const lane = await transport.dial(url, limits);
    lane.receive(ringSink(task.meter ?? new Meter(1, () => undefined), limits.maxFrameBytes));
    if (task.meter === undefined) await push(task, (chunk) => lane.send([chunk]));
    return () => {
      lane.abort();
    };
  },
};

/** Gives all pieces to `send`, one after the other. */
export async function push(
  task: Task,
  send: (chunk: Buffer) => Promise<unknown> | undefined,
): Promise<void> {
  const chunk = Buffer.alloc(task.options.chunkBytes, 0x5a);
  for (let piece = 0; piece < task.pieces; piece += 1) await send(chunk);
}

function piecesOf({ totalBytes, lanes, chunkBytes }: TransportPipeOptions): number {
  return Math.ceil(totalBytes / lanes / chunkBytes);
}

function endsFor(options: TransportPipeOptions, bare: PipeEnds): PipeEnds {
  return options.pipe === 'lane' ? lanesAsEnds : bare;
}

/** In the forked process: the listening side; tells its address, then what it received. */
export async function runListener(json: string, bare: PipeEnds): Promise<void> {
  const options = JSON.parse(json) as TransportPipeOptions;
  const total = piecesOf(options) * options.lanes * options.chunkBytes;
  const meter =
    options.sender === 'dialer'
      ? new Meter(total, (received) => process.send?.({ received }))
      : undefined;
  const task = { options, pieces: piecesOf(options), meter };
  const address = await endsFor(options, bare).listen(task);
  process.send?.({ address: withParameters(address, options.place) });
}

async function message<T>(child: ReturnType<typeof fork>): Promise<T> {
  const [value] = (await once(child, 'message')) as [T];
  return value;
}

/** The address through a proxy that delays; only for those with a port. */
async function delayed(address: string, roundTripMs: number): Promise<[string, DelayProxy]> {
  const url = new URL(address);
  const proxy = await DelayProxy.start(Number(url.port), roundTripMs);
  url.port = String(proxy.port);
  return [url.href, proxy];
}

/** Measures one pipe. `module` is the bench module whose fork runs `runListener`. */
export async function measureTransportPipe(
  module: string,
  options: TransportPipeOptions,
  bare: PipeEnds,
): Promise<TransportPipeResult> {
  const child = fork(fileURLToPath(module), ['--listen', JSON.stringify(options)]);
  const total = piecesOf(options) * options.lanes * options.chunkBytes;
  let proxy: DelayProxy | undefined;
  try {
    let { address } = await message<{ address: string }>(child);
    if (options.roundTripMs !== undefined) {
      [address, proxy] = await delayed(address, options.roundTripMs);
    }
    let counted: (received: Received) => void = () => undefined;
    const isReceiver = options.sender === 'listener';
    const arrived = isReceiver
      ? new Promise<Received>((resolve) => {
          counted = resolve;
        })
      : message<{ received: Received }>(child).then(({ received }) => received);
    const meter = isReceiver ? new Meter(total, counted) : undefined;
    const task = { options, pieces: piecesOf(options), meter };
    const cpu = process.cpuUsage();
    const dialed = Array.from({ length: options.lanes }, () =>
      endsFor(options, bare).dial(address, task),
    );
    const received = await arrived;
    const { user, system } = process.cpuUsage(cpu);
    for (const stop of await Promise.all(dialed)) stop();
    return {
      ...options,
      bytesPerSecond: received.bytes / received.seconds,
      receiverCpuSeconds: received.cpuSeconds,
      senderCpuSeconds: (user + system) / 1e6,
      receiverPeakRssBytes: received.peakRssBytes,
      senderPeakRssBytes: process.resourceUsage().maxRSS * 1024,
    };
  } finally {
    await proxy?.close();
    child.kill();
  }
}

/** One line for eyes. */
export function pipeLine(result: TransportPipeResult): string {
  const { pipe, lanes, sender, roundTripMs, bytesPerSecond } = result;
  const rate = `${(bytesPerSecond / 1e6).toFixed(1)} MB/s`;
  const line = roundTripMs === undefined ? 'loopback' : `${roundTripMs} ms round trip`;
  const rss = `${(result.receiverPeakRssBytes / 1024 / 1024).toFixed(0)} MiB`;
  const sent = `sender ${result.senderCpuSeconds.toFixed(2)} s`;
  const cpu = `${sent}, receiver ${result.receiverCpuSeconds.toFixed(2)} s, ${rss}`;
  return `${pipe.padEnd(8)} ${lanes} lanes  ${sender} sends  ${line}  ${rate}  ${cpu}`;
}
