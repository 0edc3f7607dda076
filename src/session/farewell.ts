/** What: a side's last words. */
import type { OutgoingControl } from '../wire/control.js';
import type { SessionCore } from './core.js';
import { waitWithin } from './life.js';
import { FAREWELL_TIMEOUT_MS } from './limits.js';

/**
 * Sends the last message of this side and waits a little for its acknowledgement; where the peer
 * cannot go on without it (`isNeeded`), until lanes that are lost had their time to come back.
 * Never rejects.
 */
export async function farewell(
  core: SessionCore,
  message: OutgoingControl,
  isNeeded = false,
): Promise<void> {
  if (!core.isEstablished || (core.lanes.count === 0 && !isNeeded)) return;
  const told = core.sealControl(message).then((sealed) => core.shipMessage(sealed));
  const timeoutMs = isNeeded ? core.reconnectTimeoutMs : FAREWELL_TIMEOUT_MS;
  const wait = { what: 'did not take our farewell', timeoutMs };
  const until = isNeeded ? told : Promise.race([told, laneless(core)]);
  await Promise.allSettled([waitWithin(core.clock, until, wait)]);
}

async function laneless({ lanes }: SessionCore): Promise<void> {
  while (lanes.count > 0) await lanes.nextEnd();
}
