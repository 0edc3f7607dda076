/** What: frames arrive as they were sent: sizes, order, content, limits, counters. */
import {
  Random,
  check,
  checkTransportError,
  rejection,
  suiteFrameBytes,
  until,
} from './harness.js';
import type { Harness } from './harness.js';

async function sizesTests(harness: Harness): Promise<void> {
  const { dialed, accepted } = await harness.pair();
  const random = new Random(1);
  const sizes = [0, 1, 3, 4, 15, 16, 17, 4096, 65_535, suiteFrameBytes - 1, suiteFrameBytes];
  for (const [from, to] of [
    [dialed, accepted],
    [accepted, dialed],
  ] as const) {
    for (const [index, size] of sizes.entries()) {
      const frame = random.bytes(size);
      await from.lane.send([frame]);
      await until(() => to.sink.frames.length === index + 1, `a frame of ${size} bytes arrives`);
      check(to.sink.frames[index]?.equals(frame) === true, `${size} bytes arrive unchanged`);
    }
  }
}

async function randomTraffic(harness: Harness, random: Random): Promise<void> {
  const { dialed, accepted } = await harness.pair();
  const delays = new Random(random.seed);
  accepted.sink.give = (bytes) => {
    const memory = Buffer.alloc(bytes);
    const delay = delays.below(4);
    if (delay === 0) return new Promise((give) => setImmediate(give, memory));
    return delay === 1 ? Promise.resolve(memory) : memory;
  };
  const frames: Buffer[] = [];
  const sends: Promise<void>[] = [];
  for (let index = 0; index < 200; index += 1) {
    const limit = [2, 40, 5000, 300_000][random.below(4)] ?? 2;
    const frame = random.bytes(random.below(limit));
    const cutA = random.below(frame.length + 1);
    const cutB = cutA + random.below(frame.length - cutA + 1);
    const cut = [frame.subarray(0, cutA), frame.subarray(cutA, cutB), frame.subarray(cutB)];
    frames.push(frame);
    const sent = dialed.lane.send(cut);
    if (random.below(3) === 0) await sent;
    else sends.push(sent);
  }
  await Promise.all(sends);
  await until(() => accepted.sink.frames.length === frames.length, 'all frames arrive');
  for (const [index, frame] of frames.entries()) {
    check(accepted.sink.reserved[index] === frame.length, `frame ${index} has its length`);
    check(accepted.sink.frames[index]?.equals(frame) === true, `frame ${index} has its content`);
    const head = accepted.sink.heads[index] ?? Buffer.alloc(0);
    check(head.length >= Math.min(16, frame.length), `frame ${index} is shown its first bytes`);
    check(head.equals(frame.subarray(0, head.length)), `frame ${index} is shown its own bytes`);
  }
}

async function manySmall(harness: Harness): Promise<void> {
  const { dialed, accepted } = await harness.pair();
  const count = 2000;
  const sends: Promise<void>[] = [];
  for (let index = 0; index < count; index += 1) {
    const frame = Buffer.alloc(8);
    frame.writeUInt32LE(index);
    sends.push(dialed.lane.send([frame]));
  }
  await Promise.all(sends);
  await until(() => accepted.sink.frames.length === count, 'all small frames arrive');
  const ordered = accepted.sink.frames.every((frame, index) => frame.readUInt32LE() === index);
  check(ordered, 'they arrive in the order sent');
}

async function reuse(harness: Harness): Promise<void> {
  const { dialed, accepted } = await harness.pair();
  const part = Buffer.alloc(300_000);
  for (let round = 1; round <= 20; round += 1) {
    part.fill(round);
    await dialed.lane.send([part]);
  }
  await until(() => accepted.sink.frames.length === 20, 'all frames arrive');
  for (const [index, frame] of accepted.sink.frames.entries()) {
    const wanted = Buffer.alloc(part.length, index + 1);
    check(frame.equals(wanted), `frame ${index} is not what came after it`);
  }
}

async function oversizeSend(harness: Harness): Promise<void> {
  const { dialed, accepted } = await harness.pair({ maxFrameBytes: 1000 });
  const error = await rejection(dialed.lane.send([Buffer.alloc(1001)]), 'the send is refused');
  checkTransportError(error, { code: 'FRAME_TOO_LARGE', phase: 'send', retryable: false });
  await dialed.lane.send([Buffer.alloc(500), Buffer.alloc(500)]);
  await until(() => accepted.sink.frames.length === 1, 'the lane goes on');
  check(accepted.sink.frames[0]?.length === 1000, 'only the permitted frame arrives');
}

async function oversizeReceive(harness: Harness): Promise<void> {
  const { dialed, accepted } = await harness.pair({}, { maxFrameBytes: 1000 });
  await dialed.lane.send([Buffer.alloc(1000)]);
  const sent = dialed.lane.send([Buffer.alloc(1001)]);
  await Promise.allSettled([sent]);
  await accepted.sink.end;
  checkTransportError(accepted.sink.endError, { code: 'FRAME_TOO_LARGE', phase: 'receive' });
  check(accepted.sink.reserved.length === 1, 'no memory was asked for the frame');
  await dialed.sink.end;
  check(dialed.sink.endError !== undefined, 'the sender learns that the lane is lost');
}

async function countersTest(harness: Harness): Promise<void> {
  const { dialed, accepted } = await harness.pair();
  await dialed.lane.send([Buffer.alloc(10), Buffer.alloc(20)]);
  await dialed.lane.send([]);
  await accepted.lane.send([Buffer.alloc(7)]);
  await until(() => accepted.sink.frames.length === 2, 'two frames arrive');
  await until(() => dialed.sink.frames.length === 1, 'one frame comes back');
  const { bytesSent, framesSent, bytesReceived, framesReceived, bytesQueued } =
    dialed.lane.counters;
  check(bytesSent === 30 && framesSent === 2, `30 bytes, 2 frames: ${bytesSent}, ${framesSent}`);
  check(bytesReceived === 7 && framesReceived === 1, 'what came back is counted');
  check(bytesQueued === 0, 'nothing is queued');
  check(accepted.lane.counters.bytesReceived === 30, 'the other side counts the same');
  check(accepted.lane.counters.bytesSent === 7, 'and its own');
}

export function frameTests(harness: Harness): void {
  harness.it('carries frames of zero, one and maximum size both ways', () => sizesTests(harness));
  harness.it('carries many small frames in the order sent', () => manySmall(harness));
  const random = new Random();
  harness.it(`carries random frames in random parts (seed ${random.seed})`, () =>
    randomTraffic(harness, random),
  );
  harness.it('lets parts be reused as soon as send resolves', () => reuse(harness));
  harness.it('refuses to send an oversize frame, and goes on', () => oversizeSend(harness));
  harness.it('refuses an oversize frame of the peer before memory is asked for', () =>
    oversizeReceive(harness),
  );
  harness.it('counts frames and bytes on both sides', () => countersTest(harness));
}
