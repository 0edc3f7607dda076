/** What: a running session as lines for people. Pure. */
import type { LaneReport, MigrationStatus } from '../session/types.js';
import { formatByteRate, formatBytes, formatCount, formatMilliseconds } from '../units.js';
import { convergenceSentence, settingsSentence, stateTexts } from './rounds.js';
import { printable } from './style.js';

const nameColumns = 10;

function progressText({ progress }: MigrationStatus): string | undefined {
  if (progress === null) return undefined;
  const { bytesPerSecond, epoch, pagesDone, pagesTotal } = progress;
  const share = pagesTotal === 0 ? 100 : Math.floor((pagesDone / pagesTotal) * 100);
  const pages = `${formatCount(pagesDone)}/${formatCount(pagesTotal)} pages`;
  return `${epoch}: ${share} %, ${pages}, ${formatByteRate(bytesPerSecond)}`;
}

function laneFact({ lane, bytesSent, bytesReceived }: LaneReport): readonly [string, string] {
  return [`lane ${lane}`, `${formatBytes(bytesSent)} sent, ${formatBytes(bytesReceived)} received`];
}

/** `name` is what the session is called here, such as source-4711. */
export function statusLines(name: string, status: MigrationStatus): string[] {
  const held = status.isPaused ? ', held' : '';
  const { convergence, settings } = status;
  const id = status.sessionId === '' ? '(no session yet)' : status.sessionId;
  const facts: readonly (readonly [string, string | undefined])[] = [
    ['state', `${stateTexts[status.state]}${held}`],
    ['round', progressText(status)],
    ['sent', `${formatBytes(status.wireBytes)} of ${formatBytes(status.ramBytes)} guest RAM`],
    ['lanes', `${status.lanes} over ${status.transport}`],
    ...(status.perLane ?? []).map(laneFact),
    ['time', formatMilliseconds(status.totalMs)],
    ['settings', settings === null ? undefined : settingsSentence(settings).slice(10)],
    ['precopy', convergence === undefined ? undefined : convergenceSentence(convergence)],
    ['error', status.error?.message],
  ];
  const lines = facts.flatMap(([fact, value]) =>
    value === undefined ? [] : [`  ${fact.padEnd(nameColumns)}${printable(value)}`],
  );
  return [`${id}  ${name}`, ...lines];
}
