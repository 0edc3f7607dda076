/**
 * The invariants, looked at after every step of a session, whatever is done to it. A Breach names
 * the one that does not hold.
 */
import type { HelperError } from '../../src/errors.js';
import type { MigrationReport, Role, SessionState } from '../../src/session/types.js';
import type { SimGuest } from './guest.js';
import type { SimMirror } from './mirror.js';
import type { SimNetwork } from './network.js';
import type { Plan } from './plan.js';
import { hasNoCauseOfDoubt } from './plan.js';
import type { VirtualTime } from './time.js';

export class Breach extends Error {}

function demand(holds: boolean, rule: string): asserts holds {
  if (!holds) throw new Breach(rule);
}

export interface WatchedSide {
  readonly states: SessionState[];
  guest: SimGuest | undefined;
  mirror: SimMirror | undefined;
  report: MigrationReport | undefined;
}

/** Alarms of both sides together: waits, heartbeats, frames on their way. */
const ALARMS_MAX = 3000;
/**
 * Messages that one side has sealed and the other has not opened: an answer or a hold, the device
 * state with its begin and end, last words.
 */
const MESSAGES_MAX = 12;
/** Frames that lie in the lanes' queues, beyond what slots bound. */
const QUEUED_BYTES_MAX = 8 * 1024 * 1024;

export class Watch {
  readonly source: WatchedSide = newSide();
  readonly destination: WatchedSide = newSide();
  /** What the destination has on its disk. */
  readonly decisions: ('committed' | 'aborted')[] = [];
  /** What each side has noted durably that it is about to promise. */
  readonly noted = new Set<string>();
  #trace = 0x811c9dc5;
  readonly #exported = new Map<number, Set<string>>();
  readonly #imported = new Map<number, Set<string>>();
  readonly #importedEver = new Set<string>();

  constructor(
    private readonly plan: Plan,
    private readonly time: VirtualTime,
    private readonly network: () => SimNetwork,
  ) {}

  /** Stands for everything that has happened, and when. */
  get trace(): number {
    return this.#trace >>> 0;
  }

  side(role: Role): WatchedSide {
    return role === 'source' ? this.source : this.destination;
  }

  note(what: string | number, more = 0): void {
    const text = typeof what === 'number' ? undefined : what;
    let sum = this.#trace ^ Math.floor(this.time.now() * 1024) ^ more;
    if (text === undefined) sum = Math.imul(sum ^ (what as number), 0x01000193);
    for (let at = 0; at < (text?.length ?? 0); at += 1) {
      sum = Math.imul(sum ^ (text?.charCodeAt(at) ?? 0), 0x01000193);
    }
    this.#trace = Math.imul(sum, 0x01000193);
  }

  arrived(lane: number, toListener: boolean, bytes: number): void {
    this.note(lane * 2 + (toListener ? 1 : 0), bytes);
  }

  exported(epoch: number, stream: number, counter: number): void {
    setOf(this.#exported, epoch).add(`${stream}/${counter}`);
    const { mirror } = this.source;
    const acknowledged = mirror === undefined ? 0 : mirror.slots.total - mirror.slots.free;
    demand(acknowledged > 0, 'no record outside a slot');
  }

  imported(epoch: number, stream: number, counter: number): void {
    const name = `${stream}/${counter}`;
    demand(!this.#importedEver.has(name), `no record opened twice into RAM: ${name}`);
    this.#importedEver.add(name);
    setOf(this.#imported, epoch).add(name);
    demand(setOf(this.#exported, epoch).has(name), 'only what was exported is opened');
    demand(this.decisions.length === 0, 'nothing written into RAM after the decision');
    this.note('imported', counter);
  }

  tokenAccepted(epoch: number, start: boolean): void {
    const missing = setOf(this.#exported, epoch).size - setOf(this.#imported, epoch).size;
    demand(missing === 0, `an epoch ends with all of its records: ${missing} are missing`);
    this.note(start ? 'start' : 'epoch', epoch);
  }

  violation(error: HelperError): void {
    throw new Breach(`no violation between honest sides: ${error.message} ${error.detail}`);
  }

  stateOf(role: Role, state: SessionState): void {
    this.side(role).states.push(state);
    this.note(`${role} ${state}`);
    const isPromise = role === 'source' ? state === 'committing' : state === 'ready';
    if (isPromise) demand(this.noted.has(`${role} ${state}`), `${state} is noted before it is so`);
  }

  /** The decision is on the destination's disk from now on. */
  decided(decision: 'committed' | 'aborted'): void {
    this.decisions.push(decision);
    this.note(decision);
    demand(this.decisions.length === 1, `one decision: ${this.decisions.join()}`);
    if (decision !== 'committed') return;
    const [here, there] = [this.source.guest, this.destination.guest];
    demand(here?.state === 'paused', 'the source is paused at COMMIT');
    demand(there?.state === 'paused', 'the destination is paused at COMMIT');
    demand(isEqual(here.memory.words, there.memory.words), 'RAM is equal at COMMIT');
    demand(there.badPages() === 0, 'the device state fits RAM at COMMIT');
  }

  /** After every step. */
  check(): void {
    const { source, destination } = this;
    const isCommitted = this.decisions[0] === 'committed';
    const runsHere = source.guest?.state === 'running';
    const runsThere = destination.guest?.state === 'running';
    demand(!(runsHere && runsThere), 'never two owners: both guests run');
    demand(!(runsHere && isCommitted), 'never two owners: COMMITTED, and the source runs');
    demand(!runsThere || isCommitted, 'the destination runs only after a durable COMMITTED');
    demand(source.guest?.memory.isFreed !== true, 'the source never frees its memory');
    if (destination.guest?.memory.isFreed === true && destination.states.includes('ready')) {
      demand(this.decisions[0] === 'aborted', 'memory kept after READY until ABORTED is durable');
    }
    this.#checkQueues();
  }

  #checkQueues(): void {
    demand(this.time.pending < ALARMS_MAX, 'no unbounded queue: alarms');
    for (const role of ['source', 'destination'] as const) {
      const sealed = this.side(role).mirror?.messages.sealed ?? 0;
      const other = this.side(role === 'source' ? 'destination' : 'source').mirror;
      const waiting = sealed - (other?.messages.opened ?? 0);
      demand(waiting <= MESSAGES_MAX, `no unbounded queue: ${waiting} messages of the ${role}`);
    }
    // Counters make a snapshot each time: a look now and then is enough to see something grow.
    if (this.time.steps % 64 !== 0) return;
    for (const lane of this.network().lanes) {
      demand(lane.counters.bytesQueued < QUEUED_BYTES_MAX, 'no unbounded queue: a lane');
    }
  }

  /** Both sides have reported. */
  checkEnd(): void {
    const { source, destination, plan } = this;
    const isCommitted = this.decisions[0] === 'committed';
    const own = source.report;
    const other = destination.report;
    demand(own !== undefined && other !== undefined, 'every session ends');
    const isInDoubt = own.error?.code === 'ERR_PAGEFERRY_IN_DOUBT';
    const resumes = plan.source.guestFault !== 'resume';
    if (isCommitted) {
      demand(own.guest.state === 'paused', 'after COMMITTED the source stays paused');
      demand(own.outcome === 'completed' || isInDoubt, 'the source completes or is in doubt');
      if (plan.destination.guestFault !== 'resume') {
        demand(other.guest.state === 'running', 'the new owner runs');
        demand(other.outcome === 'completed', 'the new owner completes');
        demand(other.verified.guestSelfCheck === true, 'the guest finds its memory whole');
      }
    } else {
      demand(own.outcome !== 'completed', 'nothing completes without COMMITTED');
      demand(other.outcome !== 'completed', 'nothing completes without COMMITTED there');
      if (!isInDoubt && resumes) demand(own.guest.state === 'running', 'the source runs on');
      const keeps = other.error?.code === 'ERR_PAGEFERRY_IN_DOUBT';
      if (keeps) {
        demand(other.guest.state === 'paused', 'in doubt the destination keeps the guest');
        demand(this.decisions.length === 0, 'in doubt nothing is decided');
      } else if (plan.destination.guestFault !== 'close') {
        demand(other.guest.state === 'gone', 'what was not taken over is freed');
      }
    }
    if (plan.kind === 'mild') this.#checkMild(own, other);
    if (hasNoCauseOfDoubt(plan)) {
      for (const { error } of [own, other]) {
        const doubts = error?.code === 'ERR_PAGEFERRY_IN_DOUBT';
        demand(!doubts, `no doubt without a cause: ${error?.message ?? ''}`);
      }
    }
  }

  #checkMild(own: MigrationReport, other: MigrationReport): void {
    const why = own.error ?? other.error;
    const text = why === undefined ? '' : `: ${why.code} ${why.message}`;
    demand(own.outcome === 'completed', `what a session has to get over it gets over${text}`);
    demand(other.outcome === 'completed', `and so does the destination${text}`);
  }

  /** Some time after the end. */
  checkLeftovers(): void {
    for (const role of ['source', 'destination'] as const) {
      const slots = this.side(role).mirror?.slots;
      demand(slots?.free === slots?.total, `every slot of the ${role} is free at the end`);
    }
    demand(this.network().lanes.length === 0, 'every lane is closed at the end');
  }
}

function newSide(): WatchedSide {
  return { states: [], guest: undefined, mirror: undefined, report: undefined };
}

function setOf(map: Map<number, Set<string>>, key: number): Set<string> {
  const known = map.get(key);
  if (known !== undefined) return known;
  const fresh = new Set<string>();
  map.set(key, fresh);
  return fresh;
}

function isEqual(one: Uint32Array, other: Uint32Array): boolean {
  return one.length === other.length && one.every((word, at) => word === other[at]);
}
