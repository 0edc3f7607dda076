/**
 * What: what a session takes and tells: options, events, report. The command line's `--json` is
 * the report; the events are what the display draws. Units are in the names.
 */
import type { ErrorCode } from '../errors.js';
import type { Guest, GuestLayout, SelfCheck } from '../guest/contract.js';
import type { CodecName, EngineName } from '../mirror/contract.js';
import type { Lane, Listener } from '../transport/contract.js';
import type { SessionControl } from './session-control.js';
import type { SessionSettings, StallPolicy } from './settings.js';

export type Role = 'source' | 'destination';

/** Where lanes come from; independent of role. */
export type LaneSource =
  | {
      readonly mode: 'dial';
      /** How many lanes to open. */
      readonly lanes: number;
      readonly address: string;
      /** Called once, with what changes the number of lanes while the session runs (1 to 64). */
      readonly onLanes?: (setLanes: (count: number) => void) => void;
      dial(signal: AbortSignal): Promise<Lane>;
    }
  | {
      readonly mode: 'listen';
      readonly listen: (
        onLane: (lane: Lane) => void,
        onRefused?: (remote: string, error: Error) => void,
      ) => Promise<Listener>;
    };

export interface SessionOptions {
  readonly laneSource: LaneSource;
  /** The transport's scheme, for the report. */
  readonly transport: string;
  /** Pre-shared secret, at least 32 bytes. Wiped by the caller. */
  readonly secret: Uint8Array;
  readonly engine: EngineName | 'auto';
  readonly vcpus: number;
  /** Record memory in flight on this side, in bytes. */
  readonly windowBytes: number;
  readonly signal?: AbortSignal;
  /** A handle to look at the session and to steer it while it runs; see session-control.ts. */
  readonly control?: SessionControl;
  /** Limit of every wait for the peer, in milliseconds. */
  readonly peerTimeoutMs: number;
  /**
   * How long the session may be without any lane before it ends, in milliseconds; default 30 s.
   * The guest runs on at the source meanwhile; where it is paused already, at most 5 s are waited.
   */
  readonly reconnectTimeoutMs?: number;
  /**
   * Records durably what this side is about to promise, before it does: 'layout' (there is a
   * session), 'ready' (destination), 'committing' (source), 'undecided'. Rejecting keeps the
   * promise from being made.
   */
  readonly recordState?: (sessionId: string, state: SessionState) => Promise<void>;
  readonly onEvent?: (event: SessionEvent) => void;
}

export interface SourceOptions extends SessionOptions {
  readonly guest: Guest;
  readonly codec: CodecName;
  /** 0: the codec's default. */
  readonly level: number;
  /** Padding granule in bytes, or 0. */
  readonly padBytes: number;
  readonly downtimeLimitMs: number;
  /** Bytes per second over all lanes; null or absent: no limit. */
  readonly maxBandwidthBytesPerSecond?: number | null;
  /** What to do when precopy will not converge; null or absent: go on up to `maxEpochs`. */
  readonly onStall?: StallPolicy | null;
  /** After so many epochs the guest is stopped whatever is left. */
  readonly maxEpochs: number;
  /** Compare keyed digests of both sides' RAM before COMMIT. */
  readonly verify: boolean;
}

export interface DestinationOptions extends SessionOptions {
  /** RAM a source may ask for, in bytes of ram_addr_t space; default 64 GiB. */
  readonly ramLimitBytes?: number;
  /** Builds the guest the layout asks for; the session closes it unless it becomes the owner. */
  readonly openGuest: (layout: GuestLayout) => Promise<Guest>;
  /** Records COMMITTED or ABORTED durably before it is acted on. */
  readonly recordDecision: (sessionId: string, decision: 'committed' | 'aborted') => Promise<void>;
}

export interface RoundReport {
  readonly epoch: number;
  readonly pagesScanned: number;
  readonly pagesSent: number;
  readonly zeroPages: number;
  readonly plainBytes: number;
  readonly wireBytes: number;
  readonly durationMs: number;
}

/** What one lane has carried on this side, all its connections together. */
export interface LaneReport {
  /** The dialer's number for it, from 0. */
  readonly lane: number;
  /** For people: where its other end was last. */
  readonly remote: string;
  /** 1, and one more each time it was lost and dialed again. */
  readonly connections: number;
  readonly framesSent: number;
  readonly framesReceived: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  /** While it had something to send; 0 when it never had. */
  readonly sendBytesPerSecond: number;
}

/** How the decision to stop the guest came about. */
export interface ConvergenceReport {
  readonly policy: StallPolicy | null;
  /** What was done about a stall: none, where precopy converged by itself. */
  readonly chosen: 'none' | StallPolicy;
  /** fits, fixed-cost, idle; epoch-limit; stalled, throttle-unsupported, throttle-exhausted. */
  readonly reason: string;
  /** The reason for people. */
  readonly detail: string;
  /** By how much the guest was slowed down, at most. */
  readonly throttlePercent: number;
  readonly downtimeLimitMs: number;
  /** What a stop was expected to cost when it was decided. */
  readonly estimatedDowntimeMs: number;
}

/** Where the downtime went, in milliseconds; the parts add up to it. Known to the source. */
export interface DowntimeParts {
  /** Stopping the guest's vCPUs. */
  readonly pauseMs: number;
  /** The last look at the dirty pages, the last epoch, and its acceptance. */
  readonly copyMs: number;
  /** From there to READY: both digests of RAM, the device state. */
  readonly verifyMs: number;
  /** COMMIT, made durable there, and its answer. */
  readonly commitMs: number;
  readonly resumeMs: number;
}

export interface MigrationReport {
  readonly report: 'migration';
  readonly version: 1;
  readonly outcome: 'completed' | 'aborted' | 'failed';
  readonly error?: { readonly code: ErrorCode; readonly message: string };
  /** Hex; empty when no session came about. */
  readonly sessionId: string;
  readonly engine: { readonly source: EngineName | null; readonly destination: EngineName | null };
  readonly transport: string;
  readonly lanes: number;
  /** By lane number; absent where there was no session. */
  readonly perLane?: readonly LaneReport[];
  readonly vcpus: number;
  readonly codec: CodecName;
  readonly ramBytes: number;
  readonly rounds: readonly RoundReport[];
  readonly totalMs: number;
  readonly downtimeMs: number | null;
  readonly downtimeParts?: DowntimeParts;
  readonly convergence?: ConvergenceReport;
  readonly plainBytes: number;
  readonly wireBytes: number;
  readonly throughputBytesPerSecond: number;
  readonly peakRssBytes: { readonly source: number | null; readonly destination: number | null };
  readonly verified: {
    /** Null: not asked for, or not reached. */
    readonly ramDigestsEqual: boolean | null;
    readonly guestSelfCheck: boolean | null;
    readonly ticksBefore: number | null;
    readonly ticksAfter: number | null;
    /** Longest gap between two ticks since the migration began, as the guest measures it. */
    readonly guestLongestGapMs?: number;
  };
  /** The guest on this side after the session: what runs where. */
  readonly guest: {
    readonly role: Role;
    readonly state: 'running' | 'paused' | 'gone';
    readonly selfCheck?: SelfCheck;
  };
}

/** The report of a session so far, with what only a running one has. */
export interface MigrationStatus extends Omit<MigrationReport, 'outcome'> {
  readonly outcome: MigrationReport['outcome'] | 'running';
  readonly role: Role;
  readonly state: SessionState;
  readonly isPaused: boolean;
  /** Null at a destination. */
  readonly settings: SessionSettings | null;
  readonly progress: ProgressReport | null;
}

export interface ProgressReport {
  readonly epoch: number;
  readonly pagesDone: number;
  readonly pagesTotal: number;
  readonly bytesPerSecond: number;
}

export type SessionState =
  | 'connecting'
  | 'handshake'
  | 'layout'
  | 'precopy'
  | 'stopping'
  | 'ready'
  | 'committing'
  | 'committed'
  | 'completed'
  | 'aborted'
  | 'failed'
  | 'undecided';

export type SessionEvent =
  | { readonly type: 'state'; readonly role: Role; readonly state: SessionState }
  | { readonly type: 'listening'; readonly address: string }
  | { readonly type: 'established'; readonly sessionId: string; readonly ramBytes: number }
  | {
      readonly type: 'lane';
      readonly lane: number;
      readonly remote: string;
      readonly open: boolean;
    }
  /** Every lane is lost; the session waits for one to come back, at most so long. */
  | { readonly type: 'reconnecting'; readonly role: Role; readonly limitMs: number }
  | { readonly type: 'reconnected'; readonly role: Role; readonly outageMs: number }
  /** A stranger or a wrong key; the session goes on waiting for the rightful peer. */
  | { readonly type: 'refused'; readonly remote: string; readonly error: Error }
  | {
      readonly type: 'progress';
      readonly role: Role;
      readonly epoch: number;
      /** Pages of this epoch done, and all of them (holes included). */
      readonly pagesDone: number;
      readonly pagesTotal: number;
      readonly wireBytes: number;
      readonly plainBytes: number;
      /** Wire rate over the last interval. */
      readonly bytesPerSecond: number;
    }
  | {
      readonly type: 'round';
      readonly round: RoundReport;
      /** Pages that became dirty during the round, and how fast. */
      readonly dirtyPages: number;
      readonly dirtyPagesPerSecond: number;
      /** What stopping now would cost. */
      readonly estimatedDowntimeMs: number;
    }
  /** The source copies nothing for a while, or goes on; both sides tell it. */
  | { readonly type: 'held'; readonly role: Role; readonly isPaused: boolean }
  | { readonly type: 'settings'; readonly settings: SessionSettings }
  /** Something was done, or has to be, about the end of precopy. */
  | { readonly type: 'convergence'; readonly convergence: ConvergenceReport }
  | { readonly type: 'ended'; readonly report: MigrationReport };
