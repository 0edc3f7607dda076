/**
 * The command line on the real parts, in a process that kills itself (SIGKILL) at the moment it
 * enters a state: the one that the variable PAGEFERRY_TEST_KILL_AT names. Run as a program, it is
 * `pageferry`.
 */
import { fileURLToPath } from 'node:url';

import type { Parts } from '../../src/cli/parts.js';
import { loadParts } from '../../src/cli/parts.js';
import { main } from '../../src/cli/program.js';
import type { SessionEvent, SessionOptions } from '../../src/session/types.js';

export const killMachineFile = fileURLToPath(import.meta.url);
export const killVariable = 'PAGEFERRY_TEST_KILL_AT';

function mortal<Options extends SessionOptions>(options: Options): Options {
  const onEvent = (event: SessionEvent): void => {
    options.onEvent?.(event);
    if (event.type !== 'state' || event.state !== process.env[killVariable]) return;
    process.kill(process.pid, 'SIGKILL');
  };
  return { ...options, onEvent };
}

async function mortalParts(): Promise<Parts> {
  const parts = await loadParts();
  return {
    ...parts,
    runSource: (options) => parts.runSource(mortal(options)),
    runDestination: (options) => parts.runDestination(mortal(options)),
  };
}

if (process.argv[1] === killMachineFile) await main(mortalParts);
