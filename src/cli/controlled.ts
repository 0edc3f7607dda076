/**
 * What: a session's handle together with its control socket. A session that cannot have one runs
 * all the same: nobody should lose a migration for a directory.
 */
import { ControlServer } from '../control/server.js';
import { errorCode, errorMessage } from '../errors.js';
import { SessionControl } from '../session/session-control.js';
import type { Role } from '../session/types.js';
import type { Frontend } from './frontend.js';

export interface Controlled {
  readonly control: SessionControl;
  /** Removes the socket. */
  close(): Promise<void>;
}

export async function openControl(role: Role, front: Frontend): Promise<Controlled> {
  const control = new SessionControl();
  try {
    const server = await ControlServer.open({ control, role });
    return { control, close: () => server.close() };
  } catch (error) {
    const why = `${errorMessage(error)} (${errorCode(error)})`;
    front.notice(`pageferry status and its like will not reach this session: ${why}`);
    return { control, close: () => Promise.resolve() };
  }
}
