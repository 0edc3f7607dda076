/** What: asks whoever listens by that name for a lane, and waits until it is taken. */
import { abortError, defaultDialLimitMs, laneError } from '../../src/transport/base/index.js';
import type { Lane, OpenOptions } from '../../src/transport/contract.js';
import type { BrokerAddress } from './address.js';
import { reachKey } from './broker.js';
import { brokerError } from './errors.js';
import { encodeKnock, listenerKeys, newLaneId } from './keys.js';
import { RedisLane } from './lane.js';
import { windowOf } from './limits.js';

/** Rejects with TransportError (phase dial), ConfigurationError, or AbortError. */
export async function dialRedis(address: BrokerAddress, options: OpenOptions): Promise<Lane> {
  const { signal, maxFrameBytes, timeoutMs = defaultDialLimitMs } = options;
  if (signal?.aborted) throw abortError(signal);
  const lane = new RedisLane({
    address,
    lane: newLaneId(),
    role: 'dialer',
    maxFrameBytes,
    signal,
  });
  // The end of a lane that was never given to anybody is told by this rejection.
  const stop = new AbortController();
  const timer = setTimeout(() => {
    const message = `cannot dial ${address.shown}: no answer within ${timeoutMs} ms`;
    stop.abort(laneError('TIMEOUT', message, { phase: 'dial', retryable: true }));
  }, timeoutMs);
  const onAbort = (): void => {
    if (signal !== undefined) stop.abort(abortError(signal));
  };
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    await knock(lane, address, maxFrameBytes, stop.signal);
    return lane;
  } catch (error) {
    lane.abort();
    await lane.close();
    throw stop.signal.aborted ? (stop.signal.reason as Error) : error;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
  }
}

async function knock(
  lane: RedisLane,
  address: BrokerAddress,
  maxFrameBytes: number,
  signal: AbortSignal,
): Promise<void> {
  const { knocks } = listenerKeys(address.name);
  const broker = await reachKey(address, knocks, { signal });
  try {
    // Looked up first, so that a dial before there is a listener costs little.
    const isThere = await broker.call('EXISTS', knocks);
    if (isThere !== 1) throw nobody(address);
    await lane.open({ signal });
    const words = encodeKnock({ lane: lane.id, windowBytes: windowOf(maxFrameBytes) });
    const id = await broker.call('XADD', knocks, 'NOMKSTREAM', '*', ...words);
    if (!Buffer.isBuffer(id)) throw nobody(address);
    await Promise.race([lane.taken, aborted(signal), lane.over]);
    if (lane.status === 'closed') throw nobody(address);
  } catch (error) {
    throw brokerError(error, 'dial', `dial ${address.shown}`);
  } finally {
    broker.close();
  }
}

function nobody(address: BrokerAddress): Error {
  const message = `cannot dial ${address.shown}: nobody listens by that name`;
  return laneError('REFUSED', message, { phase: 'dial', retryable: true });
}

/** Rejects when `signal` fires. */
function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const fire = (): void => {
      reject(signal.reason as Error);
    };
    if (signal.aborted) fire();
    else signal.addEventListener('abort', fire, { once: true });
  });
}
