/** What: backpressure: a slow reader bounds the memory of both sides and loses nothing. */
import { setTimeout as sleep } from 'node:timers/promises';

import {
  CollectingSink,
  Gate,
  aWhile,
  check,
  checkTransportError,
  rejection,
  suiteFrameBytes,
  until,
  within,
} from './harness.js';
import type { Harness } from './harness.js';

/** More than any transport may hold between two lanes. */
const tooMuchBytes = 256 * 1024 * 1024;

async function pendingReserve(harness: Harness): Promise<void> {
  const gate = new Gate();
  const sink = new CollectingSink();
  sink.give = gate.give;
  const sinks = { dialed: new CollectingSink(), accepted: sink };
  const { dialed, accepted } = await harness.pair({}, {}, sinks);
  const frame = Buffer.alloc(suiteFrameBytes, 7);
  let sent = 0;
  let failed: unknown;
  const sending = (async () => {
    while (sent * frame.length < tooMuchBytes && accepted.sink.frames.length === 0) {
      await dialed.lane.send([frame]);
      sent += 1;
    }
  })().catch((error: unknown) => {
    failed = error;
  });
  let before = -1;
  while (before !== sent || sent === 0) {
    before = sent;
    await sleep(150);
    if (sink.reserved.length > 0 && sent === 0) break;
  }
  check(sent * frame.length < tooMuchBytes / 4, `sends stop while memory is pending: ${sent} MiB`);
  check(sink.reserved.length === 1, 'one frame at a time is announced');
  const { bytesQueued } = dialed.lane.counters;
  check(bytesQueued <= 2 * frame.length, `the sender holds no more than its frame: ${bytesQueued}`);
  gate.open();
  sink.give = (bytes) => Buffer.alloc(bytes);
  await within(sending, 'sending goes on when memory is there');
  check(failed === undefined, `nothing fails: ${String(failed)}`);
  await until(() => sink.frames.length === sent, 'every frame sent arrives');
}

async function slowReader(harness: Harness): Promise<void> {
  const { dialed, accepted } = await harness.pair();
  const { sink } = accepted;
  let held = 0;
  let mostHeld = 0;
  const kept: number[] = [];
  const reused = Buffer.alloc(suiteFrameBytes);
  sink.give = async () => {
    held += 1;
    mostHeld = Math.max(mostHeld, held);
    await sleep(1);
    return reused;
  };
  sink.deliver = (buffer, bytes) => {
    held -= 1;
    kept.push(buffer[0] ?? 0);
    check(buffer[bytes - 1] === buffer[0], 'a frame is whole');
  };
  globalThis.gc?.();
  const beforeBytes = process.memoryUsage().rss;
  let mostBytes = 0;
  const frame = Buffer.alloc(suiteFrameBytes);
  const count = 200;
  for (let index = 0; index < count; index += 1) {
    frame.fill(index % 251);
    await dialed.lane.send([frame]);
    mostBytes = Math.max(mostBytes, process.memoryUsage().rss);
  }
  await until(() => kept.length === count, 'all frames arrive');
  check(mostHeld === 1, 'the reader is asked for one buffer at a time');
  check(
    kept.every((value, index) => value === index % 251),
    'in order',
  );
  const grownBytes = mostBytes - beforeBytes;
  check(grownBytes < 64 * 1024 * 1024, `memory of both sides stays bounded: ${grownBytes}`);
}

async function fullQueue(harness: Harness): Promise<void> {
  const gate = new Gate();
  const sinks = { dialed: new CollectingSink(), accepted: new CollectingSink() };
  sinks.accepted.give = gate.give;
  const { dialed } = await harness.pair({}, {}, sinks);
  const frame = Buffer.alloc(suiteFrameBytes);
  let full: unknown;
  const sends: Promise<void>[] = [];
  for (let index = 0; index < 1000 && full === undefined; index += 1) {
    const sent = dialed.lane.send([frame]);
    sent.catch((error: unknown) => {
      full ??= error;
    });
    sends.push(sent);
    await Promise.resolve();
  }
  check(full !== undefined, 'a caller that does not await is refused in the end');
  checkTransportError(full, { code: 'QUEUE_FULL', phase: 'send', retryable: true });
  gate.open();
  await within(Promise.allSettled(sends), 'what was accepted is sent');
  const accepted = sends.length - 1;
  await until(() => sinks.accepted.frames.length === accepted, 'and nothing else arrives');
}

async function latePromise(harness: Harness): Promise<void> {
  const gate = new Gate();
  const sinks = { dialed: new CollectingSink(), accepted: new CollectingSink() };
  sinks.accepted.give = gate.give;
  const { dialed, accepted } = await harness.pair({}, {}, sinks);
  const sends = [dialed.lane.send([Buffer.from('one')]), dialed.lane.send([Buffer.from('two')])];
  const settled = Promise.allSettled(sends);
  await until(() => sinks.accepted.reserved.length === 1, 'memory is asked for');
  accepted.lane.abort(new Error('enough'));
  await within(sinks.accepted.end, 'the end does not wait for the memory');
  gate.open();
  await within(settled, 'every send settles');
  await aWhile();
  check(sinks.accepted.frames.length === 0, 'nothing is delivered after the end');
  check(sinks.accepted.endedCount === 1, 'the end comes once');
}

async function refusingSink(
  harness: Harness,
  how: 'throws' | 'rejects' | 'too small',
): Promise<void> {
  const { dialed, accepted } = await harness.pair();
  const small = Buffer.alloc(1);
  const refusal = new Error('no room');
  accepted.sink.give = () => {
    if (how === 'throws') throw refusal;
    return how === 'rejects' ? Promise.reject(refusal) : small;
  };
  await Promise.allSettled([dialed.lane.send([Buffer.alloc(100_000)])]);
  await within(accepted.sink.end, 'the lane ends');
  const { endError, unused, frames } = accepted.sink;
  checkTransportError(endError, { code: 'SINK', phase: 'receive', retryable: false });
  check(how === 'too small' || endError?.cause === refusal, 'the reason is chained');
  check(unused === (how === 'too small' ? small : undefined), 'memory that was given comes back');
  check(frames.length === 0, 'nothing is delivered');
  await within(dialed.sink.end, 'the peer learns it');
  const error = await rejection(accepted.lane.send([small]), 'the lane is over');
  checkTransportError(error, { code: 'CLOSED', phase: 'send' });
}

async function largerBuffer(harness: Harness): Promise<void> {
  const { dialed, accepted } = await harness.pair();
  const large = Buffer.alloc(400_000, 0xee);
  accepted.sink.give = () => large;
  await dialed.lane.send([Buffer.alloc(300_000, 1)]);
  await until(() => accepted.sink.frames.length === 1, 'the frame arrives');
  check(accepted.sink.frames[0]?.length === 300_000, 'with its own length');
  check(
    large.subarray(300_000).every((byte) => byte === 0xee),
    'the rest is untouched',
  );
}

export function flowTests(harness: Harness): void {
  harness.it('stops the sender while reserve is pending, and then goes on', () =>
    pendingReserve(harness),
  );
  harness.it('bounds the memory of both sides when the reader is slow', () => slowReader(harness));
  harness.it('bounds the queue of a sender that does not await', () => fullQueue(harness));
  harness.it('does not wait for promised memory at the end', () => latePromise(harness));
  for (const how of ['throws', 'rejects', 'too small'] as const) {
    harness.it(`ends the lane when reserve ${how === 'too small' ? 'gives too little' : how}`, () =>
      refusingSink(harness, how),
    );
  }
  harness.it('fills the front of a larger buffer', () => largerBuffer(harness));
}
