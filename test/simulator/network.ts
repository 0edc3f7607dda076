/**
 * The simulated network: lanes with latency, jitter and bandwidth, so that lanes overtake each
 * other; and what can go wrong with them: cuts, partitions, standing still, frames that are lost,
 * changed, doubled, or played again on another lane. Within a lane frames keep their order.
 */
import { laneError } from '../../src/transport/base/index.js';
import type { Lane, Listener } from '../../src/transport/contract.js';
import {
  OFFSET_pf_record_header_kind,
  PF_KIND_LANE,
  PF_KIND_PAGES,
} from '../../src/native/abi.generated.js';
import { FRAME_BYTES_MAX } from '../../src/wire/limits.js';
import type { Random } from '../support/random.js';
import type { Link } from './lane.js';
import { SimLane } from './lane.js';
import type { VirtualTime } from './time.js';

/** Each once in so many frames; undefined: never. */
export interface FrameFaults {
  readonly changedOnce?: number | undefined;
  readonly doubledOnce?: number | undefined;
  readonly replayedOnce?: number | undefined;
  readonly lostOnce?: number | undefined;
  /**
   * Every frame, also those in the clear and joins. Otherwise only the sealed records of a session:
   * what is lost then is found out, and resent.
   */
  readonly isEverything: boolean;
}

export interface NetworkOptions {
  readonly latencyMs: number;
  readonly jitterMs: number;
  readonly bytesPerMs: number;
  /** What one direction of a lane holds. */
  readonly linkBytes: number;
  readonly frames: FrameFaults;
}

export interface NetworkWatch {
  /** A frame, the goodbye (0 bytes) or a cut (-1) comes to the end of a lane. */
  arrived(lane: number, toListener: boolean, bytes: number): void;
}

/** Frames other than pages count as so much, whatever they say and however they say it. */
const SMALL_BYTES = 64;
/** The part of a record that is changed: its header and the size of its tag. */
const CHANGED_BYTES = 96;
const FRAME_MEMORY = 8;
const PIECES_ONCE = 8;

function isSealed(frame: Buffer): boolean {
  return frame.length >= CHANGED_BYTES && frame.toString('latin1', 0, 4) === 'PFR1';
}

function isOfSession(frame: Buffer): boolean {
  return isSealed(frame) && frame[OFFSET_pf_record_header_kind] !== PF_KIND_LANE;
}

interface Sending {
  readonly frame: Buffer | 'goodbye';
  readonly taken: () => void;
}

/** One direction of one lane. */
class SimLink implements Link {
  readonly #waiting: Sending[] = [];
  #held = 0;
  #busyUntilMs = 0;
  #lastArrivalMs = 0;
  #isOver = false;

  constructor(
    private readonly network: SimNetwork,
    private readonly pair: LanePair,
    private readonly toListener: boolean,
  ) {}

  get #target(): SimLane {
    return this.toListener ? this.pair.accepted : this.pair.dialed;
  }

  send(frame: Buffer | 'goodbye', taken: () => void): void {
    this.#waiting.push({ frame, taken });
    this.#pump();
  }

  read(bytes: number): void {
    this.#held -= bytes;
    this.#pump();
  }

  end(graceful: boolean): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#waiting.length = 0;
    if (graceful || this.network.isParted) return;
    this.#arrive(0, () => {
      this.network.watch.arrived(this.pair.number, this.toListener, -1);
      this.#target.cut('the peer is gone without a goodbye');
    });
  }

  /** Everything on its way arrives no earlier than this. */
  stall(untilMs: number): void {
    this.#lastArrivalMs = Math.max(this.#lastArrivalMs, untilMs);
  }

  #pump(): void {
    const { linkBytes } = this.network.options;
    while (this.#waiting.length > 0 && this.#held < linkBytes) {
      const sending = this.#waiting.shift()!;
      queueMicrotask(sending.taken);
      this.#launch(sending.frame);
    }
  }

  #launch(frame: Buffer | 'goodbye'): void {
    if (frame === 'goodbye') {
      this.#arrive(0, () => {
        this.network.watch.arrived(this.pair.number, this.toListener, 0);
        this.#target.arrive('goodbye');
      });
      return;
    }
    const { random, options } = this.network;
    const isFaulty = options.frames.isEverything || isOfSession(frame);
    const once = (times: number | undefined): boolean =>
      isFaulty && times !== undefined && random.once(times);
    if (once(options.frames.lostOnce)) return;
    if (once(options.frames.changedOnce)) {
      const at = random.below(Math.min(frame.length, CHANGED_BYTES));
      frame[at] = (frame[at] ?? 0) ^ (1 << random.below(8));
    }
    this.#carry(frame);
    if (once(options.frames.doubledOnce)) this.#carry(Buffer.from(frame));
    const replayed = this.network.memory(this.toListener);
    if (once(options.frames.replayedOnce) && replayed.length > 0) {
      this.#carry(Buffer.from(random.pick(replayed)));
    }
    if (isSealed(frame) && options.frames.replayedOnce !== undefined) {
      replayed.push(Buffer.from(frame));
      if (replayed.length > FRAME_MEMORY) replayed.splice(random.below(FRAME_MEMORY), 1);
    }
  }

  #carry(frame: Buffer): void {
    this.#held += frame.length;
    const kind = isSealed(frame) ? frame[OFFSET_pf_record_header_kind] : undefined;
    const bytes = kind === PF_KIND_PAGES ? frame.length : SMALL_BYTES;
    this.#arrive(bytes, () => {
      this.network.watch.arrived(this.pair.number, this.toListener, bytes);
      this.#target.arrive(frame);
    });
  }

  #arrive(bytes: number, run: () => void): void {
    const { time, random, options } = this.network;
    const { latencyMs, jitterMs, bytesPerMs } = options;
    this.#busyUntilMs = Math.max(this.#busyUntilMs, time.now()) + bytes / bytesPerMs;
    const jitter = jitterMs > 0 ? (random.below(64) / 64) * jitterMs : 0;
    const atMs = Math.max(this.#busyUntilMs + latencyMs + jitter, this.#lastArrivalMs);
    this.#lastArrivalMs = atMs;
    time.after(atMs - time.now(), () => {
      // What a partition swallows is gone with its lane.
      if (!this.pair.isSwallowed) run();
    });
  }
}

/** Both ends of one lane. */
class LanePair {
  readonly dialed: SimLane;
  readonly accepted: SimLane;
  /** Nothing arrives any more, and nobody is told. */
  isSwallowed = false;
  readonly #links: readonly [SimLink, SimLink];

  constructor(
    network: SimNetwork,
    readonly number: number,
  ) {
    const options = { maxFrameBytes: FRAME_BYTES_MAX, remote: `sim lane ${number}` };
    const host = {
      released: () => {
        network.released(this);
      },
      receiveRest: (complete: () => void) => {
        network.receiveRest(complete);
      },
    };
    this.dialed = new SimLane(options, host);
    this.accepted = new SimLane(options, host);
    const toListener = new SimLink(network, this, true);
    const toDialer = new SimLink(network, this, false);
    this.dialed.join(toListener, toDialer);
    this.accepted.join(toDialer, toListener);
    this.#links = [toListener, toDialer];
  }

  get isOver(): boolean {
    return this.dialed.status === 'closed' && this.accepted.status === 'closed';
  }

  cut(): void {
    this.dialed.cut('cut by the simulator');
    this.accepted.cut('cut by the simulator');
  }

  stall(untilMs: number): void {
    for (const link of this.#links) link.stall(untilMs);
  }
}

export class SimNetwork {
  readonly #pairs = new Set<LanePair>();
  readonly #memories: readonly [Buffer[], Buffer[]] = [[], []];
  #opened = 0;
  #onLane: ((lane: Lane) => void) | undefined;
  #partedUntilMs = 0;

  constructor(
    readonly options: NetworkOptions,
    readonly time: VirtualTime,
    readonly random: Random,
    readonly watch: NetworkWatch,
  ) {}

  get isParted(): boolean {
    return this.time.now() < this.#partedUntilMs;
  }

  /** Ends of lanes that are not closed. */
  get lanes(): SimLane[] {
    return [...this.#pairs]
      .flatMap(({ dialed, accepted }) => [dialed, accepted])
      .filter(({ status }) => status !== 'closed');
  }

  memory(toListener: boolean): Buffer[] {
    return this.#memories[toListener ? 1 : 0];
  }

  released(pair: LanePair): void {
    if (pair.isOver) this.#pairs.delete(pair);
  }

  /** Some frames come in two pieces, with time between them for something to happen. */
  receiveRest(complete: () => void): void {
    if (this.random.once(PIECES_ONCE)) this.time.after(this.options.latencyMs, complete);
    else complete();
  }

  async listen(onLane: (lane: Lane) => void): Promise<Listener> {
    await Promise.resolve();
    this.#onLane = onLane;
    return {
      address: 'sim://listener',
      close: () => {
        this.#onLane = undefined;
        return Promise.resolve();
      },
    };
  }

  async dial(signal: AbortSignal): Promise<Lane> {
    await this.time.sleep(this.options.latencyMs * 2);
    if (signal.aborted) throw signal.reason as Error;
    const onLane = this.#onLane;
    if (onLane === undefined || this.isParted) {
      const why = this.isParted ? 'no way there' : 'nobody listens';
      throw laneError('REFUSED', why, { phase: 'dial', retryable: true });
    }
    this.#opened += 1;
    const pair = new LanePair(this, this.#opened);
    this.#pairs.add(pair);
    signal.addEventListener('abort', () => {
      pair.dialed.abort(signal.reason as Error);
    });
    onLane(pair.accepted);
    return pair.dialed;
  }

  /** Cuts lanes, all or a random one; both ends know at once. */
  cut(which: 'all' | 'one'): void {
    for (const pair of this.#some(which)) pair.cut();
  }

  /** Lanes stand still for so long; nothing is lost. */
  stall(which: 'all' | 'one', forMs: number): void {
    for (const pair of this.#some(which)) pair.stall(this.time.now() + forMs);
  }

  /** No way between the sides for so long. `isSilent`: nobody is told, the lanes just die. */
  part(forMs: number, isSilent: boolean): void {
    this.#partedUntilMs = Math.max(this.#partedUntilMs, this.time.now() + forMs);
    for (const pair of [...this.#pairs]) {
      pair.isSwallowed = true;
      if (!isSilent) pair.cut();
    }
  }

  #some(which: 'all' | 'one'): LanePair[] {
    const open = [...this.#pairs].filter(({ isSwallowed }) => !isSwallowed);
    return which === 'all' || open.length === 0 ? open : [this.random.pick(open)];
  }
}
