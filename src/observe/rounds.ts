/**
 * What: how rounds, states and progress read: as lines of a table on a terminal, as sentences
 * elsewhere. Pure.
 */
import type { SessionSettings } from '../session/settings.js';
import type {
  ConvergenceReport,
  RoundReport,
  SessionEvent,
  SessionState,
} from '../session/types.js';
import { formatByteRate, formatBytes, formatCount, formatMilliseconds } from '../units.js';

export type RoundEvent = Extract<SessionEvent, { type: 'round' }>;

/** A round as it is shown; of the last one, with the guest stopped, there is no forecast. */
export type ShownRound = Pick<RoundEvent, 'round'> &
  Partial<Pick<RoundEvent, 'dirtyPagesPerSecond' | 'estimatedDowntimeMs'>>;

interface Column {
  readonly title: string;
  readonly width: number;
  /** Shown only where the terminal is at least so wide. */
  readonly from: number;
  readonly cell: (event: ShownRound) => string;
}

/** Guest bytes for each byte sent; undefined where nothing was sent. */
export function ratioOf(round: Pick<RoundReport, 'plainBytes' | 'wireBytes'>): string {
  const { plainBytes, wireBytes } = round;
  return wireBytes === 0 ? '-' : (plainBytes / wireBytes).toFixed(2);
}

function wireRate(round: RoundReport): string {
  const { durationMs, wireBytes } = round;
  return durationMs <= 0 ? '-' : formatByteRate((wireBytes * 1000) / durationMs);
}

const wide = 100;

const columns: readonly Column[] = [
  { title: 'round', width: 7, from: 0, cell: ({ round }) => `${round.epoch}` },
  { title: 'pages', width: 11, from: 0, cell: ({ round }) => formatCount(round.pagesSent) },
  { title: 'zero', width: 11, from: wide, cell: ({ round }) => formatCount(round.zeroPages) },
  { title: 'sent', width: 9, from: 0, cell: ({ round }) => formatBytes(round.wireBytes) },
  {
    title: 'time',
    width: 9,
    from: wide,
    cell: ({ round }) => formatMilliseconds(round.durationMs),
  },
  { title: 'rate', width: 10, from: 0, cell: ({ round }) => wireRate(round) },
  { title: 'ratio', width: 6, from: 0, cell: ({ round }) => ratioOf(round) },
  {
    title: 'dirty pages/s',
    width: 13,
    from: 0,
    cell: ({ dirtyPagesPerSecond: rate }) => (rate === undefined ? '-' : formatCount(rate)),
  },
  {
    title: 'est. downtime',
    width: 13,
    from: 0,
    cell: ({ estimatedDowntimeMs: ms }) => (ms === undefined ? '-' : formatMilliseconds(ms)),
  },
];

function row(width: number, text: (column: Column) => string): string {
  const shown = columns.filter((column) => width >= column.from);
  return shown.map((column) => text(column).padStart(column.width)).join(' ');
}

export function tableHead(width: number): string {
  return row(width, (column) => column.title);
}

export function tableRow(event: ShownRound, width: number): string {
  return row(width, (column) => column.cell(event));
}

/** One round as a sentence, for logs and pipes. */
export function roundSentence(event: ShownRound): string {
  const { dirtyPagesPerSecond, estimatedDowntimeMs, round } = event;
  const parts = [
    `round ${round.epoch}: ${formatCount(round.pagesSent)} pages`,
    `${formatCount(round.zeroPages)} zero pages`,
    `${formatBytes(round.wireBytes)} sent in ${formatMilliseconds(round.durationMs)}`,
    wireRate(round),
    `ratio ${ratioOf(round)}`,
  ];
  if (dirtyPagesPerSecond !== undefined) {
    parts.push(`${formatCount(dirtyPagesPerSecond)} dirty pages/s`);
  }
  if (estimatedDowntimeMs !== undefined) {
    parts.push(`estimated downtime ${formatMilliseconds(estimatedDowntimeMs)}`);
  }
  return parts.join(', ');
}

/** What a state means, for people. */
export const stateTexts: Readonly<Record<SessionState, string>> = {
  connecting: 'waiting for the other side',
  handshake: 'agreeing on keys',
  layout: 'exchanging the layout of the guest',
  precopy: 'copying memory while the guest runs',
  stopping: 'guest stopped, copying the rest',
  ready: 'everything is at the destination, verified',
  committing: 'handing the guest over',
  committed: 'the destination owns the guest',
  completed: 'completed',
  aborted: 'aborted',
  failed: 'failed',
  undecided: 'in doubt about who owns the guest',
};

/** What a hold, or its end, is called. */
export function heldText(isPaused: boolean): string {
  return isPaused ? 'held: nothing is copied, the guest runs on' : 'goes on copying';
}

export function settingsSentence(settings: SessionSettings): string {
  const { maxBandwidthBytesPerSecond: limit, downtimeLimitMs, onStall } = settings;
  const bandwidth = limit === null ? 'no bandwidth limit' : `at most ${formatByteRate(limit)}`;
  const downtime = `downtime limit ${formatMilliseconds(downtimeLimitMs)}`;
  return `settings: ${bandwidth}, ${downtime}, on stall ${onStall ?? 'go on'}`;
}

/** What was done about the end of precopy, and why. */
export function convergenceSentence(convergence: ConvergenceReport): string {
  const { chosen, detail, downtimeLimitMs, estimatedDowntimeMs } = convergence;
  const slowed = `slowed ${convergence.reason === 'stalled' ? 'the guest ' : ''}down`;
  const stopped = convergence.reason === 'stalled' ? '' : 'stopped the guest, ';
  const chosenTexts: Readonly<Record<ConvergenceReport['chosen'], string>> = {
    none: 'stopped the guest',
    stop: 'stopped the guest all the same',
    abort: 'gave up',
    throttle: `${stopped}${slowed} by ${convergence.throttlePercent} %`,
  };
  const estimate = formatMilliseconds(estimatedDowntimeMs);
  const downtime = `estimated downtime ${estimate}, limit ${formatMilliseconds(downtimeLimitMs)}`;
  return `${chosenTexts[chosen]}: ${detail} (${downtime})`;
}

/** All lanes are lost, or one is back. */
export function connectionSentence(
  event: Extract<SessionEvent, { type: 'reconnecting' | 'reconnected' }>,
): string {
  return event.type === 'reconnecting'
    ? `${event.role}: every lane is lost, waiting up to ${formatMilliseconds(event.limitMs)}`
    : `${event.role}: connected again after ${formatMilliseconds(event.outageMs)}`;
}

/** "1:05" for 65 seconds. */
export function formatEta(seconds: number): string {
  const whole = Math.ceil(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
}

/** Remembers which rounds were shown, and gives those of a final report that were not. */
export class RoundsShown {
  private readonly epochs = new Set<number>();

  note(epoch: number): void {
    this.epochs.add(epoch);
  }

  /** Nothing where no round was shown at all: then this side tells no rounds. */
  missing(rounds: readonly RoundReport[]): ShownRound[] {
    if (this.epochs.size === 0) return [];
    return rounds.filter(({ epoch }) => !this.epochs.has(epoch)).map((round) => ({ round }));
  }
}
