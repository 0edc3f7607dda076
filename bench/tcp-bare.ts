/**
 * What: how fast 1 MiB pieces cross TCP on loopback between two processes: over bare sockets of
 * Node (default sockets, `data` events), the same piece again and again; the same with all of RAM
 * as it has to cross, from memory into memory; and over our lanes, into a ring of fixed buffers.
 * The receiving process measures, from its first byte to its last.
 *
 * Run it alone with `node dist/bench/tcp-bare.js [--bytes N] [--lanes N] [--runs N] [--json]`.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { defaultRegistry } from '../src/transport/registry.js';
import type { FrameSink, Lane } from '../src/transport/contract.js';

export type Pipe = 'bare' | 'memory' | 'lane';

export interface PipeOptions {
  readonly pipe: Pipe;
  /** Connections at once. */
  readonly lanes: number;
  /** Bytes of all lanes together. */
  readonly totalBytes: number;
  readonly chunkBytes: number;
}

export interface PipeResult {
  readonly pipe: Pipe;
  readonly lanes: number;
  readonly chunkBytes: number;
  readonly bytesPerSecond: number;
  /** Processor time of the receiving process, user and system. */
  readonly receiverCpuSeconds: number;
  readonly receiverPeakRssBytes: number;
}

/** Buffers of each lane's ring at the receiver. */
const ringBuffers = 8;

export interface Received {
  readonly bytes: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly peakRssBytes: number;
}

/** Counts what arrives; `wanted` bytes make the measurement complete. */
export class Meter {
  #bytes = 0;
  #startNs = 0n;
  #startCpu = process.cpuUsage();
  readonly #wanted: number;
  readonly #complete: (received: Received) => void;

  constructor(wanted: number, complete: (received: Received) => void) {
    this.#wanted = wanted;
    this.#complete = complete;
  }

  begin(): void {
    if (this.#startNs !== 0n) return;
    this.#startNs = process.hrtime.bigint();
    this.#startCpu = process.cpuUsage();
  }

  add(bytes: number): void {
    this.begin();
    this.#bytes += bytes;
    if (this.#bytes !== this.#wanted) return;
    const cpu = process.cpuUsage(this.#startCpu);
    this.#complete({
      bytes: this.#bytes,
      seconds: Number(process.hrtime.bigint() - this.#startNs) / 1e9,
      cpuSeconds: (cpu.user + cpu.system) / 1e6,
      peakRssBytes: process.resourceUsage().maxRSS * 1024,
    });
  }
}

/** A sink that takes frames into a ring of fixed buffers and counts them. */
export function ringSink(meter: Meter, chunkBytes: number): FrameSink {
  const ring = Array.from({ length: ringBuffers }, () => Buffer.alloc(chunkBytes, 1));
  let next = 0;
  return {
    reserve() {
      meter.begin();
      next = (next + 1) % ringBuffers;
      return ring[next] ?? Buffer.alloc(chunkBytes);
    },
    deliver(_buffer, bytes) {
      meter.add(bytes);
    },
    ended() {
      // The measurement ends with an abort; a loss before that shows as a missing result.
    },
  };
}

/** The receiving process: listens, tells the port, tells the result. */
async function receive(options: PipeOptions): Promise<void> {
  const meter = new Meter(options.totalBytes, (received) => process.send?.({ received }));
  let address: string;
  if (options.pipe !== 'lane') {
    const memory = options.pipe === 'memory' ? Buffer.alloc(options.totalBytes, 1) : undefined;
    let at = 0;
    const server = createServer((socket) => {
      socket.on('data', (chunk) => {
        at += memory === undefined ? 0 : chunk.copy(memory, at);
        meter.add(chunk.byteLength);
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    address = `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`;
  } else {
    const transport = await defaultRegistry.forScheme('tcp');
    const limits = { maxFrameBytes: options.chunkBytes };
    const listener = await transport.listen(new URL('tcp://127.0.0.1:0'), limits, (lane) => {
      lane.receive(ringSink(meter, options.chunkBytes));
    });
    address = listener.address;
  }
  process.send?.({ address });
}

type Piece = (number: number) => Buffer;

async function sendBare(address: URL, pieces: number, pieceOf: Piece): Promise<() => void> {
  const socket: Socket = connect({ host: address.hostname, port: Number(address.port) });
  await once(socket, 'connect');
  for (let piece = 0; piece < pieces; piece += 1) {
    if (!socket.write(pieceOf(piece))) await once(socket, 'drain');
  }
  return () => socket.destroy();
}

async function sendLane(address: URL, pieces: number, pieceOf: Piece): Promise<() => void> {
  const chunk = pieceOf(0);
  const transport = await defaultRegistry.forScheme('tcp');
  const lane: Lane = await transport.dial(address, { maxFrameBytes: chunk.byteLength });
  lane.receive(ringSink(new Meter(1, () => undefined), 1));
  for (let piece = 0; piece < pieces; piece += 1) await lane.send([chunk]);
  return () => {
    lane.abort();
  };
}

async function message<T>(child: ReturnType<typeof fork>): Promise<T> {
  const [value] = (await once(child, 'message')) as [T];
  return value;
}

/** Starts a receiving process, sends `totalBytes` to it and reports its figures. */
export async function measurePipe(options: PipeOptions): Promise<PipeResult> {
  const { pipe, lanes, chunkBytes } = options;
  const pieces = Math.ceil(options.totalBytes / lanes / chunkBytes);
  const exact: PipeOptions = { ...options, totalBytes: pieces * lanes * chunkBytes };
  const child = fork(fileURLToPath(import.meta.url), ['--receive', JSON.stringify(exact)]);
  try {
    const { address } = await message<{ address: string }>(child);
    const arrived = message<{ received: Received }>(child);
    const memory = Buffer.alloc(pipe === 'memory' ? exact.totalBytes : chunkBytes, 0x5a);
    const perLane = pipe === 'memory' ? pieces : 0;
    const send = pipe === 'lane' ? sendLane : sendBare;
    const senders = Array.from({ length: lanes }, (_, lane) => {
      const pieceOf = (piece: number): Buffer => {
        const first = (lane * perLane + (pipe === 'memory' ? piece : 0)) * chunkBytes;
        return memory.subarray(first, first + chunkBytes);
      };
      return send(new URL(address), pieces, pieceOf);
    });
    const { received } = await arrived;
    for (const stop of await Promise.all(senders)) stop();
    return {
      pipe,
      lanes,
      chunkBytes,
      bytesPerSecond: received.bytes / received.seconds,
      receiverCpuSeconds: received.cpuSeconds,
      receiverPeakRssBytes: received.peakRssBytes,
    };
  } finally {
    child.kill();
  }
}

function line(result: PipeResult): string {
  const rate = (result.bytesPerSecond / 1e9).toFixed(2);
  const rss = (result.receiverPeakRssBytes / 1024 / 1024).toFixed(0);
  const cpu = result.receiverCpuSeconds.toFixed(2);
  return `${result.pipe}  ${result.lanes} lanes  ${rate} GB/s  receiver ${cpu} s, ${rss} MiB`;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      receive: { type: 'string' },
      bytes: { type: 'string', default: String(4 * 1024 ** 3) },
      lanes: { type: 'string', default: '1' },
      runs: { type: 'string', default: '3' },
      json: { type: 'boolean', default: false },
    },
  });
  if (values.receive !== undefined) {
    await receive(JSON.parse(values.receive) as PipeOptions);
    return;
  }
  const results: PipeResult[] = [];
  for (let run = 0; run < Number(values.runs); run += 1) {
    for (const pipe of ['bare', 'memory', 'lane'] as const) {
      const shared = { lanes: Number(values.lanes), totalBytes: Number(values.bytes) };
      const result = await measurePipe({ pipe, chunkBytes: 1024 * 1024, ...shared });
      results.push(result);
      if (!values.json) console.log(line(result));
    }
  }
  if (values.json) console.log(JSON.stringify(results));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
