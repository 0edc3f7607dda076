/**
 * What: which transports there are. Built-in ones are loaded when their scheme is first used, so
 * that nobody pays for the packages of a transport that is not used; others are registered by the
 * library's user or loaded as plugins. The only file of src/ that reaches transports/.
 */
import { stat } from 'node:fs/promises';
import { isAbsolute, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

import { ConfigurationError } from '../errors.js';
import { parseAddress, schemeOf } from './base/address.js';
import { TRANSPORT_CONTRACT_VERSION } from './contract.js';
import type { Transport, TransportFactory } from './contract.js';

type Load = () => Promise<{ readonly default: TransportFactory }>;

const builtIn: Readonly<Record<string, Load>> = {
  grpc: () => import('../../transports/grpc/index.js'),
  grpcs: async () => ({ default: (await import('../../transports/grpc/index.js')).grpcs }),
  memory: () => import('../../transports/memory/index.js'),
  redis: () => import('../../transports/redis/index.js'),
  'redis+unix': async () => ({
    default: (await import('../../transports/redis/index.js')).redisUnix,
  }),
  rediss: async () => ({ default: (await import('../../transports/redis/index.js')).rediss }),
  tcp: () => import('../../transports/tcp/index.js'),
  tls: () => import('../../transports/tls/index.js'),
  unix: () => import('../../transports/unix/index.js'),
};

const schemePattern = /^[a-z][a-z0-9+.-]*$/;
const openings: readonly string[] = ['listen-dial', 'both-dial'];

function pluginError(message: string, cause?: unknown): ConfigurationError {
  return new ConfigurationError('ERR_PAGEFERRY_TRANSPORT_PLUGIN', message, { cause });
}

/** What is wrong with what a factory made; undefined when nothing is. */
function problemOf(made: unknown): string | undefined {
  const transport = made as Partial<Transport> | null | undefined;
  if (typeof transport !== 'object' || transport === null) return 'the factory made no transport';
  const { contractVersion, scheme, capabilities } = transport;
  if (contractVersion !== TRANSPORT_CONTRACT_VERSION) {
    const built = String(contractVersion);
    return `it is built for contract version ${built}, this is ${TRANSPORT_CONTRACT_VERSION}`;
  }
  if (typeof scheme !== 'string' || !schemePattern.test(scheme)) {
    return `its scheme "${String(scheme)}" cannot stand in a URL`;
  }
  if (typeof transport.dial !== 'function' || typeof transport.listen !== 'function') {
    return 'it lacks dial or listen';
  }
  const { maxFrameBytes = 0, opening = '', defaultLanes = 0 } = capabilities ?? {};
  const sound =
    Number.isInteger(maxFrameBytes) &&
    maxFrameBytes > 0 &&
    Number.isInteger(defaultLanes) &&
    defaultLanes > 0 &&
    openings.includes(opening);
  return sound ? undefined : 'its capabilities are incomplete';
}

async function make(factory: unknown, from: string): Promise<Transport> {
  if (typeof factory !== 'function') throw pluginError(`${from} exports no transport factory`);
  let made: unknown;
  try {
    made = await (factory as TransportFactory)();
  } catch (error) {
    throw pluginError(`the transport factory of ${from} failed`, error);
  }
  const problem = problemOf(made);
  if (problem !== undefined) throw pluginError(`${from} is no usable transport: ${problem}`);
  return made as Transport;
}

export class TransportRegistry {
  /** Registered and loaded ones; a promise, so that two users at once load a scheme once. */
  readonly #transports = new Map<string, Promise<Transport>>();

  /** All schemes that can be used, sorted; loads nothing. */
  schemes(): readonly string[] {
    return [...new Set([...Object.keys(builtIn), ...this.#transports.keys()])].sort();
  }

  /**
   * Adds the transport `factory` makes and returns it. Throws ConfigurationError when it is built
   * for another contract or its scheme is taken; the registry is unchanged then.
   */
  async register(factory: TransportFactory, from = 'the given factory'): Promise<Transport> {
    const transport = await make(factory, from);
    if (this.schemes().includes(transport.scheme)) {
      throw pluginError(`there is a transport for ${transport.scheme}:// already`);
    }
    this.#transports.set(transport.scheme, Promise.resolve(transport));
    return transport;
  }

  /**
   * Loads a transport from a file (a path that begins with `/` or `.`, or that ends in .js, .mjs or
   * .cjs, seen from the working directory) or from a package, whose default export is the factory.
   */
  async loadPlugin(packageOrFile: string): Promise<Transport> {
    const specifier = await importable(packageOrFile);
    let loaded: { readonly default?: unknown };
    try {
      loaded = (await import(specifier)) as { readonly default?: unknown };
    } catch (error) {
      throw pluginError(`cannot load the transport plugin "${packageOrFile}"`, error);
    }
    return this.register(loaded.default as TransportFactory, `"${packageOrFile}"`);
  }

  /** The transport of a scheme, loaded when it was not. Throws ConfigurationError. */
  forScheme(scheme: string): Promise<Transport> {
    const known = this.#transports.get(scheme);
    if (known !== undefined) return known;
    const load = Object.hasOwn(builtIn, scheme) ? builtIn[scheme] : undefined;
    if (load === undefined) return Promise.reject(this.#unknown(scheme));
    const loading = load().then((module) => make(module.default, `the transport ${scheme}`));
    this.#transports.set(scheme, loading);
    // A failure to load is not remembered: it may have been want of memory.
    loading.catch(() => this.#transports.delete(scheme));
    return loading;
  }

  /** The transport of an address, and the address as URL. Throws ConfigurationError. */
  async forAddress(address: string): Promise<{ transport: Transport; url: URL }> {
    const url = parseAddress(address);
    return { transport: await this.forScheme(schemeOf(url)), url };
  }

  #unknown(scheme: string): ConfigurationError {
    const there = this.schemes()
      .map((name) => `${name}://`)
      .join(', ');
    return new ConfigurationError(
      'ERR_PAGEFERRY_TRANSPORT_SCHEME',
      `there is no transport for ${scheme}://: there are ${there}; a plugin can add one`,
    );
  }
}

async function importable(packageOrFile: string): Promise<string> {
  const isFile = /^\.|\.[cm]?js$/.test(packageOrFile) || isAbsolute(packageOrFile);
  if (!isFile) return packageOrFile;
  const path = resolve(packageOrFile);
  const found = await stat(path).then(
    (entry) => entry.isFile(),
    () => false,
  );
  if (!found) throw pluginError(`there is no transport plugin file ${path}`);
  return pathToFileURL(path).href;
}

/** The process's own registry: what the command line and the session use. */
export const defaultRegistry = new TransportRegistry();

/** Adds a transport to the process's registry; see TransportRegistry.register. */
export function registerTransport(factory: TransportFactory): Promise<Transport> {
  return defaultRegistry.register(factory);
}

/** Adds the transport of a package or file; see TransportRegistry.loadPlugin. */
export function loadTransportPlugin(packageOrFile: string): Promise<Transport> {
  return defaultRegistry.loadPlugin(packageOrFile);
}

/** The transport for an address such as "tcp://127.0.0.1:7700", and the address as URL. */
export function transportFor(address: string): Promise<{ transport: Transport; url: URL }> {
  return defaultRegistry.forAddress(address);
}
