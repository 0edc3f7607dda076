// Every check that needs no running code. With --fix, mends what can be mended instead.

import { generateAbi } from './generate-abi.mjs';
import { generateProto } from './generate-proto.mjs';
import { build } from './build.mjs';
import { filesBelow, inRoot, installedTool, nativeBuildDirectories, root } from './lib/paths.mjs';
import { main, runOnTerminal, ScriptError } from './lib/run.mjs';
import { setup } from './setup.mjs';
import { findProblems } from './tidy.mjs';

const fix = process.argv.includes('--fix');

function nativeFiles() {
  return filesBelow(inRoot('native'), nativeBuildDirectories)
    .filter((path) => /\.(c|h|cc)$/.test(path) && !path.includes('.generated.'))
    .map((path) => path.slice(root.length + 1));
}

async function tool(command, args) {
  const code = await runOnTerminal(command, args);
  if (code !== 0) throw new ScriptError(`exit code ${code}`);
}

async function clangFormat() {
  const files = nativeFiles();
  if (files.length === 0) return;
  await tool('clang-format', [...(fix ? ['-i'] : ['--dry-run', '-Werror']), ...files]);
}

function tidy() {
  const problems = findProblems();
  if (problems.length > 0) throw new ScriptError(problems.join('\n'));
}

const eslintArgs = ['--cache', '--cache-location', 'node_modules/.cache/eslint', '.'];

// In an order in which, with --fix, each leaves nothing to mend for the ones before it.
const checks = [
  ['generated protocol codec', () => generateProto({ check: !fix })],
  ['generated binary interface', () => generateAbi({ check: !fix })],
  ['eslint', () => tool(installedTool('eslint'), [...(fix ? ['--fix'] : []), ...eslintArgs])],
  ['prettier', () => tool(installedTool('prettier'), [...prettierArgs(), '.'])],
  ['clang-format', clangFormat],
  ['tidy', tidy],
];

function prettierArgs() {
  return ['--log-level', 'warn', fix ? '--write' : '--check'];
}

await main(async () => {
  await setup('test');
  await build();
  const failed = [];
  for (const [name, check] of checks) {
    try {
      await check();
    } catch (error) {
      if (!(error instanceof ScriptError)) throw error;
      console.error(`${error.message}\nlint: ${name} failed`);
      failed.push(name);
    }
  }
  if (failed.length > 0) return 1;
  console.log(`lint: ${checks.length} checks passed`);
  return 0;
});
