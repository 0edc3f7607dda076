// Runs the tests: set-up, build, then mocha. Further arguments go to mocha:
//
//   npm test                                  everything
//   npm test -- test/unit/tidy.test.ts        one file
//   npm test -- --grep 'ring refuses'         by name

import { build } from './build.mjs';
import { inRoot } from './lib/paths.mjs';
import { main, runOnTerminal } from './lib/run.mjs';
import { setup } from './setup.mjs';

/** A test's source as the compiled file that mocha runs; other arguments unchanged. */
function compiled(argument) {
  return /^(\.\/)?test\/.*\.test\.ts$/.test(argument)
    ? argument.replace(/^(\.\/)?/, 'dist/').replace(/\.ts$/, '.js')
    : argument;
}

await main(async () => {
  await setup('test');
  await build();
  const args = process.argv.slice(2).map(compiled);
  const namesFiles = args.some((argument) => argument.endsWith('.test.js'));
  const files = namesFiles ? [] : ['dist/test/**/*.test.js'];
  const mocha = inRoot('node_modules', 'mocha', 'bin', 'mocha.js');
  return runOnTerminal(process.execPath, ['--enable-source-maps', mocha, ...args, ...files]);
});
