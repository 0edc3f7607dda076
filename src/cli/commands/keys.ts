/** What: `pageferry keys`: the commands about keys. */
import { Command } from 'commander';

import { fileArgument } from '../options.js';
import type { Setup } from '../program.js';

const help = `
Example:
  $ pageferry keys generate ferry.key && scp -p ferry.key other:

Both sides of a migration need the same key, and nobody else may read it. An existing file is
never overwritten. The format of the file is described in docs/cli.md.`;

function generateCommand(setup: Setup): Command {
  return new Command('generate')
    .description('make a key file: 32 random bytes, mode 0600')
    .addArgument(fileArgument('the file to make'))
    .addHelpText('after', help)
    .action(async (file: string) => {
      const { generateKey } = await import('../run/keys.js');
      setup.setExitCode(await generateKey(file));
    });
}

export function keysCommand(setup: Setup): Command {
  return new Command('keys')
    .description('Makes the keys that both sides of a migration share.')
    .addCommand(generateCommand(setup));
}
