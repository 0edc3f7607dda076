/**
 * What: `pageferry send`: what it does. Owns the guest: it is closed when the process ends, except
 * in doubt, when its memory is held until somebody says so.
 */
import type { Guest } from '../../guest/contract.js';
import { readKey } from '../../keys/index.js';
import type { SessionControl } from '../../session/session-control.js';
import type { MigrationReport, SourceOptions } from '../../session/types.js';
import type { SendOptions } from '../commands/send.js';
import { openControl } from '../controlled.js';
import type { DecisionStore } from '../decisions.js';
import { EXIT, exitCodeOfReport, isInDoubt, type ExitCode } from '../exit-codes.js';
import { Frontend } from '../frontend.js';
import { checkRunningGuest, describeCheck } from '../guest-checks.js';
import { doubtLines, holdUntilDecided } from '../hold.js';
import { Interruption } from '../interruption.js';
import { chooseLanes, type OpenedLanes } from '../lanes.js';
import { bandwidthSetting } from '../options.js';
import type { Parts } from '../parts.js';
import { openDecisions, recordEnd } from '../record-end.js';

interface Setting {
  readonly options: SendOptions;
  readonly parts: Parts;
  readonly decisions: DecisionStore;
  readonly front: Frontend;
  readonly interruption: Interruption;
  readonly control: SessionControl;
}

function sessionOptions(
  setting: Setting,
  guest: Guest,
  lanes: OpenedLanes,
  secret: Uint8Array,
): SourceOptions {
  const { decisions, options, front, interruption } = setting;
  return {
    guest,
    laneSource: lanes.source,
    transport: lanes.scheme,
    secret,
    engine: options.engine,
    vcpus: options.vcpus,
    windowBytes: options.window,
    signal: interruption.signal,
    control: setting.control,
    peerTimeoutMs: options.timeout,
    reconnectTimeoutMs: options.reconnectTimeout,
    recordState: (sessionId, state) => decisions.note(sessionId, state),
    codec: options.codec,
    level: options.codecLevel,
    padBytes: options.pad,
    downtimeLimitMs: options.downtimeLimit,
    maxBandwidthBytesPerSecond: bandwidthSetting(options.maxBandwidth),
    onStall: options.onStall ?? null,
    maxEpochs: options.maxEpochs,
    verify: options.verify,
    onEvent: (event) => {
      front.event(event);
    },
  };
}

/** After a session that ended before COMMIT: proves that the guest runs on as if nothing were. */
async function afterFailure(
  guest: Guest,
  report: MigrationReport,
): Promise<{ report: MigrationReport; advice: string[] }> {
  if (guest.state !== 'running') return { report, advice: [`the guest is ${guest.state} here`] };
  const check = await checkRunningGuest(guest);
  const { selfCheck, ticksAfter, ticksBefore } = check;
  const checked: MigrationReport = {
    ...report,
    verified: {
      ...report.verified,
      guestSelfCheck: selfCheck?.ok ?? null,
      ticksBefore,
      ticksAfter,
    },
    guest: {
      role: 'source',
      state: 'running',
      ...(selfCheck === undefined ? {} : { selfCheck }),
    },
  };
  const told = describeCheck(check);
  return { report: checked, advice: [`the guest goes on running here${told && `: ${told}`}`] };
}

/** COMMIT was sent and never answered: nobody may give this memory up but a person. */
async function holdInDoubt(setting: Setting, guest: Guest, sessionId: string): Promise<ExitCode> {
  const { decisions, front, interruption } = setting;
  interruption.dispose();
  const lines = doubtLines(sessionId, 'source');
  const decision = await holdUntilDecided(front, decisions, sessionId, lines);
  if (decision === undefined) return EXIT.inDoubt;
  if (decision === 'committed') {
    front.line("Resolved: the guest is the destination's; its memory is freed here.");
    return EXIT.completed;
  }
  await guest.resume();
  const check = describeCheck(await checkRunningGuest(guest));
  front.line(`Resolved: the guest goes on running here: ${check}.`);
  return EXIT.aborted;
}

async function migrate(setting: Setting, secret: Uint8Array): Promise<ExitCode> {
  const { front, options, parts } = setting;
  const { listen, to: dial, lanes: count, timeout: timeoutMs } = options;
  const lanes = await chooseLanes(parts, {
    dial,
    listen,
    dialName: '--to',
    plugins: options.transportPlugin,
    lanes: count,
    timeoutMs,
  });
  front.begin({
    title: 'pageferry send',
    facts: [
      ['guest', options.guest.href],
      ['lanes', lanes.text],
      ['engine', `${options.engine}, ${options.vcpus} mirror vCPUs, codec ${options.codec}`],
    ],
  });
  const guest = await parts.openSource(options.guest);
  try {
    const report = await parts.runSource(sessionOptions(setting, guest, lanes, secret));
    await recordEnd(setting.decisions, report);
    const isFinal = report.outcome === 'completed' || isInDoubt(report);
    const end = isFinal ? { report, advice: [] } : await afterFailure(guest, report);
    const code = exitCodeOfReport(end.report);
    front.finish(end.report, end.advice);
    // As part of a demo there is nobody to decide, and nothing worth holding.
    if (isInDoubt(report) && options.eventsFd === undefined) {
      return await holdInDoubt(setting, guest, report.sessionId);
    }
    return code;
  } finally {
    await guest.close();
  }
}

export async function send(
  options: SendOptions,
  loadParts: () => Promise<Parts>,
): Promise<ExitCode> {
  const interruption = new Interruption();
  const front = new Frontend({
    ...options,
    onParentGone: () => {
      interruption.stop('the process that started this one is gone');
    },
  });
  try {
    const secret = await readKey({ file: options.keyFile, fd: options.keyFd });
    try {
      const decisions = await openDecisions(options.stateDir, 'source');
      const parts = await loadParts();
      const controlled = await openControl('source', front);
      const { control } = controlled;
      try {
        return await migrate({ options, parts, decisions, front, interruption, control }, secret);
      } finally {
        await controlled.close();
      }
    } finally {
      secret.fill(0);
    }
  } finally {
    front.close();
    interruption.dispose();
  }
}
