/** What: pre-shared secrets: making them, and reading them safely. */
export { generateKeyFile, readKeyFile } from './files.js';
export { KEY_BYTES_MAX, KEY_BYTES_MIN, type KeyKind } from './format.js';
export { KEY_VARIABLE, readKey, readKeyDescriptor, type KeySource } from './sources.js';
