// Runs the demo: set-up, build, then `pageferry demo` with the arguments given here.

import { existsSync } from 'node:fs';

import { build } from './build.mjs';
import { inRoot } from './lib/paths.mjs';
import { main, runOnTerminal, ScriptError } from './lib/run.mjs';
import { setup } from './setup.mjs';

await main(async () => {
  await setup('start');
  await build();
  const cli = inRoot('dist', 'src', 'cli', 'main.js');
  if (!existsSync(cli)) throw new ScriptError('start: src/cli/main.ts is missing');
  const args = ['--enable-source-maps', cli, 'demo', ...process.argv.slice(2)];
  return runOnTerminal(process.execPath, args);
});
