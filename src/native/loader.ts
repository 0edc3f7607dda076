/**
 * What: the only loader of the native addon and of the helper's images, found from the package's
 * root. What is missing or does not load becomes a ConfigurationError that says what to do.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

import { ConfigurationError } from '../errors.js';
import type { NativeAddon } from './addon.js';

/** This file runs as dist/src/native/loader.js. */
const packageRoot = new URL('../../../', import.meta.url);
const addonPlace = 'native/build/Release/pageferry.node';

let loaded: NativeAddon | undefined;

function missing(what: string, place: string, cause: unknown): ConfigurationError {
  const message = `${what} does not load from ${place}; build it with \`npm run build\``;
  return new ConfigurationError('ERR_PAGEFERRY_NOT_BUILT', message, { cause });
}

/** The addon, loaded once. */
export function loadAddon(): NativeAddon {
  if (loaded !== undefined) return loaded;
  const path = fileURLToPath(new URL(addonPlace, packageRoot));
  try {
    loaded = createRequire(import.meta.url)(path) as NativeAddon;
  } catch (cause) {
    throw missing('the native addon', path, cause);
  }
  return loaded;
}

/** The helper's image; `test`: the one that answers TEST_FAULT. */
export function loadHelperImage(test: boolean): Buffer {
  const name = test ? 'helper-test.img' : 'helper.img';
  const path = fileURLToPath(new URL(`native/helper/build/${name}`, packageRoot));
  try {
    return readFileSync(path);
  } catch (cause) {
    throw missing("the helper's image", path, cause);
  }
}
