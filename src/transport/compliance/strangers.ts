/** What: what somebody who does not speak the protocol can do: end his own lane, nothing more. */
import type { Duplex } from 'node:stream';

import type { TransportError } from '../../errors.js';
import type { Lane } from '../contract.js';
import {
  CollectingSink,
  Random,
  check,
  checkTransportError,
  suiteFrameBytes,
  until,
  within,
} from './harness.js';
import type { Harness } from './harness.js';

interface Visit {
  readonly stranger: Duplex;
  readonly lane: Lane;
  readonly sink: CollectingSink;
}

async function visit(harness: Harness): Promise<Visit> {
  const sink = new CollectingSink();
  const lanes: Lane[] = [];
  const listener = await harness.listen((lane) => {
    lane.receive(sink);
    lanes.push(lane);
  });
  const stranger = await harness.target.openStranger?.(new URL(listener.address));
  check(stranger !== undefined, 'the target has the hook');
  stranger.on('error', () => undefined);
  await until(() => lanes.length === 1, 'the stranger is accepted');
  const [lane] = lanes;
  check(lane !== undefined, 'as a lane');
  return { stranger, lane, sink };
}

function prefixed(announced: number, sent: Buffer): Buffer {
  const prefix = Buffer.alloc(4);
  prefix.writeUInt32LE(announced);
  return Buffer.concat([prefix, sent]);
}

async function halfFrame(harness: Harness, sent: number, announced: number): Promise<void> {
  const { stranger, sink } = await visit(harness);
  const whole = prefixed(announced, Buffer.alloc(announced));
  stranger.end(whole.subarray(0, sent));
  await within(sink.end, 'the lane ends');
  checkTransportError(sink.endError, {
    code: 'FRAME_TRUNCATED',
    phase: 'receive',
    retryable: true,
  });
  // Of a cut prefix only its own rest is known to be missing.
  const missing = sent < 4 ? 4 - sent : whole.length - sent;
  const { message } = sink.endError as TransportError;
  check(message.includes(`${missing} bytes are missing`), `it says how many: ${message}`);
  check(sink.frames.length === 0, 'nothing is delivered');
  const wasAsked = sent >= 4 + Math.min(announced, 16);
  check((sink.unused !== undefined) === wasAsked, 'memory that was given comes back');
  stranger.destroy();
}

async function hugeLength(harness: Harness): Promise<void> {
  for (const length of [suiteFrameBytes + 1, 0x7fff_ffff, 0xffff_fffe]) {
    const { stranger, sink } = await visit(harness);
    stranger.write(prefixed(length, Buffer.alloc(100)));
    await within(sink.end, 'the lane ends');
    checkTransportError(sink.endError, { code: 'FRAME_TOO_LARGE', phase: 'receive' });
    check(sink.reserved.length === 0, 'no memory was asked for');
    stranger.destroy();
  }
}

async function garbage(harness: Harness, random: Random): Promise<void> {
  for (let round = 0; round < 20; round += 1) {
    const { stranger, sink, lane } = await visit(harness);
    let most = 0;
    sink.give = (bytes) => {
      most = Math.max(most, bytes);
      return Buffer.alloc(bytes);
    };
    stranger.end(random.bytes(random.below(100_000)));
    stranger.resume();
    await within(sink.end, 'the lane ends');
    check(sink.endError !== undefined, 'with an error');
    check(most <= suiteFrameBytes && sink.endedCount === 1, 'within its limits');
    check(lane.status === 'closed', 'and is closed');
    stranger.destroy();
  }
}

async function trickle(harness: Harness): Promise<void> {
  const { stranger, sink } = await visit(harness);
  const frames = [Buffer.alloc(0), Buffer.from('x'), Buffer.alloc(17, 3), Buffer.alloc(40, 9)];
  for (const byte of Buffer.concat(frames.map((frame) => prefixed(frame.length, frame)))) {
    stranger.write(Buffer.of(byte));
    await new Promise((resolve) => setImmediate(resolve));
  }
  await until(() => sink.frames.length === frames.length, 'byte by byte the frames come together');
  check(
    frames.every((frame, index) => sink.frames[index]?.equals(frame) === true),
    'unchanged',
  );
  stranger.end(Buffer.alloc(4, 0xff));
  await within(sink.end, 'a goodbye ends the lane');
  check(sink.endError === undefined, 'gracefully');
  stranger.destroy();
}

async function afterGoodbye(harness: Harness): Promise<void> {
  const { stranger, sink } = await visit(harness);
  stranger.write(Buffer.concat([Buffer.alloc(4, 0xff), prefixed(1, Buffer.of(1))]));
  await within(sink.end, 'the lane ends');
  checkTransportError(sink.endError, { code: 'GARBAGE', phase: 'receive' });
  check(sink.frames.length === 0, 'nothing after a goodbye counts');
  stranger.destroy();
}

async function idleStrangers(harness: Harness): Promise<void> {
  const sink = new CollectingSink();
  let accepted = 0;
  const listener = await harness.listen((lane) => {
    accepted += 1;
    lane.receive(accepted <= 100 ? new CollectingSink() : sink);
  });
  const strangers: Duplex[] = [];
  for (let index = 0; index < 100; index += 1) {
    const stranger = await harness.target.openStranger?.(new URL(listener.address));
    check(stranger !== undefined, 'the target has the hook');
    stranger.on('error', () => undefined);
    stranger.write(Buffer.of(5));
    strangers.push(stranger);
  }
  await until(() => accepted === 100, 'all are accepted');
  const lane = await harness.dial(listener.address);
  lane.receive(new CollectingSink());
  await lane.send([Buffer.alloc(suiteFrameBytes)]);
  await until(() => sink.frames.length === 1, 'the rightful peer is served');
  for (const stranger of strangers) stranger.destroy();
}

export function strangerTests(harness: Harness): void {
  for (const [sent, announced] of [
    [2, 100],
    [4, 100],
    [14, 100],
    [20, 100],
    [90, 100],
    [50_004, 500_000],
  ] as const) {
    harness.itWith(
      'openStranger',
      `names the missing bytes of a frame of ${announced} cut after ${sent} bytes`,
      () => halfFrame(harness, sent, announced),
    );
  }
  harness.itWith('openStranger', 'refuses an absurd length before memory is asked for', () =>
    hugeLength(harness),
  );
  const random = new Random();
  harness.itWith('openStranger', `survives garbage (seed ${random.seed})`, () =>
    garbage(harness, random),
  );
  harness.itWith('openStranger', 'takes frames that come byte by byte', () => trickle(harness));
  harness.itWith('openStranger', 'refuses what follows a goodbye', () => afterGoodbye(harness));
  harness.itWith('openStranger', 'serves its peer among 100 idle strangers', () =>
    idleStrangers(harness),
  );
}
