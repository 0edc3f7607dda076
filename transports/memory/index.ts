/**
 * What: lanes within one process, `memory://NAME`. The reference for every other transport: it
 * passes the same suite, without a system below it that could hide a mistake.
 */
import { TRANSPORT_CONTRACT_VERSION } from '../../src/transport/contract.js';
import type { Lane, Listener, OpenOptions, Transport } from '../../src/transport/contract.js';
import {
  abortError,
  addressError,
  checkOpenOptions,
  laneError,
} from '../../src/transport/base/index.js';
import { openPair } from './pair.js';

const capabilities = {
  duplex: true,
  ordered: true,
  durable: false,
  maxFrameBytes: 64 * 1024 * 1024,
  opening: 'listen-dial',
  defaultLanes: 1,
} as const;

interface Listening {
  readonly options: OpenOptions;
  readonly onLane: (lane: Lane) => void;
}

/** The NAME of `memory://NAME`. */
function nameOf(address: URL): string {
  const { hostname, port, pathname, search, hash, username, password } = address;
  const rest = `${port}${pathname}${search}${hash}${username}${password}`;
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(hostname) || rest !== '') {
    throw addressError(address, 'memory://NAME, of letters, digits, _ and -');
  }
  return hostname;
}

function checkSignal(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortError(signal);
}

class MemoryTransport implements Transport {
  readonly contractVersion = TRANSPORT_CONTRACT_VERSION;
  readonly scheme = 'memory';
  readonly capabilities = capabilities;
  readonly #listening = new Map<string, Listening>();

  async dial(address: URL, options: OpenOptions): Promise<Lane> {
    checkOpenOptions(options, capabilities);
    const name = nameOf(address);
    checkSignal(options.signal);
    // As over a network, the answer is never there at once.
    await Promise.resolve();
    checkSignal(options.signal);
    const listening = this.#listening.get(name);
    if (listening === undefined) {
      const message = `cannot dial memory://${name}: nobody listens there`;
      throw laneError('REFUSED', message, { phase: 'dial', retryable: true });
    }
    const [dialed, accepted] = openPair(name, options, listening.options);
    listening.onLane(accepted);
    return dialed;
  }

  async listen(
    address: URL,
    options: OpenOptions,
    onLane: (lane: Lane) => void,
  ): Promise<Listener> {
    checkOpenOptions(options, capabilities);
    const name = nameOf(address);
    checkSignal(options.signal);
    if (this.#listening.has(name)) {
      const message = `cannot listen at memory://${name}: the address is in use`;
      throw laneError('ADDRESS_IN_USE', message, { phase: 'listen' });
    }
    const listening = { options, onLane };
    this.#listening.set(name, listening);
    const stop = (): void => {
      options.signal?.removeEventListener('abort', stop);
      if (this.#listening.get(name) === listening) this.#listening.delete(name);
    };
    options.signal?.addEventListener('abort', stop, { once: true });
    await Promise.resolve();
    return {
      address: `memory://${name}`,
      close() {
        stop();
        return Promise.resolve();
      },
    };
  }
}

export default function memory(): Transport {
  return new MemoryTransport();
}
