/** What: puts a session's report together out of what it has come to know. */
import { AbortError, errorCode, errorMessage } from '../errors.js';
import type { SelfCheck } from '../guest/contract.js';
import type { CodecName, EngineName } from '../mirror/contract.js';
import type { Statistics } from './statistics.js';
import type {
  ConvergenceReport,
  DowntimeParts,
  LaneReport,
  MigrationReport,
  Role,
} from './types.js';

/** What becomes known on the way; undefined or null: not yet. */
export interface Findings {
  codec: CodecName;
  vcpus: number;
  ramBytes: number;
  sourceEngine: EngineName | null;
  destinationEngine: EngineName | null;
  sourceRssBytes: number | null;
  destinationRssBytes: number | null;
  downtimeMs: number | null;
  downtimeParts: DowntimeParts | undefined;
  convergence: ConvergenceReport | undefined;
  digestsEqual: boolean | null;
  selfCheck: SelfCheck | undefined;
  ticksBefore: number | null;
  ticksAfter: number | null;
  guestLongestGapMs: number | null;
}

export function noFindings(codec: CodecName, vcpus: number): Findings {
  return {
    codec,
    vcpus,
    ramBytes: 0,
    sourceEngine: null,
    destinationEngine: null,
    sourceRssBytes: null,
    destinationRssBytes: null,
    downtimeMs: null,
    downtimeParts: undefined,
    convergence: undefined,
    digestsEqual: null,
    selfCheck: undefined,
    ticksBefore: null,
    ticksAfter: null,
    guestLongestGapMs: null,
  };
}

export interface Ending {
  readonly role: Role;
  readonly transport: string;
  readonly sessionId: string;
  readonly lanes: number;
  readonly perLane: readonly LaneReport[];
  /** Undefined: completed. */
  readonly error: Error | undefined;
  readonly totalMs: number;
  readonly guestState: MigrationReport['guest']['state'];
}

export function outcomeOf(error: Error | undefined): MigrationReport['outcome'] {
  if (error === undefined) return 'completed';
  return error instanceof AbortError ? 'aborted' : 'failed';
}

export function buildReport(
  ending: Ending,
  findings: Findings,
  statistics: Statistics | undefined,
): MigrationReport {
  const { error, role } = ending;
  const plainBytes = statistics?.plainBytes ?? 0;
  const transferMs = statistics?.transferMs ?? 0;
  return {
    report: 'migration',
    version: 1,
    outcome: outcomeOf(error),
    ...(error === undefined
      ? {}
      : { error: { code: errorCode(error), message: errorMessage(error) } }),
    sessionId: ending.sessionId,
    engine: { source: findings.sourceEngine, destination: findings.destinationEngine },
    transport: ending.transport,
    lanes: ending.lanes,
    perLane: ending.perLane,
    vcpus: findings.vcpus,
    codec: findings.codec,
    ramBytes: findings.ramBytes,
    rounds: statistics?.rounds ?? [],
    totalMs: ending.totalMs,
    downtimeMs: findings.downtimeMs,
    ...(findings.downtimeParts === undefined ? {} : { downtimeParts: findings.downtimeParts }),
    ...(findings.convergence === undefined ? {} : { convergence: findings.convergence }),
    plainBytes,
    wireBytes: statistics?.wireBytes ?? 0,
    throughputBytesPerSecond: transferMs > 0 ? (plainBytes / transferMs) * 1000 : 0,
    peakRssBytes: { source: findings.sourceRssBytes, destination: findings.destinationRssBytes },
    verified: {
      ramDigestsEqual: findings.digestsEqual,
      guestSelfCheck: findings.selfCheck?.ok ?? null,
      ticksBefore: findings.ticksBefore,
      ticksAfter: findings.ticksAfter,
      ...(findings.guestLongestGapMs === null
        ? {}
        : { guestLongestGapMs: findings.guestLongestGapMs }),
    },
    guest: {
      role,
      state: ending.guestState,
      ...(findings.selfCheck === undefined ? {} : { selfCheck: findings.selfCheck }),
    },
  };
}

/** This process's peak resident set; the system counts in KiB. */
export function peakRssBytes(): number {
  return process.resourceUsage().maxRSS * 1024;
}
