/** Reports and events that the display's tests are fed with. */
import type { MigrationReport, SessionEvent } from '../../../src/session/types.js';

const MiB = 1024 * 1024;

export const sessionId = '3f2ac0ffee3f2ac0ffee3f2ac0ffee00';

export function sampleReport(changes: Partial<MigrationReport> = {}): MigrationReport {
  return {
    report: 'migration',
    version: 1,
    outcome: 'completed',
    sessionId,
    engine: { source: 'kvm', destination: 'in-process' },
    transport: 'tcp',
    lanes: 2,
    vcpus: 2,
    codec: 'lz4',
    ramBytes: 512 * MiB,
    rounds: [sampleRound(1).round, sampleRound(2).round],
    totalMs: 2890,
    downtimeMs: 38.2,
    plainBytes: 520 * MiB,
    wireBytes: 260 * MiB,
    throughputBytesPerSecond: 1.8e8,
    peakRssBytes: { source: 560 * MiB, destination: 571 * MiB },
    verified: {
      ramDigestsEqual: true,
      guestSelfCheck: true,
      ticksBefore: 8123,
      ticksAfter: 9456,
    },
    guest: { role: 'destination', state: 'running' },
    ...changes,
  };
}

export function sampleRound(epoch: number): Extract<SessionEvent, { type: 'round' }> {
  return {
    type: 'round',
    round: {
      epoch,
      pagesScanned: 131_072,
      pagesSent: 104_858,
      zeroPages: 26_214,
      plainBytes: 104_858 * 4096,
      wireBytes: 213 * MiB,
      durationMs: 2000,
    },
    dirtyPages: 4000,
    dirtyPagesPerSecond: 2001.4,
    estimatedDowntimeMs: 120,
  };
}
