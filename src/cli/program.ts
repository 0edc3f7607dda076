/**
 * What: the program: its commands, its help, and what becomes of wrong usage. A command is one
 * file in commands/, which says its options; what it does lies in run/ and is loaded when it runs.
 */
import { readFileSync } from 'node:fs';

import { Command, CommanderError } from 'commander';

import { plainControlCommands, setCommand, statusCommand } from './commands/control.js';
import { demoCommand } from './commands/demo.js';
import { doctorCommand } from './commands/doctor.js';
import { keysCommand } from './commands/keys.js';
import { receiveCommand } from './commands/receive.js';
import { resolveCommand } from './commands/resolve.js';
import { sendCommand } from './commands/send.js';
import { EXIT, EXIT_MEANINGS, type ExitCode } from './exit-codes.js';
import { reportFailure, usageError } from './failure.js';
import { loadParts as loadDefaultParts, type Parts } from './parts.js';

/** What a command is made with. */
export interface Setup {
  /** Gives the exit code of the command that ran back to the program. */
  readonly setExitCode: (code: ExitCode) => void;
  readonly loadParts: () => Promise<Parts>;
}

const commands: readonly ((setup: Setup) => Command)[] = [
  demoCommand,
  sendCommand,
  receiveCommand,
  statusCommand,
  ...plainControlCommands,
  setCommand,
  resolveCommand,
  keysCommand,
  doctorCommand,
];

/** Commands whose --json is a migration report, also when they were called wrongly. */
const reporting: ReadonlySet<string> = new Set(['demo', 'send', 'receive']);

function packageVersion(): string {
  const text = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

function exitCodeHelp(): string {
  const lines = EXIT_MEANINGS.map(([code, meaning]) => `  ${String(code).padStart(3)}  ${meaning}`);
  return `\nExit codes:\n${lines.join('\n')}`;
}

/** How long something a command left open may keep the process after the last word. */
const lingerLimitMs = 3000;

const examples = `
Examples:
  pageferry demo                                   migrate a demo guest and verify it
  pageferry keys generate ferry.key                make the key both sides need
  pageferry receive --guest demo: --listen tcp://0.0.0.0:7700 --key-file ferry.key
  pageferry send --guest 'demo:?ram=1G' --to tcp://other-host:7700 --key-file ferry.key
  pageferry status                                 the migrations that run here now
  pageferry doctor                                 what this machine offers, what is missing`;

/** Errors come back as CommanderError and are told in one way; nothing exits by itself. */
function tame(command: Command): void {
  command.exitOverride().configureOutput({ outputError: () => undefined });
  command.showHelpAfterError(false).showSuggestionAfterError(true);
  for (const sub of command.commands) tame(sub);
}

export function buildProgram(setup: Setup): Command {
  const program = new Command('pageferry')
    .description("Moves a virtual machine's memory through mirror VMs: live, sealed, in parallel.")
    .version(packageVersion(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help, or that of a command')
    .helpCommand('help [command]', 'print the help of a command')
    .addHelpText('after', `${examples}\n${exitCodeHelp()}`);
  for (const command of commands) program.addCommand(command(setup));
  tame(program);
  return program;
}

/** Whether a report was asked for; parsing may not have got as far as the option. */
function wantsReport(args: readonly string[]): boolean {
  const end = args.indexOf('--');
  const looked = end < 0 ? args : args.slice(0, end);
  return reporting.has(looked[0] ?? '') && looked.includes('--json');
}

function failUsage(error: CommanderError, args: readonly string[]): ExitCode {
  // Help and version were asked for and printed.
  if (error.exitCode === 0) return EXIT.completed;
  // Help was printed because there was no command.
  if (error.code === 'commander.help') return EXIT.usage;
  const message = error.message.replace(/^error: /, '').replace(/\.?\n/g, ' ');
  const role = args[0] === 'receive' ? 'destination' : 'source';
  const code = reportFailure(usageError(message), { json: wantsReport(args), role });
  const known = commandNames.has(args[0] ?? '') ? ` ${args[0] ?? ''}` : '';
  process.stderr.write(`usage: pageferry${known} --help\n`);
  return code;
}

const commandNames: ReadonlySet<string> = new Set([
  'demo',
  'send',
  'receive',
  'status',
  'pause',
  'resume',
  'cancel',
  'set',
  'resolve',
  'keys',
  'doctor',
]);

/** Runs one command line; the process ends with the result. */
export async function run(
  args: readonly string[],
  loadParts = loadDefaultParts,
): Promise<ExitCode> {
  let exitCode: ExitCode = EXIT.completed;
  const program = buildProgram({
    setExitCode: (code) => {
      exitCode = code;
    },
    loadParts,
  });
  try {
    await program.parseAsync(args, { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return failUsage(error, args);
    const role = args[0] === 'receive' ? 'destination' : 'source';
    return reportFailure(error, { json: wantsReport(args), role });
  }
}

/** The process's own command line; the process ends by itself when nothing is left to do. */
export async function main(loadParts = loadDefaultParts): Promise<void> {
  process.exitCode = await run(process.argv.slice(2), loadParts);
  setTimeout(() => process.exit(), lingerLimitMs).unref();
}
