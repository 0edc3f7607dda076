/**
 * Both sides of a session in one process, over a real transport, for tests: what they report,
 * what they told, and a hand on every lane.
 */
import { strict as assert } from 'node:assert';
import { randomBytes } from 'node:crypto';

import type { Guest, GuestLayout } from '../../../src/guest/contract.js';
import type { EngineName } from '../../../src/mirror/contract.js';
import type { SessionDependencies } from '../../../src/session/dependencies.js';
import { runDestinationWith } from '../../../src/session/destination.js';
import { runSourceWith } from '../../../src/session/source.js';
import type {
  DestinationOptions,
  LaneSource,
  MigrationReport,
  Role,
  SessionEvent,
  SessionState,
  SourceOptions,
} from '../../../src/session/types.js';
import type { Lane, Transport } from '../../../src/transport/contract.js';
import { transportFor } from '../../../src/transport/registry.js';
import { FRAME_BYTES_MAX } from '../../../src/wire/limits.js';

/** What the sides are made of: fakes, or the real mirror and a guest. */
export interface World {
  readonly dependencies: SessionDependencies;
  openSource(): Promise<Guest>;
  openDestination(layout: GuestLayout): Promise<Guest>;
}

export interface Side {
  readonly events: SessionEvent[];
  readonly abort: AbortController;
  /** Lanes of this side in the order they were opened. */
  readonly lanes: Lane[];
  readonly decisions: string[];
  guest: Guest | undefined;
  report: Promise<MigrationReport>;
}

export interface PairOptions {
  readonly world: World;
  readonly address?: string;
  readonly lanes?: number;
  readonly listener?: Role;
  readonly engine?: EngineName;
  readonly source?: Partial<SourceOptions>;
  readonly destination?: Partial<DestinationOptions>;
  /** Wraps every lane of a side: to look, to change, to cut. */
  readonly tap?: (role: Role, lane: Lane) => Lane;
  /** What the dialing side dials instead of the listener's port, or its address. */
  readonly via?: (port: number, address: string) => Promise<string>;
  readonly onLanes?: (setLanes: (count: number) => void) => void;
  readonly onEvent?: (role: Role, event: SessionEvent) => void;
}

export interface Pair {
  readonly source: Side;
  readonly destination: Side;
  readonly address: string;
  readonly secret: Uint8Array;
}

let memoryNames = 0;

export function memoryAddress(): string {
  memoryNames += 1;
  return `memory://session-${memoryNames}`;
}

function newSide(): Side {
  const report = Promise.reject(new Error('not started'));
  report.catch(() => {});
  return {
    events: [],
    abort: new AbortController(),
    lanes: [],
    decisions: [],
    guest: undefined,
    report,
  };
}

export function dialSource(
  transport: Transport,
  address: string,
  lanes: number,
  wrap: (lane: Lane) => Lane = (lane) => lane,
): Extract<LaneSource, { mode: 'dial' }> {
  const dial = async (signal: AbortSignal): Promise<Lane> => {
    const options = { signal, maxFrameBytes: FRAME_BYTES_MAX };
    return wrap(await transport.dial(new URL(address), options));
  };
  return { mode: 'dial', lanes, address, dial };
}

/** Starts the listening side, then the dialing one. */
export async function startPair(options: PairOptions): Promise<Pair> {
  const { world, listener = 'destination', lanes = 2 } = options;
  const wanted = options.address ?? memoryAddress();
  const { transport, url } = await transportFor(wanted);
  const sides = { source: newSide(), destination: newSide() };
  const secret = randomBytes(32);
  const wrap = (role: Role) => (lane: Lane) => {
    const tapped = options.tap?.(role, lane) ?? lane;
    sides[role].lanes.push(tapped);
    return tapped;
  };
  let tellAddress: (address: string) => void = () => {};
  const listening = new Promise<string>((resolve) => {
    tellAddress = resolve;
  });
  const common = (role: Role, laneSource: LaneSource) => ({
    laneSource,
    transport: transport.scheme,
    secret,
    engine: options.engine ?? ('in-process' as const),
    vcpus: 2,
    windowBytes: 16 * 1024 * 1024,
    peerTimeoutMs: 5000,
    reconnectTimeoutMs: 1000,
    signal: sides[role].abort.signal,
    onEvent: (event: SessionEvent) => {
      sides[role].events.push(event);
      if (event.type === 'listening') tellAddress(event.address);
      options.onEvent?.(role, event);
    },
  });
  const start = async (role: Role, laneSource: LaneSource): Promise<void> => {
    const side = sides[role];
    if (role === 'source') {
      side.guest = await world.openSource();
      side.report = runSourceWith(
        {
          ...common(role, laneSource),
          guest: side.guest,
          codec: 'none',
          level: 0,
          padBytes: 0,
          downtimeLimitMs: 300,
          maxEpochs: 10,
          verify: true,
          ...options.source,
        },
        world.dependencies,
      );
      return;
    }
    side.report = runDestinationWith(
      {
        ...common(role, laneSource),
        openGuest: async (layout) => {
          side.guest = await world.openDestination(layout);
          return side.guest;
        },
        recordDecision: (_sessionId, decision) => {
          side.decisions.push(decision);
          return Promise.resolve();
        },
        ...options.destination,
      },
      world.dependencies,
    );
  };
  const dialer = listener === 'source' ? 'destination' : 'source';
  await start(listener, {
    mode: 'listen',
    listen: (onLane) =>
      transport.listen(url, { maxFrameBytes: FRAME_BYTES_MAX }, (lane) => {
        onLane(wrap(listener)(lane));
      }),
  });
  const address = await listening;
  const dialed = (await options.via?.(Number(new URL(address).port), address)) ?? address;
  const source = dialSource(transport, dialed, lanes, wrap(dialer));
  const { onLanes } = options;
  await start(dialer, onLanes === undefined ? source : { ...source, onLanes });
  return { ...sides, address, secret };
}

export interface Outcome {
  readonly source: MigrationReport;
  readonly destination: MigrationReport;
}

export async function finish(pair: Pair): Promise<Outcome> {
  const [source, destination] = await Promise.all([pair.source.report, pair.destination.report]);
  return { source, destination };
}

/** Closes what a test has left; the session itself closes no guest it does not own. */
export async function dispose(pair: Pair): Promise<void> {
  await Promise.all([pair.source.guest?.close(), pair.destination.guest?.close()]);
}

export function states(side: Side): SessionState[] {
  return side.events.flatMap((event) => (event.type === 'state' ? [event.state] : []));
}

/** A finished migration, as both sides and both guests have to show it. */
export function assertCompleted(pair: Pair, { source, destination }: Outcome): void {
  assert.deepEqual(source.error, undefined);
  assert.deepEqual(destination.error, undefined);
  assert.equal(source.outcome, 'completed');
  assert.equal(destination.outcome, 'completed');
  assert.equal(source.verified.ramDigestsEqual, true);
  assert.equal(destination.verified.ramDigestsEqual, true);
  assert.equal(source.verified.guestSelfCheck, true);
  assert.equal(source.sessionId, destination.sessionId);
  assert.equal(source.guest.state, 'paused');
  assert.equal(destination.guest.state, 'running');
  assert.deepEqual(pair.destination.decisions, ['committed']);
  const { ticksBefore, ticksAfter } = source.verified;
  assert.ok((ticksAfter ?? 0) > (ticksBefore ?? 0), `${ticksBefore} to ${ticksAfter} ticks`);
}

/** A migration that ended before COMMIT: the guest runs where it was, and nowhere else. */
export function assertRolledBack(pair: Pair, { source, destination }: Outcome): void {
  assert.notEqual(source.outcome, 'completed');
  assert.notEqual(destination.outcome, 'completed');
  assert.equal(source.guest.state, 'running');
  assert.equal(destination.guest.state, 'gone');
  assert.equal(pair.source.guest?.state, 'running');
  assert.ok(!pair.destination.decisions.includes('committed'));
}
