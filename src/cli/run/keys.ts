/** What: `pageferry keys generate`: what it does. */
import { generateKeyFile } from '../../keys/index.js';
import { EXIT, type ExitCode } from '../exit-codes.js';

export async function generateKey(path: string): Promise<ExitCode> {
  await generateKeyFile(path);
  process.stdout.write(`${path}: a new key, readable by you alone\n`);
  return EXIT.completed;
}
