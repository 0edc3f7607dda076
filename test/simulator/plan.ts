/**
 * What one seed stands for: a guest, a network, two sides with their limits, and what is going to
 * go wrong. There are four kinds:
 *   mild     lanes break, stall and change records, within what the session has to get over: it
 *            has to complete;
 *   stopped  the same, and somebody stops it: neither side may end in doubt;
 *   rough    partitions, stops, mirrors that die, disks and guests that fail;
 *   hostile  the network changes, loses, doubles and replays whatever it likes as well.
 */
import type { Role, SessionState } from '../../src/session/types.js';
import type { StallPolicy } from '../../src/session/settings.js';
import { Random } from '../support/random.js';
import type { GuestStep } from './guest.js';
import type { NetworkOptions } from './network.js';

export type PlanKind = 'mild' | 'stopped' | 'rough' | 'hostile';

/** When something happens: so long after the beginning, or after a side is in a state. */
export interface Moment {
  readonly role?: Role;
  readonly state?: SessionState;
  readonly afterMs: number;
}

export type Act =
  | { readonly act: 'cut'; readonly which: 'all' | 'one' }
  | { readonly act: 'stall'; readonly which: 'all' | 'one'; readonly forMs: number }
  | { readonly act: 'part'; readonly forMs: number; readonly isSilent: boolean }
  | { readonly act: 'stop'; readonly role: Role; readonly by: 'signal' | 'control' }
  | { readonly act: 'die'; readonly role: Role }
  | { readonly act: 'hold'; readonly forMs: number }
  | { readonly act: 'limit'; readonly bytesPerSecond: number | null }
  | { readonly act: 'lanes'; readonly count: number };

export type Incident = Act & { readonly when: Moment };

/** What cannot be made durable. */
export type DiskFault = 'layout' | 'ready' | 'committing' | 'committed' | 'aborted' | 'undecided';

export interface SidePlan {
  readonly peerTimeoutMs: number;
  readonly reconnectTimeoutMs: number;
  readonly vcpus: number;
  readonly slots: number;
  readonly mirrorMs: number;
  /** Longest that making something durable takes. */
  readonly diskMs: number;
  readonly diskFaults: readonly DiskFault[];
  readonly guestFault: GuestStep | undefined;
}

export interface Plan {
  readonly seed: number;
  readonly kind: PlanKind;
  readonly listener: Role;
  readonly lanes: number;
  readonly pages: number;
  readonly blockPages: number;
  readonly recordPages: number;
  readonly writesPerMs: number;
  readonly deviceStateBytes: number;
  readonly guestMs: number;
  readonly maxEpochs: number;
  readonly downtimeLimitMs: number;
  readonly bytesPerSecond: number | null;
  readonly onStall: StallPolicy | null;
  readonly verify: boolean;
  readonly network: NetworkOptions;
  readonly source: SidePlan;
  readonly destination: SidePlan;
  readonly incidents: readonly Incident[];
}

const roles = ['source', 'destination'] as const;
/** States that something can happen in. */
const eventful: readonly SessionState[] = [
  'connecting',
  'handshake',
  'layout',
  'precopy',
  'stopping',
  'ready',
  'committing',
  'committed',
];
const disk: readonly DiskFault[] = ['layout', 'ready', 'committing', 'committed', 'aborted'];
const steps: readonly GuestStep[] = ['pause', 'resume', 'save', 'load', 'close'];

/** How mild an incident has to be so that the session gets over it: far below every limit. */
const MILD_MS = 40;

function momentOf(random: Random, from: number): Moment {
  const afterMs = random.once(2) ? 0 : random.below(240) / 8;
  if (random.once(4)) return { afterMs: random.below(120) + (from > 0 ? 20 : 0) };
  const states = eventful.slice(from);
  return { role: random.pick(roles), state: random.pick(states), afterMs };
}

function mildIncident(random: Random): Incident {
  // Before there is a session the first lane is all there is, and what it meets may be final.
  const when = momentOf(random, 3);
  const which = random.once(3) ? 'all' : 'one';
  switch (random.below(8)) {
    case 0:
      return { act: 'stall', which, forMs: random.below(MILD_MS), when };
    case 1:
      return { act: 'hold', forMs: random.below(MILD_MS), when };
    case 2:
      return { act: 'lanes', count: 1 + random.below(4), when };
    case 3:
      return { act: 'limit', bytesPerSecond: random.once(2) ? null : 262_144, when };
    case 4:
      return { act: 'part', forMs: random.below(MILD_MS), isSilent: false, when };
    default:
      return { act: 'cut', which, when };
  }
}

function stopIncident(random: Random, when: Moment): Incident {
  const by = random.once(2) ? 'signal' : 'control';
  return { act: 'stop', role: random.pick(roles), by, when };
}

function roughIncident(random: Random): Incident {
  const when = momentOf(random, 0);
  const role = random.pick(roles);
  const which = random.once(2) ? 'all' : 'one';
  switch (random.below(10)) {
    case 0:
    case 1:
      return stopIncident(random, when);
    case 2:
      return { act: 'die', role, when };
    case 3:
    case 4:
    case 5:
      return { act: 'part', forMs: random.below(2500), isSilent: random.once(2), when };
    case 6:
      return { act: 'stall', which, forMs: random.below(2500), when };
    case 7:
      return { act: 'hold', forMs: random.below(3000), when };
    case 8:
      return { act: 'lanes', count: 1 + random.below(4), when };
    default:
      return { act: 'cut', which, when };
  }
}

function networkOf(random: Random, kind: PlanKind): NetworkOptions {
  const once = (most: number): number | undefined =>
    random.once(2) ? undefined : 8 + random.below(most);
  const isHostile = kind === 'hostile';
  return {
    latencyMs: random.below(80) / 16,
    jitterMs: random.below(64) / 16,
    bytesPerMs: random.pick([50, 1000, 100_000]),
    linkBytes: random.pick([400, 2000, 100_000]),
    frames: {
      // A change costs the lane, and a new one some round trips.
      changedOnce: once(isHostile ? 100 : 400),
      doubledOnce: once(60),
      replayedOnce: once(60),
      lostOnce: isHostile ? once(100) : undefined,
      isEverything: isHostile,
    },
  };
}

function sideOf(random: Random, kind: PlanKind): SidePlan {
  const isMild = kind === 'mild' || kind === 'stopped';
  const faulty = !isMild && random.once(6);
  return {
    peerTimeoutMs: isMild ? 20_000 : 200 + random.below(1800),
    reconnectTimeoutMs: isMild ? 20_000 : 50 + random.below(2500),
    vcpus: 1 + random.below(2),
    slots: 2 + random.below(6),
    mirrorMs: random.pick([0, 0, 0.25, 2]),
    diskMs: random.pick([0, 0, 5, 40]),
    diskFaults: faulty && random.once(2) ? disk.filter(() => random.once(3)) : [],
    guestFault: faulty && random.once(2) ? random.pick(steps) : undefined,
  };
}

function kindOf(random: Random): PlanKind {
  return random.pick(['mild', 'stopped', 'rough', 'rough', 'hostile'] as const);
}

export function planOf(seed: number): Plan {
  const random = new Random(seed);
  const kind = kindOf(random);
  const pages = 8 + random.below(random.pick([8, 24, 56]));
  const incidents: Incident[] = [];
  const most = random.pick([0, 1, 1, 2, 4]);
  const mildOnce = kind === 'mild' || kind === 'stopped' ? 1 : 3;
  while (incidents.length < most) {
    incidents.push(random.once(mildOnce) ? mildIncident(random) : roughIncident(random));
  }
  if (kind === 'stopped') incidents.push(stopIncident(random, momentOf(random, 0)));
  return {
    seed,
    kind,
    listener: random.pick(roles),
    lanes: 1 + random.below(3),
    pages,
    blockPages: random.once(3) ? Math.ceil(pages / 3) : pages,
    recordPages: random.pick([4, 8, 16]),
    writesPerMs: random.pick([0, 0.2, 2, 10]),
    // Above PF_MESSAGE_BYTES_MAX it takes more than one record.
    deviceStateBytes: random.once(20) ? 600_000 : random.below(1000),
    guestMs: random.pick([0, 0, 3]),
    maxEpochs: random.below(4),
    downtimeLimitMs: random.pick([0, 1, 300]),
    bytesPerSecond: random.once(8) ? 262_144 : null,
    onStall: kind === 'mild' ? null : random.pick([null, null, 'throttle', 'abort', 'stop']),
    verify: !random.once(4),
    network: networkOf(random, kind),
    source: sideOf(random, kind),
    destination: sideOf(random, kind),
    incidents,
  };
}

/** A session in which nothing goes wrong but these incidents; `seed` varies guest and network. */
export function quietPlan(seed: number, incidents: readonly Incident[]): Plan {
  const side: SidePlan = {
    peerTimeoutMs: 2000,
    reconnectTimeoutMs: 500,
    vcpus: 2,
    slots: 4,
    mirrorMs: 0.25,
    diskMs: 5,
    diskFaults: [],
    guestFault: undefined,
  };
  return {
    ...planOf(seed),
    kind: 'rough',
    lanes: 2,
    maxEpochs: 2,
    downtimeLimitMs: 300,
    bytesPerSecond: null,
    onStall: null,
    verify: true,
    network: {
      latencyMs: 1,
      jitterMs: 1,
      bytesPerMs: 1000,
      linkBytes: 100_000,
      frames: { isEverything: false },
    },
    source: side,
    destination: side,
    incidents,
  };
}

/** Enough for lanes to come back after a mild incident. */
const PATIENT_MS = 1000;

/** Whether nothing in the plan can keep the sides from telling each other how it ended. */
export function hasNoCauseOfDoubt(plan: Plan): boolean {
  if (plan.kind === 'mild' || plan.kind === 'stopped') return true;
  const { isEverything, lostOnce } = plan.network.frames;
  if (isEverything || lostOnce !== undefined) return false;
  const isHarmless = plan.incidents.every((incident) => {
    if (incident.act === 'part' || incident.act === 'stall') return incident.forMs <= MILD_MS;
    return incident.act !== 'die';
  });
  return isHarmless && [plan.source, plan.destination].every(tellsInTime);
}

function tellsInTime(side: SidePlan): boolean {
  const { diskFaults, peerTimeoutMs, reconnectTimeoutMs } = side;
  const decides = !diskFaults.includes('aborted') && !diskFaults.includes('committed');
  return decides && peerTimeoutMs >= PATIENT_MS && reconnectTimeoutMs >= PATIENT_MS;
}
