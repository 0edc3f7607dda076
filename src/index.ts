/**
 * What: the public API. Sending and receiving guests, the registries of transports, keys, errors
 * and the types of all of it. What is not exported here may change at any time.
 *
 *     import { openSourceGuest, openTransport, readKeyFile, runSource } from 'pageferry';
 *
 * examples/migrate.ts shows a whole migration.
 */

/** Migration: both resolve with a report, also when they fail; `signal` in their options aborts. */
export { FRAME_BYTES_MAX, runDestination, runSource } from './parts.js';
export type {
  DestinationOptions,
  ConvergenceReport,
  DowntimeParts,
  LaneSource,
  MigrationReport,
  MigrationStatus,
  ProgressReport,
  Role,
  RoundReport,
  SessionEvent,
  SessionOptions,
  SessionState,
  SourceOptions,
} from './session/types.js';
export type { CodecName, EngineName } from './mirror/contract.js';

/** Steering a running migration: a handle for its options, and its socket for other processes. */
export { SessionControl } from './session/session-control.js';
export { stallPolicies } from './session/settings.js';
export type { SessionSettings, StallPolicy } from './session/settings.js';
export { ControlServer } from './control/server.js';
export { ask, findSessions, pickSession } from './control/client.js';

/** Guests: opened by URL; whoever opened one closes it. */
export { openDestinationGuest, openSourceGuest } from './parts.js';
export type {
  DirtyTracker,
  Guest,
  GuestActivity,
  GuestLayout,
  GuestProvider,
  GuestState,
  RamBlock,
  SelfCheck,
} from './guest/contract.js';

/** Transports: built-in ones load when their scheme is used; plugins add schemes. */
export { openTransport } from './parts.js';
export { loadTransportPlugin, registerTransport, TransportRegistry } from './transport/registry.js';
export { TRANSPORT_CONTRACT_VERSION } from './transport/contract.js';
export type {
  FrameSink,
  Lane,
  LaneCounters,
  LaneStatus,
  Listener,
  OpenOptions,
  Transport,
  TransportCapabilities,
  TransportFactory,
} from './transport/contract.js';

/** Keys: made once, read safely, wiped by the caller. */
export { generateKeyFile, readKey, readKeyDescriptor, readKeyFile } from './keys/index.js';
export { KEY_BYTES_MAX, KEY_BYTES_MIN, KEY_VARIABLE } from './keys/index.js';
export type { KeyKind, KeySource } from './keys/index.js';

/** Errors: one base class with a stable `code`. */
export {
  AbortError,
  ConfigurationError,
  errorCode,
  errorMessage,
  HelperError,
  IntegrityError,
  KvmError,
  MirrorError,
  PageferryError,
  ProtocolError,
  RingError,
  StateError,
  TransportError,
} from './errors.js';
export type { ErrorCode, TransportPhase } from './errors.js';
