// An ESLint rule of our own: which part of the tree may import which. See CONTRIBUTING.md.
// It sees static and dynamic imports, re-exports, createRequire and process.dlopen.

import { dirname, relative, resolve } from 'node:path';

import { root } from './paths.mjs';

const ioModules = new Set(
  [
    'child_process cluster dgram dns dns/promises fs fs/promises http http2 https inspector module',
    'net process readline readline/promises repl tls tty worker_threads',
  ].flatMap((names) => names.split(' ')),
);

const pureParts = /^src\/(wire|ring)\/|^src\/limits\.ts$/;
const pureImports =
  /^src\/(wire|ring)\/|^src\/(limits|errors)\.[jt]s$|^src\/native\/abi\.generated\.[jt]s$/;
const purePackages = /^@bufbuild\/protobuf(\/|$)/;
const aboveTransports = /^src\/(session|mirror|guest|native|checkpoint|cli)\//;
const registry = 'src/transport/registry.ts';
/** Pageferry's addon, and the one that tests build for themselves. */
const addonParts = /^(src\/native\/|test\/support\/peer\/hostile\.ts$)/;

function isBuiltin(specifier) {
  return specifier.startsWith('node:');
}

/** The file a relative import names, from the root; undefined for packages. */
function importedFile(file, specifier) {
  if (!specifier.startsWith('.')) return undefined;
  return relative(root, resolve(root, dirname(file), specifier));
}

/** What is wrong with `file` importing `specifier`; undefined when nothing is. */
export function importProblem(file, { specifier, isDynamic, isTypeOnly }) {
  const imported = importedFile(file, specifier);
  if (pureParts.test(file) && !isTypeOnly) {
    if (isBuiltin(specifier) && ioModules.has(specifier.slice('node:'.length))) {
      return 'wire, ring and limits import no I/O';
    }
    const allowed =
      imported === undefined
        ? isBuiltin(specifier) || purePackages.test(specifier)
        : pureImports.test(imported);
    if (!allowed) return 'wire, ring and limits import nothing but each other and errors';
  }
  if (file.startsWith('src/') && imported?.startsWith('transports/')) {
    if (file !== registry || !isDynamic) {
      return `src/ reaches transports/ only by dynamic import in ${registry}`;
    }
  }
  if (file.startsWith('transports/') && imported !== undefined && aboveTransports.test(imported)) {
    return 'a transport sees opaque frames: it imports nothing above the transport contract';
  }
  if (specifier.endsWith('.node') && !addonParts.test(file)) {
    return 'only src/native/ loads the addon';
  }
  return undefined;
}

const addonLoaders = [
  ['Identifier', 'createRequire', (node) => node.name],
  ['MemberExpression', 'dlopen', (node) => node.property.name],
];

/** The rule, for eslint.config.mjs. */
export const layersRule = {
  meta: { type: 'problem', schema: [], messages: { layer: '{{problem}}.' } },
  create(context) {
    const file = relative(root, context.filename);
    const report = (node, problem) =>
      context.report({ node, messageId: 'layer', data: { problem } });
    const checkSource = (node, isDynamic) => {
      if (typeof node.source?.value !== 'string') return;
      const kind = node.importKind ?? node.exportKind;
      const facts = { specifier: node.source.value, isDynamic, isTypeOnly: kind === 'type' };
      const problem = importProblem(file, facts);
      if (problem !== undefined) report(node, problem);
    };
    const visitors = {
      ImportDeclaration: (node) => checkSource(node, false),
      ExportNamedDeclaration: (node) => checkSource(node, false),
      ExportAllDeclaration: (node) => checkSource(node, false),
      ImportExpression: (node) => checkSource(node, true),
    };
    if (addonParts.test(file)) return visitors;
    for (const [type, name, nameOf] of addonLoaders) {
      visitors[type] = (node) => {
        if (nameOf(node) === name) report(node, 'only src/native/ loads the addon');
      };
    }
    return visitors;
  },
};
