/** What: `pageferry doctor`: the options. */
import { Command, Option } from 'commander';

import type { Setup } from '../program.js';

const help = `
Looks at KVM (and tries it), processor, memory, libraries and limits, and prints for everything
that is missing the line that mends it. The exit code is 0 when everything that is required works;
what is only advisable does not count.`;

export function doctorCommand(setup: Setup): Command {
  return new Command('doctor')
    .description('Says what this machine offers, what is missing, and how to mend it.')
    .addOption(new Option('--json', 'print the findings as one JSON object'))
    .addHelpText('after', help)
    .action(async (given: { json?: boolean }) => {
      const { doctor } = await import('../run/doctor.js');
      setup.setExitCode(await doctor(given));
    });
}
