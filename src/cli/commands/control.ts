/** What: `pageferry status`, `pause`, `resume`, `cancel` and `set`: the options. */
import { Argument, Command, Option } from 'commander';

import { DOWNTIME_LIMIT_MS_MAX, stallPolicies, type StallPolicy } from '../../session/settings.js';
import type { Role } from '../../session/types.js';
import { durationParser, parseBandwidth, parser } from '../options.js';
import type { Setup } from '../program.js';

export interface ControlOptions {
  readonly json?: boolean;
  readonly role?: Role;
}

export interface SetOptions extends ControlOptions {
  readonly maxBandwidth?: number;
  readonly downtimeLimit?: number;
  readonly onStall?: StallPolicy | 'off';
}

const sessionHelp = 'beginning of its id, or its name such as source-4711';

const shared = (): Option[] => [
  new Option('--role <role>', 'where both sides run here: which one').choices([
    'source',
    'destination',
  ]),
  new Option('--json', 'print the session as an object like the report, one line each'),
];

function addShared(command: Command): Command {
  for (const option of shared()) command.addOption(option);
  return command;
}

export function statusCommand(setup: Setup): Command {
  const command = new Command('status')
    .alias('sessions')
    .summary('show the sessions that run here, or one of them')
    .description("Shows this user's sessions on this machine, as they are now.")
    .addArgument(new Argument('[session]', sessionHelp));
  return addShared(command).action(async (name: string | undefined, options: ControlOptions) => {
    const { status } = await import('../run/control.js');
    setup.setExitCode(await status(name, options));
  });
}

const plain = [
  ['pause', 'hold a migration: nothing is copied, the guest runs on', 'Holds a migration.'],
  ['resume', 'let a held migration go on', 'Lets a held migration go on.'],
  ['cancel', 'end a migration; the guest stays at the source', 'Ends a migration.'],
] as const;

export const plainControlCommands = plain.map(
  ([request, summary, description]) =>
    (setup: Setup): Command => {
      const command = new Command(request)
        .summary(summary)
        .description(`${description} It can be asked for until the guest is handed over.`)
        .addArgument(new Argument('<session>', sessionHelp));
      return addShared(command).action(async (name: string, options: ControlOptions) => {
        const { control } = await import('../run/control.js');
        setup.setExitCode(await control(name, { request }, options));
      });
    },
);

const help = `
Examples:
  $ pageferry set 3f2a --max-bandwidth 200MB/s
  $ pageferry set 3f2a --max-bandwidth off --downtime-limit 500 --on-stall throttle`;

export function setCommand(setup: Setup): Command {
  const command = new Command('set')
    .summary('change settings of a running migration')
    .description('Changes settings of a migration while it runs, at its source.')
    .addArgument(new Argument('<session>', sessionHelp));
  const options = [
    new Option('--max-bandwidth <rate>', 'bytes per second over all lanes, or off').argParser(
      parser(parseBandwidth),
    ),
    new Option('--downtime-limit <ms>', 'stop the guest when the rest fits into this').argParser(
      durationParser(0, DOWNTIME_LIMIT_MS_MAX),
    ),
    new Option('--on-stall <policy>', 'what to do when rounds do not converge').choices([
      ...stallPolicies,
      'off',
    ]),
  ];
  for (const option of options) command.addOption(option);
  return addShared(command)
    .addHelpText('after', help)
    .action(async (name: string, given: SetOptions) => {
      const { set } = await import('../run/control.js');
      setup.setExitCode(await set(name, given));
    });
}
