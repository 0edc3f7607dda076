/**
 * What: one attempt of the dialing side to open a lane: dial, greet, for a session's first lane
 * the handshake, join. Where it fails the lane is over, and the helper is free, when it rejects.
 */
import { randomBytes } from 'node:crypto';

import { ProtocolError, TransportError } from '../errors.js';
import type { Lane } from '../transport/contract.js';
import { handshakeContext } from '../wire/context.js';
import { encodeFrame } from '../wire/frames.js';
import type { HelloReply } from '../wire/generated/frames_pb.js';
import { LANE_NONCE_BYTES, PROTOCOL_VERSION_MAX, PROTOCOL_VERSION_MIN } from '../wire/limits.js';
import type { Entrance } from './entrance.js';
import { product, runSteps } from './entrance.js';
import {
  checkJoin,
  checkPeerRole,
  expectClear,
  expectJoin,
  firstStep,
  goodbyeFrame,
  otherRole,
  roleNumbers,
  sendJoin,
  shakeHands,
} from './greeting.js';
import { GOODBYE_TIMEOUT_MS } from './limits.js';
import { closingError, SessionLane } from './session-lane.js';

/** Whether doing it again on a new lane can help: the lane failed, and nobody refused anything. */
export function isBrokenLane(error: unknown): boolean {
  if (!(error instanceof TransportError) || !error.retryable) return false;
  return error.code !== 'ERR_PAGEFERRY_REFUSED';
}

export class DialAttempt {
  /** There was a lane to begin with. */
  hasBegun = false;
  /** The peer may have taken the join, and with it the session, even where this attempt fails. */
  mayBeJoined = false;
  /** Ends dial and lane alike; never fires once the lane has joined. */
  readonly #giveUp = new AbortController();

  constructor(
    private readonly entrance: Entrance,
    private readonly number: number,
    /** A first lane agrees on the session; others belong to it. */
    private readonly isFirst: boolean,
  ) {}

  get signal(): AbortSignal {
    return this.#giveUp.signal;
  }

  /** Greets and joins on a lane that was dialed; it is the session's when this resolves. */
  async open(dialed: Lane, timeoutMs: number): Promise<SessionLane> {
    const { life, lanes } = this.entrance;
    this.hasBegun = true;
    const lane = new SessionLane(dialed, life.clock);
    lane.number = this.number;
    try {
      const steps = this.#greet(lane);
      await runSteps(this.entrance, lane, steps, 'did not let the lane join', timeoutMs);
      lanes.add(lane);
      return lane;
    } catch (error) {
      await this.#leave(lane, error as Error);
      throw error;
    }
  }

  /** Ends it where it stands: dial and `open` reject. Not for a lane that has joined. */
  abort(): void {
    this.#giveUp.abort(closingError());
  }

  async #greet(lane: SessionLane): Promise<void> {
    const { mirror, role, machine } = this.entrance;
    const hello = {
      versionMin: PROTOCOL_VERSION_MIN,
      versionMax: PROTOCOL_VERSION_MAX,
      role: roleNumbers[role],
      session: this.isFirst ? new Uint8Array(0) : mirror.sessionId,
      lane: lane.number,
      product,
    };
    await lane.send([encodeFrame('hello', hello)], true);
    const reply = await expectClear(lane, 'hello-reply');
    checkVersion(reply);
    checkPeerRole(role, reply.role);
    if (this.isFirst) {
      machine.fire('greeted');
      const listener = otherRole(role);
      const context = handshakeContext({
        ...hello,
        version: reply.version,
        dialer: role,
        listener,
      });
      const first = role === 'destination' ? await firstStep(lane) : undefined;
      await shakeHands(mirror, lane, context, first);
    }
    await this.#join(lane);
  }

  async #join(lane: SessionLane): Promise<void> {
    const { mirror } = this.entrance;
    const nonce = randomBytes(LANE_NONCE_BYTES);
    const join = { session: mirror.sessionId, lane: lane.number, nonce, accept: false };
    this.mayBeJoined = true;
    await sendJoin(mirror, lane, join);
    checkJoin(await expectJoin(mirror, lane), { ...join, accept: true });
  }

  /** Tells the peer why, where it can still be told. */
  async #leave(lane: SessionLane, error: Error): Promise<void> {
    if (!lane.isOpen) return;
    lane.post(goodbyeFrame(error));
    const cancel = this.entrance.life.clock.after(GOODBYE_TIMEOUT_MS, () => {
      lane.abort(error);
    });
    await lane.close();
    cancel();
  }
}

function checkVersion(reply: HelloReply): void {
  if (reply.version >= PROTOCOL_VERSION_MIN && reply.version <= PROTOCOL_VERSION_MAX) return;
  const expected = `${PROTOCOL_VERSION_MIN} to ${PROTOCOL_VERSION_MAX}`;
  throw new ProtocolError(
    'ERR_PAGEFERRY_VERSION',
    `the peer chose protocol version ${reply.version}, this side speaks ${expected}`,
    { field: 'version', expected, received: String(reply.version) },
  );
}
