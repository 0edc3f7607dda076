// One build at a time. The kernel holds the lock (flock, from util-linux): it goes away with the
// process that took it, however that ends, so there is no stale lock to clean up.

import { spawn } from 'node:child_process';
import { once } from 'node:events';

import { inRoot } from './paths.mjs';
import { ScriptError } from './run.mjs';

const waitSeconds = 900;

/** Runs `body` while no other build of this tree runs. */
export async function withBuildLock(body) {
  // cat ends, and with it the lock, when our end of its input closes.
  const command = ['-w', String(waitSeconds), inRoot('.build.lock'), 'sh', '-c', 'echo; exec cat'];
  const holder = spawn('flock', command, { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = new Promise((resolve, reject) => {
    holder.on('error', (error) => reject(new ScriptError(`cannot run flock: ${error.message}`)));
    holder.on('close', resolve);
  });
  const held = once(holder.stdout, 'data').then(() => true);
  if ((await Promise.race([held, ended])) !== true) {
    throw new ScriptError(`another build held .build.lock for ${waitSeconds} s`);
  }
  try {
    return await body();
  } finally {
    holder.stdin.end();
    await ended;
  }
}
