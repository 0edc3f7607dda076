/**
 * What: `pageferry receive`: what it does. Owns the guest once the session has made it the
 * destination's, and closes it when the process ends.
 */
import type { Guest } from '../../guest/contract.js';
import { readKey } from '../../keys/index.js';
import type { SessionControl } from '../../session/session-control.js';
import type { DestinationOptions, MigrationReport } from '../../session/types.js';
import { formatMilliseconds } from '../../units.js';
import type { ReceiveOptions } from '../commands/receive.js';
import { openControl } from '../controlled.js';
import type { DecisionStore } from '../decisions.js';
import { EXIT, exitCodeOfReport, isInDoubt, type ExitCode } from '../exit-codes.js';
import { Frontend } from '../frontend.js';
import { checkRunningGuest, describeCheck } from '../guest-checks.js';
import { doubtLines, holdGuest, holdUntilDecided, keepAlive } from '../hold.js';
import { aborted, delay, Interruption } from '../interruption.js';
import { chooseLanes, type OpenedLanes } from '../lanes.js';
import type { Parts } from '../parts.js';
import { openDecisions, recordEnd } from '../record-end.js';

interface Setting {
  readonly options: ReceiveOptions;
  readonly parts: Parts;
  readonly decisions: DecisionStore;
  readonly front: Frontend;
  readonly interruption: Interruption;
  readonly control: SessionControl;
}

/** The guest the session has made, if it came so far. */
interface Holder {
  guest: Guest | undefined;
}

function sessionOptions(
  setting: Setting,
  lanes: OpenedLanes,
  secret: Uint8Array,
  holder: Holder,
): DestinationOptions {
  const { decisions, front, interruption, options, parts } = setting;
  return {
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
    openGuest: async (layout) => {
      holder.guest = await parts.openDestination(options.guest, layout);
      return holder.guest;
    },
    recordDecision: (sessionId, decision) => decisions.record(sessionId, decision),
    onEvent: (event) => {
      front.event(event);
    },
  };
}

/** Lets the guest that runs here now prove itself. */
async function afterCompletion(guest: Guest, report: MigrationReport): Promise<MigrationReport> {
  // The session has looked already, where the guest could be asked.
  if (report.verified.guestSelfCheck !== null) return report;
  const before = report.verified.ticksBefore ?? undefined;
  const check = await checkRunningGuest(guest, before);
  const { selfCheck, ticksAfter, ticksBefore } = check;
  return {
    ...report,
    verified: {
      ...report.verified,
      guestSelfCheck: selfCheck?.ok ?? report.verified.guestSelfCheck,
      ticksBefore,
      ticksAfter,
    },
    guest: { ...report.guest, ...(selfCheck === undefined ? {} : { selfCheck }) },
  };
}

/** Keeps the guest running: until Ctrl-C on a terminal, so long as asked for, or not at all. */
async function stay(setting: Setting, guest: Guest): Promise<void> {
  const { front, interruption, options } = setting;
  const limitMs = options.exitAfter;
  if (limitMs === 0 || (limitMs === undefined && !front.isInteractive)) return;
  const howLong = limitMs === undefined ? 'until Ctrl-C' : `for ${formatMilliseconds(limitMs)}`;
  front.line(`The guest runs here ${howLong}.`);
  const ticksBefore = guest.activity()?.ticks ?? null;
  const { signal } = interruption;
  await keepAlive(limitMs === undefined ? aborted(signal) : delay(limitMs, signal));
  const ticksAfter = guest.activity()?.ticks ?? null;
  const selfCheck = await guest.selfCheck();
  front.line(`The guest ends: ${describeCheck({ ticksBefore, ticksAfter, selfCheck })}.`);
}

/** In doubt, or the guest did not resume: its memory is kept until somebody says what it is. */
async function holdPaused(
  setting: Setting,
  guest: Guest,
  report: MigrationReport,
): Promise<ExitCode> {
  const { decisions, front, interruption, options } = setting;
  const code = exitCodeOfReport(report);
  // As part of a demo there is nobody to decide, and nothing worth holding.
  if (report.guest.state !== 'paused' || options.eventsFd !== undefined) return code;
  interruption.dispose();
  const { sessionId } = report;
  if (!isInDoubt(report)) {
    await holdGuest(front, [
      `The guest of session ${sessionId} is this side's, and did not resume. It stays paused here.`,
      'End this process (Ctrl-C) when its memory is not needed any more.',
    ]);
    return code;
  }
  const lines = doubtLines(sessionId, 'destination');
  const decision = await holdUntilDecided(front, decisions, sessionId, lines);
  if (decision === undefined) return code;
  if (decision === 'aborted') {
    front.line("Resolved: the guest is the source's; its memory is freed here.");
    return EXIT.aborted;
  }
  await guest.resume();
  const check = await checkRunningGuest(guest);
  front.line(`Resolved: the guest runs here: ${describeCheck(check)}.`);
  const release = new Interruption();
  await stay({ ...setting, interruption: release }, guest);
  release.dispose();
  return check.selfCheck?.ok === false ? EXIT.failed : EXIT.completed;
}

async function migrate(setting: Setting, secret: Uint8Array): Promise<ExitCode> {
  const { front, interruption, options, parts } = setting;
  const { from: dial, listen, lanes: count, timeout: timeoutMs } = options;
  const lanes = await chooseLanes(parts, {
    dial,
    listen,
    dialName: '--from',
    plugins: options.transportPlugin,
    lanes: count,
    timeoutMs,
  });
  front.begin({
    title: 'pageferry receive',
    facts: [
      ['guest', options.guest.href],
      ['lanes', lanes.text],
      ['engine', `${options.engine}, ${options.vcpus} mirror vCPUs`],
    ],
  });
  const holder: Holder = { guest: undefined };
  const report = await parts.runDestination(sessionOptions(setting, lanes, secret, holder));
  await recordEnd(setting.decisions, report);
  const { guest } = holder;
  if (guest === undefined) {
    front.finish(report);
    return exitCodeOfReport(report);
  }
  try {
    if (report.outcome !== 'completed') {
      front.finish(report);
      return await holdPaused(setting, guest, report);
    }
    const checked = await afterCompletion(guest, report);
    front.finish(checked);
    if (!interruption.signal.aborted) await stay(setting, guest);
    return exitCodeOfReport(checked);
  } finally {
    await guest.close();
  }
}

export async function receive(
  options: ReceiveOptions,
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
      const decisions = await openDecisions(options.stateDir, 'destination');
      const parts = await loadParts();
      const controlled = await openControl('destination', front);
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
