/**
 * What: lets lanes in on the listening side. Strangers, wrong keys, wrong roles and garbage are
 * refused, each within bounded time and number, while it goes on waiting for the rightful peer.
 * The helper can be in one handshake at a time, so attempts take turns.
 */
import { ProtocolError, StateError, TransportError } from '../errors.js';
import type { Lane, Listener } from '../transport/contract.js';
import { handshakeContext } from '../wire/context.js';
import { encodeFrame } from '../wire/frames.js';
import type { Hello } from '../wire/generated/frames_pb.js';
import { LANES_MAX, PROTOCOL_VERSION_MAX, PROTOCOL_VERSION_MIN } from '../wire/limits.js';
import { badField } from '../wire/problem.js';
import { isBrokenLane } from './dial-attempt.js';
import type { Entrance } from './entrance.js';
import { product, resetHelper, runSteps } from './entrance.js';
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
import {
  GOODBYE_TIMEOUT_MS,
  HANDSHAKE_TIMEOUT_MS,
  JOIN_TIMEOUT_MS,
  UNJOINED_LANES_MAX,
} from './limits.js';
import { closingError, SessionLane } from './session-lane.js';
import type { LaneSource } from './types.js';

type ListenSource = Extract<LaneSource, { mode: 'listen' }>;

export class LaneListener {
  readonly #unjoined = new Set<SessionLane>();
  /** Those of them that have not said Hello, oldest first. */
  readonly #silent = new Set<SessionLane>();
  #listener: Listener | undefined;
  #isClosed = false;
  #isEstablished = false;
  /** The end of the queue of handshakes. */
  #turn: Promise<unknown> = Promise.resolve();
  #tellEstablished: () => void = () => undefined;

  constructor(
    private readonly entrance: Entrance,
    private readonly source: ListenSource,
  ) {}

  /**
   * Resolves when the first lane has joined; more may come any time. There is no limit to the
   * wait for a peer to come: that is what a listening side is for. Its signal ends it.
   */
  async open(): Promise<void> {
    const { life, events } = this.entrance;
    const established = new Promise<void>((resolve) => {
      this.#tellEstablished = resolve;
    });
    this.#listener = await this.source.listen(
      (lane) => {
        this.#admit(lane);
      },
      (remote, error) => {
        events.emit({ type: 'refused', remote, error });
      },
    );
    events.emit({ type: 'listening', address: this.#listener.address });
    await life.wait(established, { what: 'did not come', timeoutMs: undefined });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const lane of this.#unjoined) lane.abort(closingError());
    await this.#listener?.close();
    // A handshake that was under way has let go of the helper after this.
    await this.#turn;
  }

  #admit(lane: Lane): void {
    if (this.#unjoined.size >= UNJOINED_LANES_MAX) this.#makeRoom();
    if (this.#isClosed || this.#unjoined.size >= UNJOINED_LANES_MAX) {
      // Its frames go nowhere; the contract wants a receiver all the same.
      new SessionLane(lane, this.entrance.life.clock).abort(tooManyError());
      return;
    }
    const admitted = new SessionLane(lane, this.entrance.life.clock);
    this.#unjoined.add(admitted);
    this.#silent.add(admitted);
    this.#serve(admitted)
      .then(() => {
        this.#unjoined.delete(admitted);
      })
      .catch((error: unknown) => this.#refuse(admitted, error as Error));
  }

  /** Whoever only holds a connection keeps nobody out: the one that was silent longest goes. */
  #makeRoom(): void {
    const [longest] = this.#silent;
    if (longest === undefined) return;
    this.#silent.delete(longest);
    this.#unjoined.delete(longest);
    longest.abort(tooManyError());
  }

  async #serve(lane: SessionLane): Promise<void> {
    const greeting = this.#readHello(lane);
    const hello = await this.#steps(lane, greeting, 'did not greet', JOIN_TIMEOUT_MS);
    this.#silent.delete(lane);
    const reply = { version: PROTOCOL_VERSION_MAX, role: roleNumbers[this.entrance.role], product };
    if (hello.session.length > 0) {
      // The peer may have got through a handshake whose end this side has not looked at yet.
      await this.#turn;
      this.#checkSession(hello);
      await lane.send([encodeFrame('hello-reply', reply)], true);
      const join = this.#acceptJoin(lane);
      await this.#steps(lane, join, 'did not join', JOIN_TIMEOUT_MS);
      return;
    }
    this.#checkVacant();
    await lane.send([encodeFrame('hello-reply', reply)], true);
    const first =
      this.entrance.role === 'destination'
        ? await this.#steps(lane, firstStep(lane), 'did not begin', JOIN_TIMEOUT_MS)
        : undefined;
    await this.#takeTurn(() => this.#establish(lane, hello, first));
  }

  #steps<Value>(
    lane: SessionLane,
    steps: Promise<Value>,
    what: string,
    timeoutMs: number,
  ): Promise<Value> {
    const limitMs = Math.min(timeoutMs, this.entrance.peerTimeoutMs);
    return runSteps(this.entrance, lane, steps, what, limitMs);
  }

  async #readHello(lane: SessionLane): Promise<Hello> {
    const hello = await expectClear(lane, 'hello');
    if (hello.versionMin > PROTOCOL_VERSION_MAX || hello.versionMax < PROTOCOL_VERSION_MAX) {
      const received = `${hello.versionMin} to ${hello.versionMax}`;
      const expected = `${PROTOCOL_VERSION_MIN} to ${PROTOCOL_VERSION_MAX}`;
      throw new ProtocolError(
        'ERR_PAGEFERRY_VERSION',
        `the peer speaks protocol versions ${received}, this side ${expected}`,
        { field: 'version', expected, received },
      );
    }
    checkPeerRole(this.entrance.role, hello.role);
    if (hello.lane >= LANES_MAX) throw badField('lane number', `below ${LANES_MAX}`, hello.lane);
    lane.number = hello.lane;
    return hello;
  }

  #checkSession(hello: Hello): void {
    const own = this.#isEstablished ? this.entrance.mirror.sessionId : undefined;
    if (own !== undefined && Buffer.compare(hello.session, own) === 0) return;
    throw refusal('ERR_PAGEFERRY_UNKNOWN_SESSION', 'there is no such session here');
  }

  #checkVacant(): void {
    if (!this.#isEstablished) return;
    throw refusal('ERR_PAGEFERRY_BUSY', 'a session is under way here');
  }

  /** Runs `steps` after all that came before; how those ended does not matter. */
  #takeTurn(steps: () => Promise<void>): Promise<void> {
    const mine = this.#turn.then(steps);
    this.#turn = mine.catch(() => undefined);
    return mine;
  }

  /** Handshake and join of the first lane; the helper is as before when it fails. */
  async #establish(lane: SessionLane, hello: Hello, first: Uint8Array | undefined): Promise<void> {
    const { machine, role, mirror, life } = this.entrance;
    life.check();
    this.#checkVacant();
    if (!lane.isOpen) throw refusal('ERR_PAGEFERRY_LANE_CLOSED', 'it left before its turn');
    machine.fire('greeted');
    const context = handshakeContext({
      versionMin: hello.versionMin,
      versionMax: hello.versionMax,
      version: PROTOCOL_VERSION_MAX,
      dialer: otherRole(role),
      listener: role,
    });
    const steps = shakeHands(mirror, lane, context, first).then(() => this.#acceptJoin(lane));
    try {
      await this.#steps(lane, steps, 'did not finish the handshake', HANDSHAKE_TIMEOUT_MS);
    } catch (error) {
      life.check();
      await resetHelper(this.entrance);
      machine.fire('refused');
      throw error;
    }
    this.#isEstablished = true;
    this.#tellEstablished();
  }

  async #acceptJoin(lane: SessionLane): Promise<void> {
    const { mirror, lanes } = this.entrance;
    const join = await expectJoin(mirror, lane);
    const session = mirror.sessionId;
    checkJoin(join, { session, lane: lane.number, nonce: join.nonce, accept: false });
    await sendJoin(mirror, lane, { ...join, accept: true });
    lanes.add(lane);
  }

  /** The peer is told why, briefly; nobody is kept waiting for it. */
  async #refuse(lane: SessionLane, error: Error): Promise<void> {
    this.#silent.delete(lane);
    const { life, events } = this.entrance;
    // Lanes of the session break on the way as well, and are dialed again: that is no news.
    const isNews = !(this.#isEstablished && isBrokenLane(error));
    if (isNews && !this.#isClosed && life.failure === undefined) {
      events.emit({ type: 'refused', remote: lane.remote, error });
    }
    if (lane.isOpen) {
      lane.post(goodbyeFrame(error));
      const cancel = life.clock.after(GOODBYE_TIMEOUT_MS, () => {
        lane.abort(error);
      });
      await lane.close();
      cancel();
    }
    this.#unjoined.delete(lane);
  }
}

function tooManyError(): TransportError {
  const message = `more than ${UNJOINED_LANES_MAX} lanes wait to join`;
  const details = { phase: 'accept', retryable: true } as const;
  return new TransportError('ERR_PAGEFERRY_TOO_MANY_LANES', message, details);
}

function refusal(code: `ERR_PAGEFERRY_${string}`, message: string): StateError {
  return new StateError(code, message, { state: 'established' });
}
