/** What: `--to`, `--from` and `--listen` as what the session opens its lanes with. */
import { availableParallelism } from 'node:os';

import { TransportError } from '../errors.js';
import type { LaneSource } from '../session/types.js';
import type { Lane, Transport } from '../transport/contract.js';
import { defaultLaneCount } from '../transport/lane-count.js';
import { delay } from './interruption.js';
import type { Parts } from './parts.js';
import { schemeOf } from './urls.js';
import { usageError } from './failure.js';

export interface LaneChoice {
  readonly dial?: URL | undefined;
  readonly listen?: URL | undefined;
  /** The names of the two options, for messages. */
  readonly dialName: string;
  readonly lanes?: number | undefined;
  /** Packages or files that add transports. */
  readonly plugins: readonly string[];
  /** Default: this machine's. */
  readonly cores?: number;
  /** How long the other side may take to begin listening, in milliseconds. */
  readonly timeoutMs: number;
}

export interface OpenedLanes {
  readonly source: LaneSource;
  readonly scheme: string;
  /** For people. */
  readonly text: string;
}

const firstPauseMs = 50;
const longestPauseMs = 1000;
/** The session gives up after the same time; the last dial's reason has to come before that. */
const marginMs = 1000;

/**
 * Dials; as long as nobody listens there yet, again, with growing pauses, until the time is up.
 * The two sides may then be started in any order.
 */
async function dialPatiently(
  dialOnce: (signal: AbortSignal) => Promise<Lane>,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Lane> {
  const deadline = performance.now() + timeoutMs - Math.min(marginMs, timeoutMs / 10);
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
    try {
      return await dialOnce(signal);
    } catch (error) {
      const canRetry = error instanceof TransportError && error.retryable && !signal.aborted;
      if (!canRetry || performance.now() + pauseMs > deadline) throw error;
    }
    await delay(pauseMs, signal);
  }
}

function dialing(parts: Parts, transport: Transport, choice: LaneChoice, url: URL): LaneSource {
  const { timeoutMs, cores = availableParallelism() } = choice;
  const { maxFrameBytes } = parts;
  const dialOnce = (signal: AbortSignal): Promise<Lane> =>
    transport.dial(url, { signal, timeoutMs, maxFrameBytes });
  return {
    mode: 'dial',
    lanes: choice.lanes ?? defaultLaneCount(transport.capabilities, cores),
    address: url.href,
    dial: (signal) => dialPatiently(dialOnce, timeoutMs, signal),
  };
}

/** Checks the choice and loads the transport; nothing is dialled or bound yet. */
export async function chooseLanes(parts: Parts, choice: LaneChoice): Promise<OpenedLanes> {
  const { dial, listen, dialName } = choice;
  for (const plugin of choice.plugins) await parts.loadPlugin(plugin);
  if (dial !== undefined && listen === undefined) {
    const source = dialing(parts, await parts.transport(dial), choice, dial);
    return { source, scheme: schemeOf(dial), text: `dials ${dial.href}` };
  }
  if (listen !== undefined && dial === undefined) {
    const transport = await parts.transport(listen);
    const { maxFrameBytes } = parts;
    const source: LaneSource = {
      mode: 'listen',
      listen: (onLane, onRefused) => transport.listen(listen, { maxFrameBytes, onRefused }, onLane),
    };
    return { source, scheme: schemeOf(listen), text: `listens at ${listen.href}` };
  }
  const which = dial === undefined ? 'one of' : 'only one of';
  throw usageError(`give ${which} ${dialName} URL and --listen URL`);
}
