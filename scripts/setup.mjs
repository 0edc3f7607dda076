// Checks for the compilers and libraries the project needs, and installs what is missing.
//
//   node scripts/setup.mjs --for start     what building and running needs
//   node scripts/setup.mjs --for test      the same, and what tests and lint need
//
// Says nothing when nothing is missing. Installs Debian packages as root, or by sudo when that
// asks no password; PAGEFERRY_NO_INSTALL=1 forbids it. Otherwise it prints the line to type.

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

import { isMain, main, runOnTerminal, ScriptError } from './lib/run.mjs';

const oldestNode = 20;
const libraries = '/usr/lib/x86_64-linux-gnu';

// What has to be there, and the package that brings it. A name without a slash is a program.
const needs = [
  { for: 'start', file: 'gcc', package: 'gcc' },
  { for: 'start', file: 'g++', package: 'g++' },
  { for: 'start', file: 'make', package: 'make' },
  { for: 'start', file: 'ld', package: 'binutils' },
  { for: 'start', file: 'python3', package: 'python3' },
  { for: 'start', file: 'openssl', package: 'openssl' },
  { for: 'start', file: '/usr/include/stdlib.h', package: 'libc6-dev' },
  { for: 'start', file: '/usr/include/linux/kvm.h', package: 'linux-libc-dev' },
  { for: 'start', file: '/usr/include/intel-ipsec-mb.h', package: 'libipsec-mb-dev' },
  { for: 'start', file: `${libraries}/libIPSec_MB.a`, package: 'libipsec-mb-dev' },
  { for: 'start', file: '/usr/include/lz4.h', package: 'liblz4-dev' },
  { for: 'start', file: `${libraries}/liblz4.a`, package: 'liblz4-dev' },
  { for: 'start', file: '/usr/include/bearssl.h', package: 'libbearssl-dev' },
  { for: 'start', file: `${libraries}/libbearssl.a`, package: 'libbearssl-dev' },
  { for: 'start', file: '/usr/include/zstd.h', package: 'libzstd-dev' },
  { for: 'start', file: `${libraries}/libzstd.a`, package: 'libzstd-dev' },
  { for: 'test', file: 'clang-format', package: 'clang-format' },
  { for: 'test', file: 'git', package: 'git' },
  { for: 'test', file: 'redis-server', package: 'redis-server' },
  {
    for: 'test',
    file: '/usr/lib/python3/dist-packages/cryptography_vectors/__init__.py',
    package: 'python3-cryptography-vectors',
  },
];

function isPresent(file) {
  if (file.startsWith('/')) return existsSync(file);
  const directories = (process.env.PATH ?? '').split(delimiter).filter((entry) => entry !== '');
  return directories.some((directory) => existsSync(join(directory, file)));
}

/** The packages that are missing for a purpose. */
export function missingPackages(purpose) {
  const wanted = needs.filter((need) => need.for === 'start' || need.for === purpose);
  return [...new Set(wanted.filter((need) => !isPresent(need.file)).map((need) => need.package))];
}

/** The words that go before a command to run it as root; undefined when we may not. */
function rootPrefix() {
  if (process.getuid?.() === 0) return [];
  const sudo = spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' });
  return sudo.status === 0 ? ['sudo', '-n'] : undefined;
}

async function runAsRoot(prefix, command) {
  // sudo drops the environment, so what apt needs is set on its own line.
  const line = [...prefix, 'env', 'DEBIAN_FRONTEND=noninteractive', ...command];
  console.error(`setup: ${line.join(' ')}`);
  // All output goes to stderr: stdout belongs to the command this set-up is for.
  const code = await runOnTerminal(line[0], line.slice(1), { stdio: ['ignore', 2, 2] });
  if (code !== 0) throw new ScriptError(`setup: ${command.join(' ')} failed (exit code ${code})`);
}

/** Makes sure that everything a purpose needs is there. */
export async function setup(purpose) {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new ScriptError(
      `setup: pageferry runs on Linux x86-64, not on ${process.platform} ${process.arch}`,
    );
  }
  if (Number(process.versions.node.split('.')[0]) < oldestNode) {
    throw new ScriptError(`setup: Node ${oldestNode} or newer is needed, not ${process.version}`);
  }
  const missing = missingPackages(purpose);
  if (missing.length === 0) return;

  const install = ['apt-get', 'install', '-y', '--no-install-recommends', ...missing];
  const update = ['apt-get', 'update'];
  const hint = `  sudo sh -c '${update.join(' ')} && ${install.join(' ')}'`;
  console.error(`setup: missing Debian packages: ${missing.join(' ')}`);
  if (process.env.PAGEFERRY_NO_INSTALL === '1') {
    throw new ScriptError(`setup: PAGEFERRY_NO_INSTALL=1 forbids installing them; type\n${hint}`);
  }
  const prefix = isPresent('apt-get') ? rootPrefix() : undefined;
  if (prefix === undefined) {
    throw new ScriptError(`setup: may not install them without a password; type\n${hint}`);
  }
  await runAsRoot(prefix, update);
  await runAsRoot(prefix, install);
  const still = missingPackages(purpose);
  if (still.length > 0) throw new ScriptError(`setup: still missing: ${still.join(' ')}`);
}

if (isMain(import.meta.url)) {
  await main(async () => {
    const [flag, purpose, ...rest] = process.argv.slice(2);
    if (flag !== '--for' || !['start', 'test'].includes(purpose) || rest.length > 0) {
      throw new ScriptError('usage: node scripts/setup.mjs --for start|test');
    }
    await setup(purpose);
  });
}
