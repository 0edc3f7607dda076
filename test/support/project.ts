/** Where the project lies, seen from a compiled test. */

import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The project's root directory; this file is compiled to dist/test/support/. */
export const projectRoot = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');
