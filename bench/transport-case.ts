/**
 * What: one measurement of a transport in a process of its own (and a fork of that as the other
 * side), so that its processor time and peak memory are its own too.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import type { EngineName } from '../src/mirror/contract.js';
import { measureMigration } from './migration.js';
import { measureGrpcPipe } from './transport-grpc.js';
import { measureNetPipe } from './transport-net.js';
import type { TransportPipeOptions, TransportPipeResult } from './transport-pipe.js';
import { measureRedisPipe } from './transport-redis.js';

export type TransportCase =
  | ({ readonly what: 'pipe' } & TransportPipeOptions)
  | {
      readonly what: 'migration';
      readonly engine: EngineName;
      readonly lanes: number;
      readonly ramBytes: number;
      readonly place: string;
    };

export interface Figures {
  readonly bytesPerSecond: number;
  /** Of both processes together, user and system. */
  readonly cpuSecondsPerGigabyte: number;
  /** Peak resident memory of each process; less the guest's RAM where there is one. */
  readonly senderPeakBytes: number;
  readonly receiverPeakBytes: number;
}

function pipeResult(options: TransportPipeOptions): Promise<TransportPipeResult> {
  const scheme = new URL(options.place).protocol;
  if (scheme === 'grpc:') return measureGrpcPipe(options);
  return scheme === 'redis:' ? measureRedisPipe(options) : measureNetPipe(options);
}

async function measure(one: TransportCase): Promise<Figures> {
  if (one.what === 'pipe') {
    const result = await pipeResult(one);
    const cpuSeconds = result.receiverCpuSeconds + result.senderCpuSeconds;
    return {
      bytesPerSecond: result.bytesPerSecond,
      cpuSecondsPerGigabyte: cpuSeconds / (result.totalBytes / 1e9),
      senderPeakBytes: result.senderPeakRssBytes,
      receiverPeakBytes: result.receiverPeakRssBytes,
    };
  }
  const rates = await measureMigration({ ...one, vcpus: 1, codec: 'none' });
  return {
    bytesPerSecond: rates.bytesPerSecond,
    cpuSecondsPerGigabyte: rates.cpuSeconds / (rates.plainBytes / 1e9),
    senderPeakBytes: rates.sourcePeakBytes,
    receiverPeakBytes: rates.destinationPeakBytes,
  };
}

/** Measures in a process of its own. */
export async function measureTransport(one: TransportCase): Promise<Figures> {
  const child = fork(fileURLToPath(import.meta.url), ['--measure', JSON.stringify(one)]);
  let figures: Figures | undefined;
  child.on('message', (told: Figures) => {
    figures = told;
  });
  await once(child, 'exit');
  if (figures === undefined) throw new Error(`nothing measured: ${JSON.stringify(one)}`);
  return figures;
}

if (process.argv[1] === fileURLToPath(import.meta.url) && process.argv[2] === '--measure') {
  const figures = await measure(JSON.parse(process.argv[3] ?? '') as TransportCase);
  process.send?.(figures, () => process.exit(0));
}
