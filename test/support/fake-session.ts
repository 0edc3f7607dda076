/**
 * A session that moves nothing, for tests of the command line around it: real processes, signals,
 * keys and lanes, but a guest that only counts and a "migration" of two frames. What happens is
 * said by the variable PAGEFERRY_TEST_SCENARIO. Run as a program, it is the command line on it.
 */
import { fileURLToPath } from 'node:url';

import type { Parts } from '../../src/cli/parts.js';
import { main } from '../../src/cli/program.js';
import { AbortError, IntegrityError, type ErrorCode } from '../../src/errors.js';
import type { Guest, GuestState } from '../../src/guest/contract.js';
import type { MigrationReport, Role, SessionOptions } from '../../src/session/types.js';
import type { Lane, Listener } from '../../src/transport/contract.js';
import { loadTransportPlugin, transportFor } from '../../src/transport/registry.js';
import { sampleReport, sampleRound, sessionId } from '../unit/observe/samples.js';

export type Scenario = 'completes' | 'never-ends' | 'wrong-key' | 'in-doubt' | 'source-crashes';

export const fakeCliFile = fileURLToPath(import.meta.url);
const scenario = (): Scenario =>
  (process.env['PAGEFERRY_TEST_SCENARIO'] ?? 'completes') as Scenario;

class FakeGuest {
  state: GuestState = 'running';
  private readonly started = Date.now();
  readonly activity = (): { ticks: number; longestGapMs: number } => ({
    ticks: 1000 + Date.now() - this.started,
    longestGapMs: 0,
  });
  selfCheck(): Promise<{ ok: boolean; pagesChecked: number; badPages: number }> {
    return Promise.resolve({ ok: true, pagesChecked: 1234, badPages: 0 });
  }
  close(): Promise<void> {
    this.state = 'closed';
    return Promise.resolve();
  }
}

const fakeGuest = (): Guest => new FakeGuest() as unknown as Guest;

/** Sends one frame and waits for one. */
async function exchange(lane: Lane, signal: AbortSignal | undefined): Promise<void> {
  const came = new Promise<void>((resolve, reject) => {
    lane.receive({
      reserve: (bytes) => Buffer.alloc(bytes),
      deliver: () => {
        resolve();
      },
      ended: (error) => {
        reject(error ?? new Error('the lane ended'));
      },
    });
    signal?.addEventListener('abort', () => {
      reject(signal.reason as Error);
    });
  });
  await lane.send([Buffer.from('hello')]);
  await came;
}

function report(role: Role, changes: Partial<MigrationReport> = {}): MigrationReport {
  const { verified, peakRssBytes } = sampleReport();
  return sampleReport({
    verified:
      role === 'source'
        ? { ...verified, guestSelfCheck: null, ticksBefore: 900, ticksAfter: null }
        : { ramDigestsEqual: null, guestSelfCheck: null, ticksBefore: null, ticksAfter: null },
    peakRssBytes: { ...peakRssBytes, [role === 'source' ? 'destination' : 'source']: null },
    guest: { role, state: role === 'source' ? 'paused' : 'running' },
    ...changes,
  });
}

function failure(role: Role, error: unknown): MigrationReport {
  const isAbort = error instanceof AbortError;
  const code: ErrorCode =
    error instanceof IntegrityError || isAbort ? error.code : 'ERR_PAGEFERRY_LANES_LOST';
  const told = { code, message: (error as Error).message };
  return report(role, {
    outcome: isAbort ? 'aborted' : 'failed',
    error: told,
    guest: { role, state: role === 'source' ? 'running' : 'gone' },
  });
}

async function openLane(options: SessionOptions): Promise<Lane> {
  const { laneSource, signal } = options;
  const never = new AbortController().signal;
  if (laneSource.mode === 'dial') return laneSource.dial(signal ?? never);
  let listener: Listener | undefined;
  try {
    return await new Promise((resolve, reject) => {
      signal?.addEventListener('abort', () => {
        reject(signal.reason as Error);
      });
      laneSource.listen(resolve).then((opened) => {
        listener = opened;
        options.onEvent?.({ type: 'listening', address: opened.address });
      }, reject);
    });
  } finally {
    await listener?.close();
  }
}

async function migrate(role: Role, options: SessionOptions): Promise<MigrationReport> {
  const { onEvent, signal } = options;
  onEvent?.({ type: 'state', role, state: 'connecting' });
  const lane = await openLane(options);
  try {
    await exchange(lane, signal);
    onEvent?.({ type: 'established', sessionId, ramBytes: 2 ** 29 });
    onEvent?.({ type: 'state', role, state: 'precopy' });
    if (role === 'source') {
      if (scenario() === 'source-crashes') process.kill(process.pid, 'SIGKILL');
      onEvent?.(sampleRound(1));
    }
    if (scenario() === 'wrong-key') {
      throw new IntegrityError('ERR_PAGEFERRY_SECRET', "the peer's key is another one");
    }
    if (scenario() === 'never-ends') {
      await new Promise((_resolve, reject) => {
        const timer = setInterval(() => undefined, 1000);
        signal?.addEventListener('abort', () => {
          clearInterval(timer);
          reject(signal.reason as Error);
        });
      });
    }
    if (scenario() === 'in-doubt' && role === 'source') {
      const error = { code: 'ERR_PAGEFERRY_IN_DOUBT', message: 'no answer to COMMIT' } as const;
      await lane.close();
      return report(role, { outcome: 'failed', error, guest: { role, state: 'paused' } });
    }
    onEvent?.({ type: 'state', role, state: 'completed' });
    await lane.close();
    return report(role);
  } catch (error) {
    lane.abort();
    throw error;
  }
}

export const fakeParts: Parts = {
  maxFrameBytes: 1024,
  loadPlugin: loadTransportPlugin,
  transport: async (url) => (await transportFor(url.href)).transport,
  openSource: () => Promise.resolve(fakeGuest()),
  openDestination: () => Promise.resolve(fakeGuest()),
  runSource: (options) =>
    migrate('source', options).catch((error: unknown) => failure('source', error)),
  runDestination: async (options) => {
    try {
      await options.openGuest({ kind: 'demo', blocks: [], description: '{}' });
      const ended = await migrate('destination', options);
      await options.recordDecision(sessionId, 'committed');
      return ended;
    } catch (error) {
      return failure('destination', error);
    }
  },
};

if (process.argv[1] === fakeCliFile) {
  await main(() => Promise.resolve(fakeParts));
}
