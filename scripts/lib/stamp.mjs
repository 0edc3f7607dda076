// Deciding what is stale: a fingerprint of the inputs, kept in a stamp file beside the outputs.

import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, relative } from 'node:path';

import { root } from './paths.mjs';

/** A hash over the names and contents of files, and over further facts such as versions. */
export function fingerprint(files, facts = []) {
  const hash = createHash('sha256');
  for (const fact of facts) hash.update(`fact ${fact}\n`);
  for (const file of files) {
    const content = readFileSync(file);
    hash.update(`file ${relative(root, file)} ${content.length}\n`).update(content);
  }
  return hash.digest('hex');
}

/** Whether the stamp holds this fingerprint. */
export function isFresh(stampFile, wanted) {
  return existsSync(stampFile) && readFileSync(stampFile, 'utf8') === wanted;
}

/** Records that the outputs were made from these inputs. */
export function writeStamp(stampFile, made) {
  mkdirSync(dirname(stampFile), { recursive: true });
  writeFileSync(stampFile, made);
}
