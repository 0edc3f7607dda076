/**
 * What: the section `transports`: the same paused guest over each transport, next to our lanes
 * alone (frames as large as sealed records, no mirror) and next to the transport's bare pipe (raw
 * sockets, raw TLS, a raw gRPC stream, raw XADD and XREADGROUP), in the same run. And what a round
 * trip of 10 ms leaves of gRPC and TCP. Each rate is the best of its runs, which are taken in turn;
 * the other figures are of that run.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { loadAddon } from '../src/native/loader.js';
import {
  PF_PAGE_BYTES,
  PF_RECORD_DATA_PAGES_MAX,
  PF_RECORD_HEADER_BYTES,
  PF_RECORD_TAG_BYTES,
} from '../src/native/abi.generated.js';
import { bufferBytes } from '../test/support/delay-proxy.js';
import { RedisServer } from '../test/support/redis-server.js';
import { writePsk } from '../test/support/tls-lanes.js';
import type { Bench, Ratio } from './report.js';
import type { Row } from './table.js';
import { measureTransport, type Figures, type TransportCase } from './transport-case.js';

const MiB = 1024 * 1024;
const lanes = 2;
/** A list of one run of pages. */
const listBytes = 8;
/** As large as a sealed record of incompressible pages. */
const chunkBytes =
  PF_RECORD_HEADER_BYTES +
  listBytes +
  PF_RECORD_DATA_PAGES_MAX * PF_PAGE_BYTES +
  PF_RECORD_TAG_BYTES;
const roundTripMs = 10;

/** With codec none, of the bare pipe's rate. */
const goals: Readonly<Record<string, number>> = {
  tcp: 0.6,
  tls: 0.6,
  unix: 0.6,
  grpc: 0.75,
  redis: 0.75,
};

interface Planned {
  readonly transport: string;
  readonly what: string;
  readonly one: TransportCase;
  best?: Figures;
}

type Places = Readonly<Record<string, string>>;

function pipe(place: string, kind: 'bare' | 'default' | 'lane', more: object): TransportCase {
  const shared = { lanes, chunkBytes, sender: 'dialer', place, totalBytes: 0 } as const;
  return { what: 'pipe', ...shared, pipe: kind, ...more };
}

function planLoopback(places: Places, bytes: number): Planned[] {
  const engine = loadAddon().probe().kvm.usable ? 'kvm' : 'in-process';
  return Object.entries(places).flatMap(([transport, place]) => [
    { transport, what: 'bare pipe', one: pipe(place, 'bare', { totalBytes: bytes }) },
    { transport, what: 'lanes', one: pipe(place, 'lane', { totalBytes: bytes }) },
    {
      transport,
      what: `guest, ${engine}`,
      one: { what: 'migration', engine, lanes, ramBytes: bytes, place },
    },
  ]);
}

function planFar(places: Places, bytes: number): Planned[] {
  const { grpc = '', tcp = '' } = places;
  const far = { roundTripMs, lanes: 1, totalBytes: bytes / 8 };
  const near = { ...far, roundTripMs: 0 };
  return [
    {
      transport: 'grpc',
      what: `1 default channel, ${roundTripMs} ms`,
      one: pipe(grpc, 'default', { ...far, totalBytes: Math.max(8 * MiB, bytes / 128) }),
    },
    { transport: 'grpc', what: `1 lane, ${roundTripMs} ms`, one: pipe(grpc, 'lane', far) },
    { transport: 'tcp', what: '1 lane, proxy without delay', one: pipe(tcp, 'lane', near) },
    { transport: 'tcp', what: `1 lane, ${roundTripMs} ms`, one: pipe(tcp, 'lane', far) },
  ];
}

function rowOf({ transport, what, best }: Planned): Row {
  const megabytes = (bytes = NaN): number => Math.round(bytes / MiB);
  return {
    transport,
    what,
    'MB/s': Math.round((best?.bytesPerSecond ?? NaN) / 1e6),
    'CPU s/GB': best?.cpuSecondsPerGigabyte ?? NaN,
    'sender MiB': megabytes(best?.senderPeakBytes),
    'receiver MiB': megabytes(best?.receiverPeakBytes),
  };
}

function ratiosOf(all: readonly Planned[]): Ratio[] {
  const rate = (transport: string, what: string): number =>
    all.find((one) => one.transport === transport && one.what.startsWith(what))?.best
      ?.bytesPerSecond ?? NaN;
  const ratios: Ratio[] = [];
  for (const [transport, atLeast] of Object.entries(goals)) {
    const bare = rate(transport, 'bare pipe');
    for (const what of ['lanes', 'guest']) {
      const name = `${transport}: ${what} to bare pipe`;
      ratios.push({ name, value: rate(transport, what) / bare, atLeast, unit: 'x' });
    }
  }
  const held = `the proxy holds ${bufferBytes / MiB} MiB a direction`;
  return [
    ...ratios,
    {
      name: `grpc over ${roundTripMs} ms (${held}): a lane to one default channel`,
      value: rate('grpc', '1 lane') / rate('grpc', '1 default'),
      atLeast: 5,
      unit: 'x',
    },
    {
      name: `tcp over ${roundTripMs} ms (the same proxy): a lane to itself without delay`,
      value: rate('tcp', `1 lane, ${roundTripMs}`) / rate('tcp', '1 lane, proxy'),
      atLeast: 0.8,
      unit: 'x',
    },
  ];
}

/** Processor seconds of the broker so far. */
async function brokerSeconds(server: RedisServer): Promise<number> {
  const info = String(await server.command('INFO', 'cpu'));
  const of = (name: string): number => Number(new RegExp(`${name}:([\\d.]+)`).exec(info)?.[1]);
  return of('used_cpu_sys') + of('used_cpu_user');
}

/** One run, with what the broker did for it. */
async function run(planned: Planned, server: RedisServer): Promise<Figures> {
  if (planned.transport !== 'redis') return measureTransport(planned.one);
  const before = await brokerSeconds(server);
  const figures = await measureTransport(planned.one);
  const bytes = planned.one.what === 'pipe' ? planned.one.totalBytes : planned.one.ramBytes;
  const broker = ((await brokerSeconds(server)) - before) / (bytes / 1e9);
  return { ...figures, cpuSecondsPerGigabyte: figures.cpuSecondsPerGigabyte + broker };
}

export const benchTransports: Bench = async ({ quick, progress }) => {
  const directory = mkdtempSync(join(tmpdir(), 'pageferry-bench-'));
  const server = await RedisServer.start();
  try {
    const places: Places = {
      tcp: 'tcp://127.0.0.1:0',
      tls: `tls://127.0.0.1:0?psk=${writePsk(join(directory, 'lane.psk'))}`,
      unix: `unix://${join(directory, 'lane.sock')}`,
      grpc: 'grpc://127.0.0.1:0',
      redis: `redis://127.0.0.1:${server.port}?name=bench`,
    };
    const bytes = (quick ? 64 : 1024) * MiB;
    const all = [...planLoopback(places, bytes), ...planFar(places, bytes)];
    for (let round = 0; round < (quick ? 1 : 3); round += 1) {
      for (const planned of all) {
        progress(`${planned.transport}, ${planned.what}`);
        const figures = await run(planned, server);
        if (figures.bytesPerSecond > (planned.best?.bytesPerSecond ?? 0)) planned.best = figures;
      }
    }
    return {
      name:
        `transports: codec none, ${lanes} lanes on loopback, frames of ${chunkBytes} bytes; ` +
        `peaks of guests are above their RAM; CPU of both sides, and of the broker`,
      rows: all.map(rowOf),
      ratios: ratiosOf(all),
    };
  } finally {
    await server.stop();
    rmSync(directory, { recursive: true, force: true });
  }
};
