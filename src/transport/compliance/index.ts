/**
 * What: the suite every transport has to pass, this project's and anybody's own. It registers mocha
 * tests; import it in a test file and call `transportCompliance` once per transport:
 *
 *     import { transportCompliance } from 'pageferry/transport-compliance';
 *     transportCompliance({ name: 'mine', create: async () => target });
 *
 * Optional hooks of the target add tests for what not every transport has. The environment variable
 * PAGEFERRY_COMPLIANCE_CYCLES sets the number of open and close cycles, COMPLIANCE_SEED the seed.
 */
import type { Duplex } from 'node:stream';

import type { Transport } from '../contract.js';
import { abortTests } from './aborts.js';
import { endTests } from './ends.js';
import { flowTests } from './flow.js';
import { frameTests } from './frames.js';
import { Harness } from './harness.js';
import { cyclesDefault, leakTests } from './leaks.js';
import { openTests } from './opening.js';
import { passerByTests } from './passers-by.js';
import { strangerTests } from './strangers.js';

/** What is tested, and what the suite may do with it. Loopback addresses only, please. */
export interface ComplianceTarget {
  readonly transport: Transport;
  /** An address to listen at; a fresh or a wildcard one (such as port 0) for every call. */
  listenAddress(): URL;
  /**
   * What a peer dials to reach a listener at `address`, where that takes more than the address:
   * credentials, for instance. Default: the address itself.
   */
  readonly dialAddress?: (address: string) => URL;
  /** An address of this host where nobody listens. */
  readonly refusedAddress?: () => Promise<URL>;
  /** An address whose host name does not resolve. */
  readonly unresolvableAddress?: () => URL;
  /** An address that never answers a dial; `release` frees it. */
  readonly silentAddress?: () => Promise<SilentAddress>;
  /**
   * A raw byte stream to a listener's address. Only for transports whose byte stream is that of
   * base/framing.ts from the first byte on.
   */
  readonly openStranger?: (address: URL) => Promise<Duplex>;
  /**
   * A bare connection to a listener's address by somebody who knows nothing of the transport and
   * has none of its credentials.
   */
  readonly openPasserBy?: (address: URL) => Promise<Duplex>;
  /** Called when the suite is done. */
  readonly close?: () => Promise<void>;
}

type Body = (this: { timeout(ms: number): unknown }) => Promise<void>;

/** An address that takes no notice of those who dial it. */
export interface SilentAddress {
  readonly address: URL;
  readonly release: () => Promise<void>;
}

/** The part of mocha's interface the suite uses. */
export interface TestGlobals {
  readonly describe: (name: string, body: () => void) => unknown;
  readonly it: (name: string, body: Body) => unknown;
  readonly before: (body: () => Promise<void>) => unknown;
  readonly after: (body: () => Promise<void>) => unknown;
  readonly afterEach: (body: () => Promise<void>) => unknown;
}

export interface ComplianceOptions {
  /** Appears in the names of the tests. */
  readonly name: string;
  create(): Promise<ComplianceTarget>;
  /** Hooks of the target that exist, since tests are registered before it is created. */
  readonly hooks?: readonly ComplianceHook[];
  /**
   * Cycles of open and close that may leave nothing behind; default 1000. For further runs of a
   * transport's suite in other surroundings, where each cycle is slow.
   */
  readonly cycles?: number;
  /** Default: mocha's own globals. */
  readonly globals?: TestGlobals;
}

export type ComplianceHook =
  'refusedAddress' | 'unresolvableAddress' | 'silentAddress' | 'openStranger' | 'openPasserBy';

/** Registers the suite. */
export function transportCompliance(options: ComplianceOptions): void {
  const globals = options.globals ?? globalThis;
  const harness = new Harness(globals, new Set(options.hooks));
  globals.describe(`transport ${options.name}`, () => {
    globals.before(async () => {
      harness.use(await options.create());
    });
    globals.afterEach(() => harness.cleanUp());
    globals.after(() => harness.close());
    openTests(harness);
    frameTests(harness);
    flowTests(harness);
    endTests(harness);
    abortTests(harness);
    strangerTests(harness);
    passerByTests(harness);
    leakTests(harness, options.cycles ?? cyclesDefault);
  });
}
