/** What: the closing lines of a migration: the verdict first, then what stands behind it. Pure. */
import type { LaneReport, MigrationReport } from '../session/types.js';
import { formatByteRate, formatBytes, formatCount, formatMilliseconds } from '../units.js';
import { isVerified } from './report.js';
import { ratioOf } from './rounds.js';
import { printable, type Style } from './style.js';

const nameColumns = 12;
/** Of up to 64: more would push the verdict off the screen. */
const lanesListedMost = 8;

type Fact = readonly [name: string, value: string];

function ramFact(report: MigrationReport): Fact {
  const texts = new Map<boolean | null, string>([
    [true, 'digests of both sides equal'],
    [false, 'DIGESTS DIFFER'],
    [null, 'digests not compared'],
  ]);
  const digests = texts.get(report.verified.ramDigestsEqual) ?? '';
  return ['memory', `${formatBytes(report.ramBytes)}, ${digests}`];
}

function guestFact(report: MigrationReport): Fact | undefined {
  const { guestSelfCheck, ticksBefore, ticksAfter } = report.verified;
  const parts: string[] = [];
  if (guestSelfCheck !== null) parts.push(`self-check ${guestSelfCheck ? 'passed' : 'FAILED'}`);
  if (ticksBefore !== null && ticksAfter !== null) {
    parts.push(`ticks ${formatCount(ticksBefore)} to ${formatCount(ticksAfter)}`);
  }
  return parts.length === 0 ? undefined : ['guest', parts.join(', ')];
}

/** The guest's gap; where it is above the limit, why. */
function downtimeFact({ convergence, downtimeMs }: MigrationReport): Fact | undefined {
  if (downtimeMs === null) return undefined;
  const text = formatMilliseconds(downtimeMs);
  if (convergence === undefined || downtimeMs <= convergence.downtimeLimitMs) {
    return ['downtime', text];
  }
  const { detail, estimatedDowntimeMs } = convergence;
  const limit = formatMilliseconds(convergence.downtimeLimitMs);
  const forecast = `the forecast was ${formatMilliseconds(estimatedDowntimeMs)}`;
  return ['downtime', `${text}, above the limit of ${limit} (${forecast}; ${detail})`];
}

/** What was sent for which guest memory: "215 MiB for 512 MiB of pages (ratio 2.38), 3 rounds". */
function sentFact(report: MigrationReport): Fact {
  const rounds = report.rounds.length;
  const sent = `${formatBytes(report.wireBytes)} for ${formatBytes(report.plainBytes)} of pages`;
  const count = `${rounds} ${rounds === 1 ? 'round' : 'rounds'}`;
  return ['sent', `${sent} (ratio ${ratioOf(report)}), ${count}`];
}

function engineFact(report: MigrationReport, style: Style): Fact {
  const { source, destination } = report.engine;
  const engines = `${source ?? '?'} ${style.signs.arrow} ${destination ?? '?'}`;
  const vcpus = `${report.vcpus} mirror ${report.vcpus === 1 ? 'vCPU' : 'vCPUs'}`;
  return ['engines', `${engines}, ${vcpus}`];
}

/** "261 MiB in 254 frames at 480 MB/s, opened 2 times". */
function laneFact(lane: LaneReport): Fact {
  const isSender = lane.bytesSent >= lane.bytesReceived;
  const bytes = formatBytes(isSender ? lane.bytesSent : lane.bytesReceived);
  const frames = isSender ? lane.framesSent : lane.framesReceived;
  const rate = isSender ? ` at ${formatByteRate(lane.sendBytesPerSecond)}` : '';
  const again = lane.connections > 1 ? `, opened ${lane.connections} times` : '';
  return [`lane ${lane.lane}`, `${bytes} in ${formatCount(frames)} frames${rate}${again}`];
}

function memoryFact(report: MigrationReport): Fact | undefined {
  const { source, destination } = report.peakRssBytes;
  const parts: string[] = [];
  if (source !== null) parts.push(`source ${formatBytes(source)}`);
  if (destination !== null) parts.push(`destination ${formatBytes(destination)}`);
  return parts.length === 0 ? undefined : ['peak RSS', parts.join(', ')];
}

function factsOf(report: MigrationReport, style: Style): Fact[] {
  const lanes = `${report.lanes} ${report.lanes === 1 ? 'lane' : 'lanes'}`;
  const rate = `${formatByteRate(report.throughputBytesPerSecond)} of guest memory`;
  const facts: (Fact | undefined)[] = [
    ramFact(report),
    guestFact(report),
    downtimeFact(report),
    ['total', `${formatMilliseconds(report.totalMs)}, ${rate}`],
    sentFact(report),
    engineFact(report, style),
    ['lanes', `${lanes} over ${report.transport}, codec ${report.codec}`],
    ...(report.perLane ?? []).slice(0, lanesListedMost).map(laneFact),
    memoryFact(report),
    ['session', report.sessionId],
  ];
  return facts.filter((fact) => fact !== undefined);
}

function headline(report: MigrationReport, style: Style): string {
  const { ok, bad, warn } = style.signs;
  if (report.outcome !== 'completed') {
    const what = report.outcome === 'aborted' ? 'aborted' : 'failed';
    return style.bold(style.red(`${bad} ${what}`));
  }
  if (!isVerified(report)) return style.bold(style.red(`${bad} migrated, but NOT VERIFIED`));
  const total = formatMilliseconds(report.totalMs);
  if (report.verified.ramDigestsEqual === null) {
    return style.bold(style.yellow(`${warn} migrated in ${total}, memory not compared`));
  }
  return style.bold(style.green(`${ok} migrated and verified in ${total}`));
}

/** The closing lines. `advice` comes from the caller: the error told, hints, where the guest is. */
export function summaryLines(
  report: MigrationReport,
  style: Style,
  advice: readonly string[] = [],
): string[] {
  const facts = report.sessionId === '' ? [] : factsOf(report, style);
  const lines = facts.map(
    ([name, value]) => `  ${style.dim(name.padEnd(nameColumns))}${printable(value)}`,
  );
  return ['', headline(report, style), ...advice.map((line) => `  ${line}`), ...lines, ''];
}
