// Writes src/native/abi.generated.ts: the numbers that helper, addon and TypeScript share. The
// compiler is asked for them: native/abi/emit.c includes the headers and prints the module.
//
//   node scripts/generate-abi.mjs            writes the file when it changed
//   node scripts/generate-abi.mjs --check    fails when it is out of date

import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { inRoot } from './lib/paths.mjs';
import { isMain, main, runQuietly, ScriptError } from './lib/run.mjs';

const emitter = inRoot('native', 'abi', 'emit.c');
const target = inRoot('src', 'native', 'abi.generated.ts');

function emit() {
  const scratch = mkdtempSync(join(tmpdir(), 'pageferry-abi-'));
  try {
    const program = join(scratch, 'emit');
    const flags = ['-std=c11', '-Wall', '-Wextra', '-Werror', '-D_GNU_SOURCE', '-DPF_HOSTED=1'];
    runQuietly('gcc', [...flags, '-I', inRoot('native'), emitter, '-o', program]);
    return runQuietly(program, []);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** Brings the generated module up to date, or only checks that it is. */
export function generateAbi({ check }) {
  if (!existsSync(emitter)) return;
  const wanted = emit();
  if (existsSync(target) && readFileSync(target, 'utf8') === wanted) return;
  if (check) {
    throw new ScriptError('src/native/abi.generated.ts is out of date: npm run generate');
  }
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, wanted);
  console.log('generated src/native/abi.generated.ts');
}

if (isMain(import.meta.url)) {
  await main(() => generateAbi({ check: process.argv.includes('--check') }));
}
