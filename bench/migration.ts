/**
 * What: the end-to-end rate of a paused guest: two processes, real mirrors, lanes on loopback. The
 * guest's RAM is random, so no codec and no zero page makes it less; memory is touched before the
 * clock runs, on both sides.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import {
  FRAME_BYTES_MAX,
  openDestinationGuest,
  openSourceGuest,
  openTransport,
  runDestination,
  runSource,
  type CodecName,
  type EngineName,
  type Guest,
  type MigrationReport,
  type SessionEvent,
  type SessionOptions,
} from '../src/index.js';
import { PEER_TIMEOUT_MS_DEFAULT, WINDOW_BYTES_DEFAULT } from '../src/limits.js';
import { withParameters } from './address.js';
import { dropProtection } from './unprotected.js';

export interface MigrationCase {
  readonly engine: EngineName;
  readonly lanes: number;
  readonly vcpus: number;
  readonly codec: CodecName;
  readonly ramBytes: number;
  /** Where the destination listens, as an address; default: a free port of TCP. */
  readonly place?: string;
  /** Whether records are kept until acknowledged; default true. See unprotected.ts. */
  readonly isProtected?: boolean;
}

export interface MigrationRates extends MigrationCase {
  /** Plain bytes of guest RAM per second of the rounds. */
  readonly bytesPerSecond: number;
  readonly wireBytesPerSecond: number;
  /** Processor time of both processes from the first round on, user and system. */
  readonly cpuSeconds: number;
  readonly plainBytes: number;
  /** Peak resident memory of each process, less the guest's RAM. */
  readonly sourcePeakBytes: number;
  readonly destinationPeakBytes: number;
}

interface Given {
  readonly options: MigrationCase;
  readonly secret: string;
}

type Told =
  | { readonly address: string }
  | { readonly report: Pick<MigrationReport, 'outcome' | 'error'>; readonly cpuSeconds: number };

/** Processor time of this process from the first round on. */
class RoundsCpu {
  #start: NodeJS.CpuUsage | undefined;

  note(event: SessionEvent): void {
    if (event.type === 'state' && event.state === 'precopy') this.#start ??= process.cpuUsage();
  }

  get seconds(): number {
    if (this.#start === undefined) return 0;
    const { user, system } = process.cpuUsage(this.#start);
    return (user + system) / 1e6;
  }
}

const placeOf = ({ place }: MigrationCase): URL => new URL(place ?? 'tcp://127.0.0.1:0');

function sessionOptions({ options, secret }: Given): Omit<SessionOptions, 'laneSource'> {
  return {
    transport: placeOf(options).protocol.slice(0, -1),
    secret: Buffer.from(secret, 'hex'),
    engine: options.engine,
    vcpus: options.vcpus,
    windowBytes: WINDOW_BYTES_DEFAULT,
    peerTimeoutMs: PEER_TIMEOUT_MS_DEFAULT,
  };
}

const guestUrl = ({ engine, ramBytes }: MigrationCase): URL =>
  new URL(`demo:?ram=${ramBytes}&content=random&fill=100%25&dirtyRate=0&backend=${engine}`);

async function prefault(guest: Guest): Promise<void> {
  for (const { memory } of guest.blocks) await memory.prefault();
}

/** The destination's process: tells its address, then how it ended. */
async function receive(given: Given): Promise<void> {
  const tell = (told: Told): void => void process.send?.(told);
  const place = placeOf(given.options);
  const transport = await openTransport(place);
  const cpu = new RoundsCpu();
  let guest: Guest | undefined;
  const { outcome, error } = await runDestination({
    ...sessionOptions(given),
    laneSource: {
      mode: 'listen',
      listen: (onLane) => transport.listen(place, { maxFrameBytes: FRAME_BYTES_MAX }, onLane),
    },
    openGuest: async (layout) => {
      guest = await openDestinationGuest(new URL(`demo:?backend=${given.options.engine}`), layout);
      await prefault(guest);
      return guest;
    },
    recordDecision: () => Promise.resolve(),
    onEvent: (event) => {
      cpu.note(event);
      if (event.type === 'listening') tell({ address: event.address });
    },
  });
  const report = { outcome, ...(error === undefined ? {} : { error }) };
  tell({ report, cpuSeconds: cpu.seconds });
  await guest?.close();
}

async function told(child: ChildProcess): Promise<Told> {
  const ended = once(child, 'exit').then(() => {
    throw new Error('the destination of the bench ended early');
  });
  const [message] = (await Promise.race([once(child, 'message'), ended])) as [Told];
  ended.catch(() => undefined);
  return message;
}

async function send(
  given: Given,
  guest: Guest,
  address: string,
  cpu: RoundsCpu,
): Promise<MigrationReport> {
  const { options } = given;
  const transport = await openTransport(new URL(address));
  return runSource({
    ...sessionOptions(given),
    guest,
    laneSource: {
      mode: 'dial',
      lanes: options.lanes,
      address,
      dial: (signal) =>
        transport.dial(new URL(address), { signal, maxFrameBytes: FRAME_BYTES_MAX }),
    },
    codec: options.codec,
    level: 0,
    padBytes: 0,
    downtimeLimitMs: 300,
    maxEpochs: 30,
    verify: false,
    onEvent: (event) => {
      cpu.note(event);
    },
  });
}

/** Migrates one paused guest of `ramBytes` and gives the rate of its rounds. */
export async function measureMigration(options: MigrationCase): Promise<MigrationRates> {
  const given: Given = { options, secret: Buffer.alloc(32, 7).toString('hex') };
  const guest = await openSourceGuest(guestUrl(options));
  const child = fork(fileURLToPath(import.meta.url), ['--receive', JSON.stringify(given)]);
  try {
    await guest.pause();
    const first = await told(child);
    if (!('address' in first)) throw new Error(`no address: ${JSON.stringify(first)}`);
    const cpu = new RoundsCpu();
    const ended = told(child);
    ended.catch(() => undefined);
    const address = withParameters(first.address, placeOf(options).href);
    const restore = options.isProtected === false ? dropProtection() : undefined;
    const report = await send(given, guest, address, cpu).finally(() => restore?.());
    const sourceCpuSeconds = cpu.seconds;
    if (report.outcome !== 'completed') {
      throw new Error(`the migration ${report.outcome}: ${report.error?.message ?? ''}`);
    }
    const last = await ended;
    const cpuSeconds = sourceCpuSeconds + ('cpuSeconds' in last ? last.cpuSeconds : NaN);
    const peakBytes = (peak: number | null): number => (peak ?? NaN) - options.ramBytes;
    const seconds = report.rounds.reduce((sum, { durationMs }) => sum + durationMs, 0) / 1000;
    return {
      ...options,
      bytesPerSecond: report.plainBytes / seconds,
      wireBytesPerSecond: report.wireBytes / seconds,
      cpuSeconds,
      plainBytes: report.plainBytes,
      sourcePeakBytes: peakBytes(report.peakRssBytes.source),
      destinationPeakBytes: peakBytes(report.peakRssBytes.destination),
    };
  } finally {
    child.kill();
    await guest.close();
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url) && process.argv[2] === '--receive') {
  const given = JSON.parse(process.argv[3] ?? '') as Given;
  if (given.options.isProtected === false) dropProtection();
  await receive(given);
}
