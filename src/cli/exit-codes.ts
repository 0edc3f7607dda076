/**
 * What: the one table of exit codes, and how a report or an error becomes one. Numbers never
 * change meaning: scripts rely on them. docs/cli.md and `pageferry --help` show the same table.
 */
import { ConfigurationError, IntegrityError, errorCode } from '../errors.js';
import { isVerified } from '../observe/report.js';
import type { MigrationReport } from '../session/types.js';

export const EXIT = {
  completed: 0,
  failed: 1,
  usage: 2,
  aborted: 3,
  inDoubt: 4,
  refused: 5,
  interrupted: 130,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** For people, in the order of the numbers. */
export const EXIT_MEANINGS: readonly (readonly [ExitCode, string])[] = [
  [EXIT.completed, 'completed, and everything that was to be verified is verified'],
  [EXIT.failed, 'failed'],
  [EXIT.usage, 'wrong usage or configuration; nothing was started'],
  [EXIT.aborted, 'ended before COMMIT; the guest runs on at the source'],
  [EXIT.inDoubt, 'in doubt: this side cannot know who owns the guest; see the advice printed'],
  [EXIT.refused, 'the peer was refused, or refused us: wrong key, or not authentic'],
  [EXIT.interrupted, 'a second Ctrl-C or SIGTERM ended the process at once'],
];

const inDoubtCode = /^ERR_PAGEFERRY_(SESSION_)?IN_DOUBT$/;
const refusedCode = /^ERR_PAGEFERRY_(SECRET|REFUSED|ROLE|VERSION|UNKNOWN_SESSION|LANE_JOIN)$/;

/** Whether the session ended without this side's knowing who owns the guest. */
export function isInDoubt(report: Pick<MigrationReport, 'error'>): boolean {
  return report.error !== undefined && inDoubtCode.test(report.error.code);
}

/** Whether an error's code says that one side does not accept the other. */
export function isRefusal(code: string): boolean {
  return refusedCode.test(code);
}

export function exitCodeOfReport(report: MigrationReport): ExitCode {
  if (report.outcome === 'completed') return isVerified(report) ? EXIT.completed : EXIT.failed;
  if (isInDoubt(report)) return EXIT.inDoubt;
  if (report.error !== undefined && isRefusal(report.error.code)) return EXIT.refused;
  const runsAtSource = report.guest.role === 'source' && report.guest.state === 'running';
  if (runsAtSource || report.outcome === 'aborted') return EXIT.aborted;
  // A session that ended without COMMIT left the guest with its source.
  const hadSession = report.guest.role === 'destination' && report.sessionId !== '';
  return hadSession && report.guest.state === 'gone' ? EXIT.aborted : EXIT.failed;
}

/** For what was thrown before there was a session. */
export function exitCodeOfError(error: unknown): ExitCode {
  if (error instanceof ConfigurationError) return EXIT.usage;
  if (error instanceof IntegrityError || isRefusal(errorCode(error))) return EXIT.refused;
  return EXIT.failed;
}
