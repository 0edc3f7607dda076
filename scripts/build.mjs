// Builds what is stale, and only that: packages, the helper image and addon, the TypeScript.
// Each step prints one line when it runs, and its log only when it fails. Staleness is decided
// by the contents of the inputs, so a fresh check-out of the same files rebuilds nothing.

import { existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

import { withBuildLock } from './lib/lock.mjs';
import { filesBelow, inRoot, installedTool, nativeBuildDirectories } from './lib/paths.mjs';
import { isMain, main, runQuietly } from './lib/run.mjs';
import { fingerprint, isFresh, writeStamp } from './lib/stamp.mjs';
import { nativeSources } from './native-sources.mjs';

const addon = inRoot('native', 'build', 'Release', 'pageferry.node');
const typescriptRoots = ['src', 'transports', 'test', 'bench', 'examples'];
const linkedArchives = ['IPSec_MB', 'lz4', 'bearssl', 'zstd'].map(
  (name) => `/usr/lib/x86_64-linux-gnu/lib${name}.a`,
);

const packagesStep = {
  title: 'packages (npm ci)',
  stamp: inRoot('node_modules', '.pageferry-stamp'),
  inputs: () => fingerprint([inRoot('package.json'), inRoot('package-lock.json')]),
  outputsExist: () => true,
  run() {
    runQuietly('npm', ['ci', '--include=dev', '--no-audit', '--no-fund']);
  },
};

const nativeStep = {
  title: 'native code',
  stamp: inRoot('native', 'build', '.pageferry-stamp'),
  inputs() {
    const archives = linkedArchives.map((path) => {
      const { size, mtimeMs } = statSync(path);
      return `${path} ${size} ${mtimeMs}`;
    });
    const compiler = runQuietly('gcc', ['-dumpfullversion']).trim();
    return fingerprint(filesBelow(inRoot('native'), nativeBuildDirectories), [
      `node ${process.version}`,
      `gcc ${compiler}`,
      readFileSync(inRoot('node_modules', 'node-addon-api', 'package.json'), 'utf8'),
      ...archives,
    ]);
  },
  outputsExist() {
    return (!helperExists() || helperImages().length > 0) && (!addonExists() || existsSync(addon));
  },
  run() {
    if (helperExists()) runQuietly('make', ['-j2', '-C', 'native/helper']);
    if (!addonExists()) return;
    runQuietly('make', ['-C', 'native/demo/guest']);
    // Headers beside the running node are used where there are any; else node-gyp gets them.
    const prefix = dirname(dirname(process.execPath));
    const hasHeaders = existsSync(join(prefix, 'include', 'node', 'node_api.h'));
    const headers = hasHeaders ? [`--nodedir=${prefix}`] : [];
    const gyp = (...args) =>
      runQuietly(installedTool('node-gyp'), [...args, ...headers], { cwd: inRoot('native') });
    gyp('configure');
    gyp('build', '-j', '2');
  },
};

const typescriptStep = {
  title: 'TypeScript',
  stamp: inRoot('dist', '.pageferry-stamp'),
  inputs() {
    const sources = typescriptRoots.flatMap((name) => filesBelow(inRoot(name)));
    return fingerprint([inRoot('tsconfig.json'), inRoot('package-lock.json'), ...sources]);
  },
  outputsExist: () => true,
  run() {
    removeOrphans();
    runQuietly(installedTool('tsc'), ['--pretty', 'false']);
  },
};

function helperExists() {
  return existsSync(inRoot('native', 'helper', 'Makefile'));
}

function addonExists() {
  return nativeSources().some((path) => path.endsWith('.cc'));
}

function helperImages() {
  const directory = inRoot('native', 'helper', 'build');
  return existsSync(directory)
    ? readdirSync(directory).filter((name) => name.endsWith('.img'))
    : [];
}

/** Deletes compiled files whose source is gone: mocha would still run them. */
function removeOrphans() {
  const dist = inRoot('dist');
  for (const file of filesBelow(dist)) {
    const compiled = /^(.*?)(\.d\.ts|\.js|\.js\.map)$/.exec(relative(dist, file));
    if (compiled !== null && !existsSync(inRoot(`${compiled[1]}.ts`))) rmSync(file);
  }
}

function isStale(step) {
  // A missing stamp is the cheap answer, and inputs of a later step may not be there yet.
  return !existsSync(step.stamp) || !step.outputsExist() || !isFresh(step.stamp, step.inputs());
}

/** Brings everything up to date. */
export async function build() {
  const steps = [packagesStep, nativeStep, typescriptStep];
  if (!steps.some(isStale)) return;
  await withBuildLock(() => {
    for (const step of steps) {
      if (!isStale(step)) continue;
      console.error(`build: ${step.title}`);
      const made = step === packagesStep ? undefined : step.inputs();
      step.run();
      writeStamp(step.stamp, made ?? step.inputs());
    }
  });
}

if (isMain(import.meta.url)) await main(build);
