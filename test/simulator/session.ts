/**
 * One session of the simulator: both real state machines on simulated mirrors, guests, disks and
 * lanes, in virtual time, with everything that its plan says.
 */
import type { GuestLayout } from '../../src/guest/contract.js';
import type { MirrorOptions } from '../../src/mirror/contract.js';
import type { SessionDependencies } from '../../src/session/dependencies.js';
import { runDestinationWith } from '../../src/session/destination.js';
import { SessionControl } from '../../src/session/session-control.js';
import { runSourceWith } from '../../src/session/source.js';
import type {
  LaneSource,
  MigrationReport,
  Role,
  SessionEvent,
  SessionOptions,
  SessionState,
} from '../../src/session/types.js';
import { Random } from '../support/random.js';
import { FakePageSet } from '../support/session/fake-guest.js';
import { Acts } from './acts.js';
import type { MirrorFault } from './book.js';
import { SimGuest } from './guest.js';
import { SimMirror } from './mirror.js';
import { SimNetwork } from './network.js';
import type { DiskFault, Plan } from './plan.js';
import { VirtualTime } from './time.js';
import { Breach, Watch } from './watch.js';

/** What is under test: the state machines, perhaps with a bug planted in them. */
export interface SessionCode {
  readonly runSourceWith: typeof runSourceWith;
  readonly runDestinationWith: typeof runDestinationWith;
  readonly SessionControl: typeof SessionControl;
}

export const realCode: SessionCode = { runSourceWith, runDestinationWith, SessionControl };

export interface Subject {
  readonly code: SessionCode;
  readonly mirrorFault?: MirrorFault;
}

export interface Run {
  readonly plan: Plan;
  readonly trace: number;
  readonly steps: number;
  readonly endMs: number;
  readonly source: MigrationReport | undefined;
  readonly destination: MigrationReport | undefined;
  /** The states that each side went through. */
  readonly states: Readonly<Record<Role, readonly SessionState[]>>;
  readonly decisions: readonly ('committed' | 'aborted')[];
  readonly breach: Error | undefined;
}

/** No session of a plan lasts longer: its waits are a few seconds each. */
const LIMIT_MS = 600_000;
const LIMIT_STEPS = 300_000;
/** A listening side whose peer never came is stopped so long after the peer has given up. */
const LISTENER_PATIENCE_MS = 50;

const roles = ['source', 'destination'] as const;

class SimSession {
  readonly #time = new VirtualTime();
  readonly #random: Random;
  readonly #watch: Watch;
  readonly #network: SimNetwork;
  readonly #secret: Uint8Array;
  readonly #stops: Record<Role, AbortController>;
  readonly #controls: Record<Role, SessionControl>;
  readonly #acts: Acts;
  readonly #hasStarted = new Set<Role>();
  #breach: Error | undefined;
  #endMs: number | undefined;

  constructor(
    private readonly plan: Plan,
    private readonly subject: Subject,
  ) {
    const { code } = subject;
    this.#random = new Random(plan.seed ^ 0x5eed);
    this.#watch = new Watch(plan, this.#time, () => this.#network);
    this.#network = new SimNetwork(plan.network, this.#time, this.#random, this.#watch);
    this.#secret = this.#random.bytes(32);
    this.#stops = { source: new AbortController(), destination: new AbortController() };
    this.#controls = { source: new code.SessionControl(), destination: new code.SessionControl() };
    this.#acts = new Acts({
      time: this.#time,
      network: this.#network,
      watch: this.#watch,
      stops: this.#stops,
      controls: this.#controls,
      fail: (error) => {
        this.#breach ??= error;
      },
    });
  }

  async run(): Promise<Run> {
    const watch = this.#watch;
    this.#guarded(() => {
      for (const incident of this.plan.incidents) {
        if (incident.when.state === undefined) this.#acts.schedule(incident);
      }
    });
    this.#start(this.plan.listener);
    await this.#finish();
    return {
      plan: this.plan,
      trace: watch.trace,
      steps: this.#time.steps,
      endMs: this.#endMs ?? this.#time.now(),
      source: watch.source.report,
      destination: watch.destination.report,
      states: { source: watch.source.states, destination: watch.destination.states },
      decisions: watch.decisions,
      breach: this.#breach,
    };
  }

  get #dialer(): Role {
    return this.plan.listener === 'source' ? 'destination' : 'source';
  }

  async #finish(): Promise<void> {
    const watch = this.#watch;
    const check = (): void => {
      if (this.#breach !== undefined) throw this.#breach;
      watch.check();
    };
    const isDone = (): boolean => roles.every((role) => watch.side(role).report !== undefined);
    try {
      const limits = { limitMs: LIMIT_MS, limitSteps: LIMIT_STEPS };
      const end = await this.#time.run({ isDone, check, ...limits });
      if (end !== 'done') throw new Breach(`every session ends: ${this.#standing(end)}`);
      this.#endMs = this.#time.now();
      watch.checkEnd();
      // What was under way comes to its end, and after that nothing happens any more.
      const isNever = (): boolean => false;
      const left = await this.#time.run({ isDone: isNever, check, ...limits });
      if (left !== 'idle') throw new Breach('no timer is left behind');
      watch.checkLeftovers();
    } catch (error) {
      this.#breach = error as Error;
    }
  }

  #standing(end: string): string {
    const told = roles.map((role) => {
      const { report, states } = this.#watch.side(role);
      return `${role} ${report === undefined ? `in ${states.at(-1)}` : report.outcome}`;
    });
    return `${end} at ${this.#time.now()} ms, ${told.join(', ')}`;
  }

  /** What throws in here breaks the session's rules, or the simulator's own. */
  #guarded(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.#breach ??= error as Error;
    }
  }

  #start(role: Role): void {
    this.#hasStarted.add(role);
    const { plan } = this;
    const { code } = this.subject;
    const side = this.#watch.side(role);
    const dependencies = this.#dependencies(role);
    const guestOptions = {
      pages: plan.pages,
      blockPages: plan.blockPages,
      writesPerMs: plan.writesPerMs,
      deviceStateBytes: plan.deviceStateBytes,
      failing: plan[role].guestFault,
      slowMs: plan.guestMs,
    };
    const guest = new SimGuest(guestOptions, this.#time, this.#random);
    let running: Promise<MigrationReport>;
    if (role === 'source') {
      guest.start();
      side.guest = guest;
      const options = {
        ...this.#common('source'),
        guest,
        codec: 'none',
        level: 0,
        padBytes: 0,
        downtimeLimitMs: plan.downtimeLimitMs,
        maxBandwidthBytesPerSecond: plan.bytesPerSecond,
        onStall: plan.onStall,
        maxEpochs: plan.maxEpochs,
        verify: plan.verify,
      } as const;
      running = code.runSourceWith(options, dependencies);
    } else {
      const options = {
        ...this.#common('destination'),
        openGuest: async (_layout: GuestLayout) => {
          await this.#time.sleep(plan.guestMs);
          side.guest = guest;
          return guest;
        },
        recordDecision: (_session: string, decision: 'committed' | 'aborted') =>
          this.#record('destination', decision, () => {
            this.#watch.decided(decision);
          }),
      };
      running = code.runDestinationWith(options, dependencies);
    }
    running.then(
      (report) => {
        side.report = report;
        this.#watch.note(`${role} ${report.outcome} ${report.error?.code ?? ''}`);
        this.#sideEnded(role);
      },
      (error: unknown) => {
        this.#breach ??= error as Error;
      },
    );
  }

  #common(role: Role): SessionOptions {
    const { plan } = this;
    const { peerTimeoutMs, reconnectTimeoutMs, vcpus } = plan[role];
    return {
      laneSource: this.#laneSource(role),
      transport: 'sim',
      secret: this.#secret,
      engine: 'in-process',
      vcpus,
      windowBytes: 1 << 20,
      peerTimeoutMs,
      reconnectTimeoutMs,
      signal: this.#stops[role].signal,
      control: this.#controls[role],
      recordState: (_session, state) =>
        this.#record(role, state as DiskFault, () => {
          this.#watch.noted.add(`${role} ${state}`);
        }),
      onEvent: (event) => {
        this.#guarded(() => {
          this.#onEvent(role, event);
        });
      },
    };
  }

  #laneSource(role: Role): LaneSource {
    const network = this.#network;
    if (role === this.plan.listener) {
      return { mode: 'listen', listen: (onLane) => network.listen(onLane) };
    }
    const onLanes = (setLanes: (count: number) => void): void => {
      this.#acts.setLanes = setLanes;
    };
    const dial = network.dial.bind(network);
    return { mode: 'dial', lanes: this.plan.lanes, address: 'sim://listener', dial, onLanes };
  }

  #dependencies(role: Role): SessionDependencies {
    const { vcpus, slots, mirrorMs: slowMs } = this.plan[role];
    const { recordPages } = this.plan;
    const fault = this.subject.mirrorFault;
    return {
      openMirror: async (_options: MirrorOptions) => {
        await this.#time.sleep(slowMs);
        const options = { vcpus, slots, slowMs, recordPages, fault };
        const watch = this.#guardedWatch();
        const mirror = new SimMirror(options, this.#time, this.#random, watch);
        this.#watch.side(role).mirror = mirror;
        return mirror;
      },
      createPageSet: () => new FakePageSet(),
      clock: this.#time,
      random: () => this.#random.word() / 2 ** 32,
    };
  }

  /** The session would take what the watch throws for a failure of the mirror, and go on. */
  #guardedWatch(): ConstructorParameters<typeof SimMirror>[3] {
    const watch = this.#watch;
    return {
      exported: (...told) => {
        this.#guarded(() => {
          watch.exported(...told);
        });
      },
      imported: (epoch, stream, counter) => {
        this.#guarded(() => {
          watch.imported(epoch, stream, counter);
        });
      },
      tokenAccepted: (...told) => {
        this.#guarded(() => {
          watch.tokenAccepted(...told);
        });
      },
      violation: (error) => {
        this.#guarded(() => {
          watch.violation(error);
        });
      },
    };
  }

  /** A disk that takes its time; `durable` is called when it is done. */
  async #record(role: Role, what: DiskFault, durable: () => void): Promise<void> {
    const { diskMs, diskFaults } = this.plan[role];
    if (diskMs > 0) await this.#time.sleep(this.#random.below(diskMs * 8) / 8);
    if (diskFaults.includes(what)) throw new Error(`the disk of the ${role} is full`);
    this.#guarded(durable);
  }

  #onEvent(role: Role, event: SessionEvent): void {
    if (event.type === 'listening') this.#start(this.#dialer);
    if (event.type !== 'state') return;
    const { state } = event;
    const isFirst = !this.#watch.side(role).states.includes(state);
    this.#watch.stateOf(role, state);
    if (!isFirst) return;
    for (const incident of this.plan.incidents) {
      const { when } = incident;
      if (when.state === state && when.role === role) this.#acts.schedule(incident);
    }
  }

  /** A listening side waits for a peer without end; somebody stops it when none will come. */
  #sideEnded(role: Role): void {
    const { listener } = this.plan;
    if (role === listener) {
      // One that never came so far has no peer, which the other side has to find out.
      if (!this.#hasStarted.has(this.#dialer)) this.#start(this.#dialer);
      return;
    }
    this.#time.after(LISTENER_PATIENCE_MS, () => {
      const state = this.#watch.side(listener).states.at(-1);
      const waits = state === undefined || state === 'connecting' || state === 'handshake';
      if (waits) this.#stops[listener].abort();
    });
  }
}

/** Runs the session of a plan to its end, or to the first breach of a rule. */
export function simulate(plan: Plan, subject: Subject = { code: realCode }): Promise<Run> {
  return new SimSession(plan, subject).run();
}
