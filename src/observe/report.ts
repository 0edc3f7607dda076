/**
 * What: reports made outside a session: of a failure before there was one, and the one that tells
 * both sides' halves of the same migration.
 */
import type { ErrorCode } from '../errors.js';
import type { MigrationReport, Role } from '../session/types.js';

type Outcome = MigrationReport['outcome'];

/** The report of a migration that did not even begin. */
export function failureReport(
  error: { readonly code: ErrorCode; readonly message: string },
  role: Role,
  outcome: Outcome = 'failed',
): MigrationReport {
  return {
    report: 'migration',
    version: 1,
    outcome,
    error: { code: error.code, message: error.message },
    sessionId: '',
    engine: { source: null, destination: null },
    transport: '',
    lanes: 0,
    vcpus: 0,
    codec: 'none',
    ramBytes: 0,
    rounds: [],
    totalMs: 0,
    downtimeMs: null,
    plainBytes: 0,
    wireBytes: 0,
    throughputBytesPerSecond: 0,
    peakRssBytes: { source: null, destination: null },
    verified: { ramDigestsEqual: null, guestSelfCheck: null, ticksBefore: null, ticksAfter: null },
    guest: { role, state: 'gone' },
  };
}

/** Whether everything that was asked to be verified came out right. */
export function isVerified(report: MigrationReport): boolean {
  const { ramDigestsEqual, guestSelfCheck, ticksBefore, ticksAfter } = report.verified;
  const ticksGoOn = ticksBefore === null || ticksAfter === null || ticksAfter > ticksBefore;
  return ramDigestsEqual !== false && guestSelfCheck !== false && ticksGoOn;
}

/** What either side says; false is stronger than true, both are stronger than not knowing. */
function bothAgree(left: boolean | null, right: boolean | null): boolean | null {
  if (left === null || right === null) return left ?? right;
  return left && right;
}

function gapOf({ verified }: MigrationReport): { guestLongestGapMs?: number } {
  const { guestLongestGapMs } = verified;
  return guestLongestGapMs === undefined ? {} : { guestLongestGapMs };
}

/** The worse of two outcomes, and the error that goes with it. */
function worse(source: MigrationReport, destination: MigrationReport): MigrationReport {
  const rank: Record<Outcome, number> = { completed: 0, aborted: 1, failed: 2 };
  if (source.outcome === destination.outcome) return source;
  return rank[source.outcome] > rank[destination.outcome] ? source : destination;
}

/**
 * One report of both sides' halves. The source knows the rounds, the times and what was sent; the
 * destination knows the guest that runs now.
 */
export function mergeReports(
  source: MigrationReport,
  destination: MigrationReport,
): MigrationReport {
  const told = worse(source, destination);
  const completed = told.outcome === 'completed';
  const { error: _error, ...facts } = source;
  return {
    ...facts,
    outcome: told.outcome,
    ...(told.error === undefined ? {} : { error: told.error }),
    sessionId: source.sessionId === '' ? destination.sessionId : source.sessionId,
    engine: {
      source: source.engine.source ?? destination.engine.source,
      destination: destination.engine.destination ?? source.engine.destination,
    },
    downtimeMs: source.downtimeMs ?? destination.downtimeMs,
    peakRssBytes: {
      source: source.peakRssBytes.source ?? destination.peakRssBytes.source,
      destination: destination.peakRssBytes.destination ?? source.peakRssBytes.destination,
    },
    verified: {
      ramDigestsEqual: bothAgree(
        source.verified.ramDigestsEqual,
        destination.verified.ramDigestsEqual,
      ),
      guestSelfCheck: completed
        ? bothAgree(destination.verified.guestSelfCheck, source.verified.guestSelfCheck)
        : source.verified.guestSelfCheck,
      ticksBefore: source.verified.ticksBefore ?? destination.verified.ticksBefore,
      ticksAfter: completed ? destination.verified.ticksAfter : source.verified.ticksAfter,
      ...gapOf(completed ? destination : source),
    },
    guest: completed ? destination.guest : source.guest,
  };
}
