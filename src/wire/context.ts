/**
 * What: the handshake context: the negotiated parameters in canonical bytes, which both helpers
 * bind into the transcript. Hellos are sent in the clear; whoever changes one on the way makes the
 * two contexts differ, and the handshake fails.
 */

export type PeerRole = 'source' | 'destination';

export interface NegotiatedParameters {
  /** The dialer's range, as in its Hello. */
  readonly versionMin: number;
  readonly versionMax: number;
  /** The listener's choice, as in its HelloReply. */
  readonly version: number;
  readonly dialer: PeerRole;
  readonly listener: PeerRole;
}

const label = 'pageferry wire context\0';
const roleNumbers: Readonly<Record<PeerRole, number>> = { source: 1, destination: 2 };

/** The label, three le32 versions, one byte per role: dialer, listener. */
export function handshakeContext(parameters: NegotiatedParameters): Uint8Array {
  const context = Buffer.alloc(label.length + 14);
  let at = context.write(label, 'latin1');
  at = context.writeUInt32LE(parameters.versionMin, at);
  at = context.writeUInt32LE(parameters.versionMax, at);
  at = context.writeUInt32LE(parameters.version, at);
  at = context.writeUInt8(roleNumbers[parameters.dialer], at);
  context.writeUInt8(roleNumbers[parameters.listener], at);
  return context;
}
