/** What: `pageferry resolve`: the options. */
import { Argument, Command, Option } from 'commander';

import { stateDirectoryOption } from '../options.js';
import type { Setup } from '../program.js';
import type { Role } from '../../session/types.js';

export interface ResolveOptions {
  readonly runningAt: Role;
  readonly stateDir?: string;
}

const help = `
Example:
  $ pageferry resolve 3f2a90c1d4e5b6a7 --running-at destination

For a session that ended in doubt: a source whose COMMIT was never answered, or a destination that
was READY and never heard whether the guest is its own. Either keeps the guest paused until it is
told. Find out first where the guest runs, or make sure that the other side is gone for good; then
say the same on both sides. A side that has decided is never overruled.`;

export function resolveCommand(setup: Setup): Command {
  return new Command('resolve')
    .summary('settle a session that ended in doubt')
    .description('Says where the guest of a session in doubt runs, and lets that be so.')
    .addArgument(new Argument('<session>', 'name of the session, as its messages show it'))
    .addOption(
      new Option('--running-at <side>', 'where the guest runs, or is to run')
        .choices(['source', 'destination'])
        .makeOptionMandatory(),
    )
    .addOption(stateDirectoryOption())
    .addHelpText('after', help)
    .action(async (session: string, given: ResolveOptions) => {
      const { resolveSession } = await import('../run/resolve.js');
      setup.setExitCode(await resolveSession(session, given));
    });
}
