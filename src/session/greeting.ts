/**
 * What: what both ends of a new lane have in common: reading greetings, the handshake between the
 * helpers, and the join that binds a lane to the session. Who dialed is one question, who is the
 * source another; both meet here.
 */
import { AbortError, IntegrityError, ProtocolError, TransportError } from '../errors.js';
import type { Mirror } from '../mirror/contract.js';
import type { WireLaneJoin } from '../wire/control.js';
import { decodeLaneJoin, encodeLaneJoin } from '../wire/control.js';
import type { ClearFrame, ClearKind } from '../wire/frames.js';
import { encodeFrame } from '../wire/frames.js';
import { PeerRole, Refusal } from '../wire/generated/frames_pb.js';
import { REASON_CHARACTERS_MAX } from '../wire/limits.js';
import { badField, printable } from '../wire/problem.js';
import { isSecretMismatch, secretError } from './refusal.js';
import type { SessionLane } from './session-lane.js';
import { unexpectedGreeting } from './session-lane.js';
import type { Role } from './types.js';

export const roleNumbers: Readonly<Record<Role, PeerRole>> = {
  source: PeerRole.SOURCE,
  destination: PeerRole.DESTINATION,
};

export function otherRole(role: Role): Role {
  return role === 'source' ? 'destination' : 'source';
}

/** Checks that the peer has the other role; both sides of a lane do. */
export function checkPeerRole(own: Role, claimed: PeerRole): void {
  if (claimed === roleNumbers[otherRole(own)]) return;
  if (claimed === roleNumbers[own]) {
    throw new ProtocolError(
      'ERR_PAGEFERRY_ROLE',
      `the peer is a ${own} too: one side has to send and the other to receive`,
      { field: 'role', expected: otherRole(own), received: own },
    );
  }
  throw badField('role', otherRole(own), claimed);
}

const refusalCodes: readonly (readonly [string, Refusal])[] = [
  ['ERR_PAGEFERRY_VERSION', Refusal.VERSION],
  ['ERR_PAGEFERRY_ROLE', Refusal.ROLE],
  ['ERR_PAGEFERRY_SECRET', Refusal.SECRET],
  ['ERR_PAGEFERRY_BUSY', Refusal.BUSY],
  ['ERR_PAGEFERRY_UNKNOWN_SESSION', Refusal.UNKNOWN_SESSION],
  ['ERR_PAGEFERRY_CLOSING', Refusal.CLOSING],
];

/** The Goodbye that tells a peer why it is refused. */
export function goodbyeFrame(error: { code?: unknown; message: string }): Uint8Array {
  const known = refusalCodes.find(([code]) => code === error.code);
  const message = printable(error.message, REASON_CHARACTERS_MAX);
  return encodeFrame('goodbye', { code: known?.[1] ?? Refusal.PROTOCOL, message });
}

/** What a peer's Goodbye means to the side that is being refused. */
export function refusedByPeer(goodbye: { code: Refusal; message: string }): Error {
  const said = printable(goodbye.message, REASON_CHARACTERS_MAX);
  const known = refusalCodes.find(([, refusal]) => refusal === goodbye.code)?.[0];
  switch (goodbye.code) {
    case Refusal.SECRET:
      return secretError(new Error('the peer said so'));
    case Refusal.ROLE:
    case Refusal.VERSION: {
      const code = known === 'ERR_PAGEFERRY_ROLE' ? known : 'ERR_PAGEFERRY_VERSION';
      const details = { field: 'hello', expected: 'one that fits', received: 'ours' };
      return new ProtocolError(code, `the peer refused us: ${said}`, details);
    }
    case Refusal.CLOSING:
      return new AbortError('ERR_PAGEFERRY_PEER_ABORTED', `the peer has stopped: ${said}`);
    case Refusal.BUSY:
    case Refusal.UNKNOWN_SESSION:
    case Refusal.PROTOCOL:
    case Refusal.UNSPECIFIED:
      return new TransportError('ERR_PAGEFERRY_REFUSED', `the peer refused us: ${said}`, {
        phase: 'dial',
        retryable: goodbye.code === Refusal.BUSY,
      });
  }
}

type ClearMessage<Kind extends ClearKind> = Extract<ClearFrame, { kind: Kind }>['message'];

/** The next greeting in the clear, which has to be of this kind. */
export async function expectClear<Kind extends ClearKind>(
  lane: SessionLane,
  kind: Kind,
): Promise<ClearMessage<Kind>> {
  const greeting = await lane.nextGreeting();
  if (greeting.kind === kind) return greeting.message as ClearMessage<Kind>;
  if (greeting.kind === 'goodbye') throw refusedByPeer(greeting.message);
  throw unexpectedGreeting(kind, greeting.kind);
}

async function expectStep(lane: SessionLane, step: number): Promise<Uint8Array> {
  const { step: received, message } = await expectClear(lane, 'handshake');
  if (received !== step) throw badField('handshake step', `${step}`, received);
  return message;
}

function sendStep(lane: SessionLane, step: number, message: Uint8Array): Promise<void> {
  return lane.send([encodeFrame('handshake', { step, message })], true);
}

/** The first message of the handshake, for the destination; before anything is promised to it. */
export function firstStep(lane: SessionLane): Promise<Uint8Array> {
  return expectStep(lane, 1);
}

/** The three messages between the helpers. The helper has to be fresh, with the secret set. */
export async function shakeHands(
  mirror: Mirror,
  lane: SessionLane,
  context: Uint8Array,
  /** Destination: what firstStep gave. Source: nothing. */
  first: Uint8Array | undefined,
): Promise<void> {
  try {
    if (first === undefined) {
      await sendStep(lane, 1, await mirror.handshakeInitiate(context));
      await sendStep(lane, 3, await mirror.handshakeFinish(await expectStep(lane, 2)));
    } else {
      await sendStep(lane, 2, await mirror.handshakeRespond(context, first));
      await mirror.handshakeConfirm(await expectStep(lane, 3));
    }
  } catch (error) {
    throw isSecretMismatch(error) ? secretError(error) : error;
  }
}

/** The next greeting, opened by the helper as the lane join it has to be. */
export async function expectJoin(mirror: Mirror, lane: SessionLane): Promise<WireLaneJoin> {
  const greeting = await lane.nextGreeting();
  if (greeting.kind === 'goodbye') throw refusedByPeer(greeting.message);
  if (greeting.kind !== 'record') throw unexpectedGreeting('a lane record', greeting.kind);
  const opened = await mirror.openMessage(greeting.bytes);
  if (opened.outcome !== 'opened' || opened.kind !== 'lane') {
    const message = 'the lane join was sealed for another purpose or comes again';
    throw new IntegrityError('ERR_PAGEFERRY_LANE_JOIN', message);
  }
  return decodeLaneJoin(opened.bytes);
}

export async function sendJoin(
  mirror: Mirror,
  lane: SessionLane,
  join: WireLaneJoin,
): Promise<void> {
  const sealed = await mirror.sealMessage('lane', encodeLaneJoin(join));
  await lane.send([sealed.bytes], true);
}

/** Refuses a join (or its answer) that is not for this session, lane and nonce. */
export function checkJoin(join: WireLaneJoin, expected: WireLaneJoin): void {
  const matches =
    Buffer.compare(join.session, expected.session) === 0 &&
    Buffer.compare(join.nonce, expected.nonce) === 0 &&
    join.lane === expected.lane &&
    join.accept === expected.accept;
  if (matches) return;
  const message = 'the lane join is for another lane or session';
  throw new IntegrityError('ERR_PAGEFERRY_LANE_JOIN', message);
}
