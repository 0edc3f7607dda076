/** What: the parts a transport is built of. See docs/transports.md. */
export * from './address.js';
export { checkOpenOptions, abortError, laneError, systemError, tooMany } from './errors.js';
export { FrameReader, goodbyeMark, headBytes, prefixBytes } from './framing.js';
export { Inbox } from './inbox.js';
export { BaseLane, closeLimitMs } from './lane.js';
export type { LaneOptions } from './lane.js';
export {
  defaultDialLimitMs,
  dialNet,
  endedBeforeOpen,
  keepAliveDelayMs,
  opened,
} from './net-dial.js';
export type { NetDial, Opening } from './net-dial.js';
export { NetListener, bound, connectionLimit, listenNet, withReader } from './net-listen.js';
export type { NetListen, NetListenerOptions } from './net-listen.js';
export { ReusedMemory } from './reused-memory.js';
export type { Outgoing } from './send-queue.js';
export { addressParameters, withoutParameters } from './parameters.js';
export { StreamLane } from './stream-lane.js';
export type { StreamLaneOptions } from './stream-lane.js';
export { credentialsError, readCredentials } from './credentials.js';
export { TlsCredentials, parseTlsFiles, tlsParameterNames } from './tls-files.js';
export { pemParameterNames, readPemFiles } from './tls-pem.js';
export type { PemFiles } from './tls-pem.js';
export type { CertificateFiles, PskFiles, TlsFiles, TlsSecrets } from './tls-files.js';
