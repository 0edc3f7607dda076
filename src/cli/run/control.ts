/** What: `pageferry status`, `pause`, `resume`, `cancel` and `set`: what they do. */
import { ask, findSessions, pickSession, type FoundSession } from '../../control/client.js';
import type { ControlRequest } from '../../control/protocol.js';
import { writeFully, writeReport } from '../../observe/json.js';
import { statusLines } from '../../observe/status.js';
import type { SessionSettings } from '../../session/settings.js';
import type { ControlOptions, SetOptions } from '../commands/control.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import { usageError } from '../failure.js';
import { bandwidthSetting } from '../options.js';

const stdoutFd = 1;

function show(sessions: readonly FoundSession[], options: ControlOptions): void {
  if (options.json === true) {
    for (const { status } of sessions) writeReport(status);
    return;
  }
  const blocks = sessions.map(({ socket, status }) =>
    statusLines(`${socket.role}-${socket.pid}`, status).join('\n'),
  );
  writeFully(stdoutFd, `${blocks.join('\n\n')}\n`);
}

export async function status(name: string | undefined, options: ControlOptions): Promise<ExitCode> {
  const { role } = options;
  const all = await findSessions();
  if (name !== undefined) {
    show([pickSession(all, name, role)], options);
    return EXIT.completed;
  }
  const wanted = all.filter(({ socket }) => role === undefined || socket.role === role);
  if (wanted.length > 0) show(wanted, options);
  else if (options.json !== true) process.stderr.write('no session runs here\n');
  return EXIT.completed;
}

export async function control(
  name: string,
  request: ControlRequest,
  options: ControlOptions,
): Promise<ExitCode> {
  const { socket } = pickSession(await findSessions(), name, options.role);
  show([{ socket, status: await ask(socket.path, request) }], options);
  return EXIT.completed;
}

export async function set(name: string, options: SetOptions): Promise<ExitCode> {
  const { downtimeLimit, maxBandwidth, onStall } = options;
  const settings: Partial<SessionSettings> = {
    ...(maxBandwidth === undefined
      ? {}
      : { maxBandwidthBytesPerSecond: bandwidthSetting(maxBandwidth) }),
    ...(downtimeLimit === undefined ? {} : { downtimeLimitMs: downtimeLimit }),
    ...(onStall === undefined ? {} : { onStall: onStall === 'off' ? null : onStall }),
  };
  if (Object.keys(settings).length === 0) {
    throw usageError('give at least one of --max-bandwidth, --downtime-limit, --on-stall');
  }
  return control(name, { request: 'set', settings }, options);
}
