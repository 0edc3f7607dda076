// Prints the native sources for native/binding.gyp, so that new files need no edit there.
// Paths are relative to native/. The image-only parts of the helper lie in subdirectories.

import { readdirSync, existsSync } from 'node:fs';

import { inRoot } from './lib/paths.mjs';
import { isMain } from './lib/run.mjs';

const parts = [
  { directory: 'helper', extension: '.c' },
  { directory: 'kvm', extension: '.cc' },
  { directory: 'memory', extension: '.cc' },
  { directory: 'engine', extension: '.cc' },
  { directory: 'demo', extension: '.c' },
  { directory: 'demo', extension: '.cc' },
  { directory: 'binding', extension: '.cc' },
];

/** The addon's sources, as paths relative to native/. */
export function nativeSources() {
  return parts.flatMap(({ directory, extension }) => {
    const path = inRoot('native', directory);
    if (!existsSync(path)) return [];
    const names = readdirSync(path).filter((name) => name.endsWith(extension));
    return names.sort().map((name) => `${directory}/${name}`);
  });
}

if (isMain(import.meta.url)) console.log(nativeSources().join('\n'));
