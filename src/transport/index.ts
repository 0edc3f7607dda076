/** What: the package's entry `pageferry/transport`: all that a transport of one's own needs. */
export * from './contract.js';
export * from './base/index.js';
export { loadTransportPlugin, registerTransport, transportFor } from './registry.js';
export { AbortError, ConfigurationError, TransportError } from '../errors.js';
export type { TransportPhase } from '../errors.js';
export { defaultLaneCount } from './lane-count.js';
