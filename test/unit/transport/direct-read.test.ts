import assert from 'node:assert/strict';

import type { FrameSink, Lane } from '../../../src/transport/contract.js';
import tcp from '../../../transports/tcp/index.js';

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

describe('reading from a TCP socket', () => {
  for (const receiver of ['accepting', 'dialing'] as const) {
    it(`goes straight into the sink's memory at the ${receiver} end`, async () => {
      const transport = tcp();
      const limits = { maxFrameBytes: frameBytes };
      let accept: (lane: Lane) => void = () => undefined;
      const accepted = new Promise<Lane>((resolve) => {
        accept = resolve;
      });
      const listener = await transport.listen(new URL('tcp://127.0.0.1:0'), limits, accept);
      const dialed = await transport.dial(new URL(listener.address), limits);
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
      assert.ok(grownBytes < frameBytes + toleranceBytes, `buffers grew by ${grownBytes} bytes`);
    });
  }
});
