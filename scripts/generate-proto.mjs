// Writes src/wire/generated/ from src/wire/proto/*.proto, with buf and protoc-gen-es as npm
// installed them; needs no network.
//
//   node scripts/generate-proto.mjs            writes what changed
//   node scripts/generate-proto.mjs --check    fails when it is out of date

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';

import { filesBelow, inRoot, installedTool } from './lib/paths.mjs';
import { isMain, main, runQuietly, ScriptError } from './lib/run.mjs';

const protoDirectory = inRoot('src', 'wire', 'proto');
const target = inRoot('src', 'wire', 'generated');

/** The contents of a directory: relative path to text. */
function contents(directory) {
  const files = filesBelow(directory);
  return new Map(files.map((path) => [relative(directory, path), readFileSync(path, 'utf8')]));
}

function generate() {
  const scratch = mkdtempSync(join(tmpdir(), 'pageferry-proto-'));
  try {
    const plugin = {
      local: installedTool('protoc-gen-es'),
      out: '.',
      opt: ['target=ts', 'import_extension=js'],
    };
    const template = JSON.stringify({ version: 'v2', plugins: [plugin] });
    const config = JSON.stringify({ version: 'v2', modules: [{ path: '.' }] });
    const args = ['generate', protoDirectory, '--config', config, '--template', template];
    runQuietly(installedTool('buf'), [...args, '--output', scratch]);
    return contents(scratch);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** Brings the generated codec up to date, or only checks that it is. */
export function generateProto({ check }) {
  if (!filesBelow(protoDirectory).some((path) => path.endsWith('.proto'))) return;
  const wanted = generate();
  const present = contents(target);
  const stale = [...new Set([...wanted.keys(), ...present.keys()])].filter(
    (name) => wanted.get(name) !== present.get(name),
  );
  if (stale.length === 0) return;
  if (check) {
    throw new ScriptError(`src/wire/generated/ is out of date (${stale}): npm run generate`);
  }
  for (const name of stale) {
    const path = join(target, name);
    rmSync(path, { force: true });
    const text = wanted.get(name);
    if (text === undefined) continue;
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }
  console.log(`generated src/wire/generated/: ${stale.join(', ')}`);
}

if (isMain(import.meta.url)) {
  await main(() => generateProto({ check: process.argv.includes('--check') }));
}
