// Where things lie, and how the files of a directory are listed.

import { existsSync, readdirSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The project's root directory. */
export const root = resolve(dirname(fileURLToPath(import.meta.url)), '..', '..');

/** An absolute path inside the project. */
export function inRoot(...parts) {
  return join(root, ...parts);
}

/** A program that `npm ci` installed. */
export function installedTool(name) {
  return inRoot('node_modules', '.bin', name);
}

/**
 * Every file below a directory, sorted, as absolute paths. A missing directory has none.
 * `skip` lists absolute paths that are left out together with what lies below them.
 */
export function filesBelow(directory, skip = []) {
  if (!existsSync(directory)) return [];
  const found = [];
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (skip.includes(path)) continue;
    if (entry.isDirectory()) found.push(...filesBelow(path, skip));
    else if (entry.isFile()) found.push(path);
  }
  return found.sort();
}

/** Where native builds write: what lies there is no source. */
export const nativeBuildDirectories = ['build', 'helper/build', 'demo/guest/build'].map((name) =>
  inRoot('native', name),
);
