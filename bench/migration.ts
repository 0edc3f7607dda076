/**
 * What: the end-to-end rate of a paused guest: two processes, real mirrors, lanes over TCP on
 * loopback. The guest's RAM is random, so no codec and no zero page makes it less; memory is
 * touched before the clock runs, on both sides.
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
  type SessionOptions,
} from '../src/index.js';
import { PEER_TIMEOUT_MS_DEFAULT, WINDOW_BYTES_DEFAULT } from '../src/limits.js';

export interface MigrationCase {
  readonly engine: EngineName;
  readonly lanes: number;
  readonly vcpus: number;
  readonly codec: CodecName;
  readonly ramBytes: number;
}

export interface MigrationRates extends MigrationCase {
  /** Plain bytes of guest RAM per second of the rounds. */
  readonly bytesPerSecond: number;
  readonly wireBytesPerSecond: number;
}

interface Given {
  readonly options: MigrationCase;
  readonly secret: string;
}

type Told =
  { readonly address: string } | { readonly report: Pick<MigrationReport, 'outcome' | 'error'> };

function sessionOptions({ options, secret }: Given): Omit<SessionOptions, 'laneSource'> {
  return {
    transport: 'tcp',
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
  const tcp = await openTransport(new URL('tcp://127.0.0.1:0'));
  let guest: Guest | undefined;
  const { outcome, error } = await runDestination({
    ...sessionOptions(given),
    laneSource: {
      mode: 'listen',
      listen: (onLane) =>
        tcp.listen(new URL('tcp://127.0.0.1:0'), { maxFrameBytes: FRAME_BYTES_MAX }, onLane),
    },
    openGuest: async (layout) => {
      guest = await openDestinationGuest(new URL(`demo:?backend=${given.options.engine}`), layout);
      await prefault(guest);
      return guest;
    },
    recordDecision: () => Promise.resolve(),
    onEvent: (event) => {
      if (event.type === 'listening') tell({ address: event.address });
    },
  });
  tell({ report: { outcome, ...(error === undefined ? {} : { error }) } });
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

async function send(given: Given, guest: Guest, address: string): Promise<MigrationReport> {
  const { options } = given;
  const tcp = await openTransport(new URL(address));
  return runSource({
    ...sessionOptions(given),
    guest,
    laneSource: {
      mode: 'dial',
      lanes: options.lanes,
      address,
      dial: (signal) => tcp.dial(new URL(address), { signal, maxFrameBytes: FRAME_BYTES_MAX }),
    },
    codec: options.codec,
    level: 0,
    padBytes: 0,
    downtimeLimitMs: 300,
    maxEpochs: 30,
    verify: false,
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
    const report = await send(given, guest, first.address);
    if (report.outcome !== 'completed') {
      throw new Error(`the migration ${report.outcome}: ${report.error?.message ?? ''}`);
    }
    const seconds = report.rounds.reduce((sum, { durationMs }) => sum + durationMs, 0) / 1000;
    return {
      ...options,
      bytesPerSecond: report.plainBytes / seconds,
      wireBytesPerSecond: report.wireBytes / seconds,
    };
  } finally {
    child.kill();
    await guest.close();
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url) && process.argv[2] === '--receive') {
  await receive(JSON.parse(process.argv[3] ?? '') as Given);
}
