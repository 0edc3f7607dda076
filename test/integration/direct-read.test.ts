/** How lanes over sockets take bytes in: into the sink's memory, whoever holds the lane. */
import assert from 'node:assert/strict';
import { join } from 'node:path';

import { collectGarbage } from '../../src/transport/compliance/leaks.js';
import type { FrameSink, Lane } from '../../src/transport/contract.js';
import { transportFor } from '../../src/transport/registry.js';
import { withScratch } from '../support/scratch.js';
import { writePsk } from '../support/tls-lanes.js';

const frameBytes = 1024 * 1024;
const frameCount = 128;
/** Reading by events would allocate 64 KiB per read: 128 MiB in all. */
const toleranceBytes = 1024 * 1024;

interface Watch {
  readonly sink: FrameSink;
  readonly done: Promise<number>;
}

/** Takes all frames into one buffer and tells how far buffer memory grew meanwhile. */
function watch(): Watch {
  const memory = Buffer.alloc(frameBytes);
  const beforeBytes = process.memoryUsage().arrayBuffers;
  let mostBytes = 0;
  let frames = 0;
  let finish: (bytes: number) => void = () => undefined;
  const done = new Promise<number>((resolve) => {
    finish = resolve;
  });
  const sink: FrameSink = {
    reserve: () => memory,
    deliver() {
      mostBytes = Math.max(mostBytes, process.memoryUsage().arrayBuffers);
      frames += 1;
      if (frames === frameCount) finish(mostBytes - beforeBytes);
    },
    ended: () => undefined,
  };
  return { sink, done };
}

/** Where a transport listens in a private directory. */
const places: Readonly<Record<string, (directory: string) => string>> = {
  tcp: () => 'tcp://127.0.0.1:0',
  unix: (directory) => `unix://${join(directory, 'lane.sock')}`,
  tls: (directory) => `tls://127.0.0.1:0?psk=${writePsk(join(directory, 'lane.psk'))}`,
};

const limits = { maxFrameBytes: frameBytes };

/** A listener at `place`, whose lanes go to `accept`, and a lane dialed to it. */
async function open(place: string, accept: (lane: Lane) => void) {
  const { transport, url } = await transportFor(place);
  const listener = await transport.listen(url, limits, accept);
  const address = new URL(listener.address);
  if (address.search === '') address.search = url.search;
  return { listener, dialed: await transport.dial(address, limits) };
}

for (const [name, placeIn] of Object.entries(places)) {
  describe(`reading from a lane over ${name}`, () => {
    for (const receiver of ['accepting', 'dialing'] as const) {
      it(`goes straight into the sink's memory at the ${receiver} end`, () =>
        withScratch(async (directory) => {
          let accept: (lane: Lane) => void = () => undefined;
          const accepted = new Promise<Lane>((resolve) => {
            accept = resolve;
          });
          const { listener, dialed } = await open(placeIn(directory), accept);
          const ends = { dialing: dialed, accepting: await accepted };
          const frame = Buffer.alloc(frameBytes, 1);
          const { sink, done } = watch();
          ends[receiver].receive(sink);
          const sender = ends[receiver === 'dialing' ? 'accepting' : 'dialing'];
          sender.receive(watch().sink);
          for (let index = 0; index < frameCount; index += 1) await sender.send([frame]);
          const grownBytes = await done;
          await sender.close();
          await listener.close();
          // The sender's own watch took one buffer of a frame's size.
          const mostBytes = frameBytes + toleranceBytes;
          assert.ok(grownBytes < mostBytes, `buffers grew by ${grownBytes} bytes`);
        }));
    }

    it('goes on when nobody holds the accepted lane', () =>
      withScratch(async (directory) => {
        const { sink, done } = watch();
        const { listener, dialed } = await open(placeIn(directory), (lane) => {
          lane.receive(sink);
        });
        dialed.receive(watch().sink);
        const frame = Buffer.alloc(frameBytes, 1);
        for (let index = 0; index < frameCount; index += 1) {
          if (index % 32 === 1) await collectGarbage();
          await dialed.send([frame]);
        }
        await done;
        await dialed.close();
        await listener.close();
      }));
  });
}
