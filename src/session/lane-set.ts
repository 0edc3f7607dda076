/**
 * What: the lanes that have joined a session: which there are, which carries the next frame,
 * heartbeats, and news of a lane's end.
 */
import { TransportError } from '../errors.js';
import { encodeFrame } from '../wire/frames.js';
import type { Clock } from './clock.js';
import { LaneLedger } from './lane-ledger.js';
import { stalledLanes } from './lane-watch.js';
import { LANE_STALL_MS, PINGS_PER_TIMEOUT } from './limits.js';
import { timeoutError } from './life.js';
import { pickLane } from './scheduler.js';
import type { LaneTraffic, SessionLane } from './session-lane.js';
import { closingError } from './session-lane.js';
import type { LaneReport } from './types.js';

export interface LaneSetEvents {
  added(lane: SessionLane): void;
  /** After this, nothing of the lane is in flight any more. */
  lost(lane: SessionLane, error: Error | undefined): void;
}

export class LaneSet {
  readonly #lanes = new Set<SessionLane>();
  readonly #ledger = new LaneLedger();
  #lastEnd: Error | undefined;
  #endedGracefully = false;
  #mostAtOnce = 0;
  #stopHeartbeat: (() => void) | undefined;
  #pings = 0n;

  constructor(
    private readonly clock: Clock,
    private readonly peerTimeoutMs: number,
    private readonly traffic: LaneTraffic,
    private readonly events: LaneSetEvents,
  ) {}

  get count(): number {
    return this.#lanes.size;
  }

  /** Most lanes that were joined at the same time. */
  get mostAtOnce(): number {
    return this.#mostAtOnce;
  }

  /** Whether the lane that ended last was closed gracefully: the peer has no more to say. */
  get endedGracefully(): boolean {
    return this.#endedGracefully;
  }

  /** Lanes with this number or a higher one. */
  from(number: number): SessionLane[] {
    return [...this.#lanes].filter((lane) => lane.number >= number);
  }

  /** Why a lane could not be opened, for the report of a session that ends without lanes. */
  noteFailure(error: Error): void {
    if (this.count === 0) this.#lastEnd = error;
  }

  /** The lane for a frame of `bytes`. */
  pick(bytes: number): SessionLane | undefined {
    return pickLane(this.#lanes, bytes, this.clock.now());
  }

  /** What each lane has carried so far. */
  reports(): LaneReport[] {
    return this.#ledger.reports(this.#lanes);
  }

  /**
   * A lane has joined; its frames go to the session from now on. One with the same number has to
   * be dead where the peer is, which dials a number again only then.
   */
  add(lane: SessionLane): void {
    for (const old of this.#lanes) {
      if (old.number === lane.number) old.abort(new Error('the peer has dialed it again'));
    }
    this.#lanes.add(lane);
    this.#mostAtOnce = Math.max(this.#mostAtOnce, this.#lanes.size);
    void lane.over.then((error) => {
      this.#remove(lane, error);
    });
    lane.join(this.traffic);
    this.events.added(lane);
    if (this.#stopHeartbeat === undefined) this.#scheduleHeartbeat();
  }

  /** Resolves when one of the lanes of now is over. */
  async nextEnd(): Promise<void> {
    await Promise.race([...this.#lanes].map((lane) => lane.over));
  }

  /** Why there is no lane any more. */
  lossError(): TransportError {
    return new TransportError('ERR_PAGEFERRY_LANES_LOST', 'every lane to the peer is lost', {
      phase: 'receive',
      retryable: true,
      ...(this.#lastEnd === undefined ? {} : { cause: this.#lastEnd }),
    });
  }

  /** Closes all lanes, gracefully or at once; resolves when they are over. */
  async end(graceful: boolean): Promise<void> {
    this.#stopHeartbeat?.();
    this.#stopHeartbeat = () => undefined;
    const lanes = [...this.#lanes];
    for (const lane of lanes) {
      if (!graceful) lane.abort(closingError());
    }
    await Promise.all(lanes.map((lane) => lane.close()));
    await Promise.all(lanes.map((lane) => lane.over));
  }

  #remove(lane: SessionLane, error: Error | undefined): void {
    if (!this.#lanes.delete(lane)) return;
    this.#ledger.end(lane);
    const said = lane.goodbye === undefined ? undefined : new Error(`it said: ${lane.goodbye}`);
    this.#lastEnd = error ?? said ?? this.#lastEnd;
    this.#endedGracefully = error === undefined;
    this.events.lost(lane, error);
  }

  #scheduleHeartbeat(): void {
    this.#stopHeartbeat = this.clock.after(this.#beatMs(), () => {
      this.#beat();
      this.#scheduleHeartbeat();
    });
  }

  #stallMs(): number {
    return Math.min(LANE_STALL_MS, this.peerTimeoutMs / 3);
  }

  /**
   * A lane that says nothing ends after this, whatever the others do: before the waits for the peer
   * do, so that one that is dialed again can still carry what they wait for.
   */
  #silentMs(): number {
    return this.#stallMs() * 2;
  }

  /** Often enough for both limits on silence. */
  #beatMs(): number {
    return this.#silentMs() / PINGS_PER_TIMEOUT;
  }

  /** Pings every lane; ends those that have been silent, or got nothing done, for too long. */
  #beat(): void {
    this.#pings += 1n;
    const stallMs = this.#stallMs();
    for (const lane of stalledLanes([...this.#lanes], this.clock.now(), stallMs)) {
      lane.abort(timeoutError('got nothing done on the lane, but on others,', stallMs));
    }
    const frame = encodeFrame('ping', { value: this.#pings });
    for (const lane of this.#lanes) {
      if (this.clock.now() - lane.heardMs() > this.#silentMs()) {
        lane.abort(timeoutError('sent nothing on the lane', this.#silentMs()));
      } else if (lane.isOpen) {
        lane.post(frame);
      }
    }
  }
}
