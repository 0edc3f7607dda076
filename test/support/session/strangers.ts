/** Peers that have no business at a listening session. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';

import type { Lane } from '../../../src/transport/contract.js';
import { transportFor } from '../../../src/transport/registry.js';
import type { ClearFrame } from '../../../src/wire/frames.js';
import { decodeFrame, encodeFrame } from '../../../src/wire/frames.js';
import type { PeerRole } from '../../../src/wire/generated/frames_pb.js';
import { FRAME_BYTES_MAX } from '../../../src/wire/limits.js';

/** Dials raw TCP and sends bytes that are no frames; resolves when it was thrown out. */
export async function talkGarbage(address: string, bytes: number): Promise<void> {
  const url = new URL(address);
  const socket = connect(Number(url.port), url.hostname);
  socket.on('error', () => {});
  const closed = new Promise((resolve) => socket.once('close', resolve));
  await once(socket, 'connect');
  socket.write(randomBytes(bytes));
  socket.resume();
  await closed;
}

export interface Stranger {
  readonly lane: Lane;
  /** Frames in the clear that came back. */
  readonly frames: ClearFrame[];
  readonly over: Promise<Error | undefined>;
}

/** A lane without a session behind it. */
export async function dialStranger(address: string): Promise<Stranger> {
  const { transport, url } = await transportFor(address);
  const lane = await transport.dial(url, { maxFrameBytes: FRAME_BYTES_MAX });
  const frames: ClearFrame[] = [];
  const over = new Promise<Error | undefined>((resolve) => {
    lane.receive({
      reserve: (bytes) => new Uint8Array(bytes),
      deliver: (buffer, bytes) => {
        const frame = buffer.subarray(0, bytes);
        if (Buffer.from(frame).toString('latin1', 0, 4) !== 'PFR1') {
          frames.push(decodeFrame(Uint8Array.from(frame)));
        }
      },
      ended: (error) => {
        resolve(error);
      },
    });
  });
  return { lane, frames, over };
}

export function helloFrame(role: PeerRole, session = new Uint8Array(0), version = 1): Uint8Array {
  const hello = { versionMin: version, versionMax: version, role, session, lane: 0, product: 'x' };
  return encodeFrame('hello', hello);
}
