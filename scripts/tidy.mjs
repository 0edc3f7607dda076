// The house rules that no other tool checks: length of files and lines, left-over marks, skipped
// tests, addresses in the lock file. Runs in lint and as a test; prints what breaks a rule.

import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';

import { filesBelow, inRoot, root } from './lib/paths.mjs';
import { isMain, main } from './lib/run.mjs';

const lineLimit = 400;
const columnLimit = 100;
const tabColumns = 8;

const codeRoots = /^(src|transports|native|test|bench|scripts|examples)\//;
const codeNames = /(\.(ts|mts|mjs|cjs|js|c|h|cc|hh|S|s|ld|lds|sh|py|gyp|proto)|\/Makefile)$/;
const generated = /^src\/wire\/generated\/|\.generated\.\w+$|^package-lock\.json$/;
const binary = /\.(png|jpg|gif|ico|bin|img|gz|zst|lz4|node)$/;
// Written in halves, so that this file does not break its own rule.
const leftovers = ['TO' + 'DO', 'FIX' + 'ME', 'X' + 'XX', 'HA' + 'CK'];
const leftover = new RegExp(`\\b(${leftovers.join('|')})\\b`);
const skipHelper = 'test/support/require.ts';
const unrun = /\b(describe|context|it|specify|suite|test)\.(only|skip)\(|\bthis\.skip\(/;

/** The files git tracks, relative to the root; outside a clone, all files. */
function projectFiles() {
  const args = ['ls-files', '-z'];
  const listed = spawnSync('git', args, { cwd: root, encoding: 'utf8' });
  const names =
    listed.status === 0
      ? listed.stdout.split('\0').filter((name) => name !== '' && existsSync(inRoot(name)))
      : filesBelow(
          root,
          ['node_modules', 'dist', '.git'].map((name) => inRoot(name)),
        )
          .map((path) => path.slice(root.length + 1))
          .filter((name) => !/^native\/(helper\/|demo\/guest\/)?build\//.test(name));
  return [...new Set(names)];
}

function columnsOf(line) {
  let columns = 0;
  for (const character of line) {
    columns =
      character === '\t' ? (Math.floor(columns / tabColumns) + 1) * tabColumns : columns + 1;
  }
  return columns;
}

function* problemsOfCode(name, lines) {
  // The end of the last line makes one more, empty element.
  const count = lines.length - 1;
  if (count > lineLimit) yield `${name}: ${count} lines, the limit is ${lineLimit}`;
  for (const [index, line] of lines.entries()) {
    const columns = columnsOf(line);
    if (columns > columnLimit) {
      yield `${name}:${index + 1}: ${columns} columns, the limit is ${columnLimit}`;
    }
    if (name.startsWith('test/') && name !== skipHelper && unrun.test(line)) {
      yield `${name}:${index + 1}: a test that is left out; see ${skipHelper}`;
    }
  }
}

function* problemsOfLockFile(text) {
  if (text.includes('"resolved"')) yield 'package-lock.json: holds download addresses';
  if (/\bregistry\b|\.tgz\b/.test(text)) yield 'package-lock.json: names a package registry';
}

/** Every broken rule, as a line that begins with its place. */
export function findProblems() {
  const problems = [];
  for (const name of projectFiles()) {
    if (binary.test(name)) continue;
    const text = readFileSync(inRoot(name), 'utf8');
    if (name === 'package-lock.json') problems.push(...problemsOfLockFile(text));
    if (generated.test(name)) continue;
    const lines = text.split('\n');
    if (codeRoots.test(name) && codeNames.test(name)) problems.push(...problemsOfCode(name, lines));
    for (const [index, line] of lines.entries()) {
      const found = leftover.exec(line);
      if (found) problems.push(`${name}:${index + 1}: "${found[1]}" does not belong in the tree`);
    }
  }
  return problems;
}

if (isMain(import.meta.url)) {
  await main(() => {
    const problems = findProblems();
    for (const problem of problems) console.error(problem);
    return problems.length === 0 ? 0 : 1;
  });
}
