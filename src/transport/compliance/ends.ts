/** What: the ways a lane ends: closed by one side or both, lost before, in and after a frame. */
import {
  CollectingSink,
  Gate,
  check,
  checkTransportError,
  rejection,
  suiteFrameBytes,
  until,
  within,
} from './harness.js';
import { closeLimitMs } from '../base/lane.js';
import type { Lane, LaneStatus } from '../contract.js';
import type { Harness } from './harness.js';

/** Through a function, so that an earlier check does not narrow it. */
function statusOf(lane: Lane): LaneStatus {
  return lane.status;
}

async function gracefulClose(harness: Harness, closer: 'dialed' | 'accepted'): Promise<void> {
  const pair = await harness.pair();
  const own = pair[closer];
  const peer = pair[closer === 'dialed' ? 'accepted' : 'dialed'];
  const sends = [1, 2, 3, 4, 5].map((fill) => own.lane.send([Buffer.alloc(suiteFrameBytes, fill)]));
  const closed = own.lane.close();
  check(statusOf(own.lane) === 'closing', 'the lane is closing');
  const late = await rejection(own.lane.send([]), 'nothing more can be sent');
  checkTransportError(late, { code: 'CLOSED', phase: 'send', retryable: false });
  await within(Promise.all(sends), 'what was sent drains');
  await within(closed, 'the close completes');
  await within(peer.sink.end, 'the peer learns it');
  check(peer.sink.frames.length === 5, 'after all frames');
  check(peer.sink.endError === undefined, `it was graceful: ${String(peer.sink.endError)}`);
  check(own.sink.endError === undefined, 'on both sides');
  check(statusOf(own.lane) === 'closed', 'this side is closed');
  check(statusOf(peer.lane) === 'closed', 'the other side is closed');
}

async function idempotent(harness: Harness): Promise<void> {
  const { dialed, accepted } = await harness.pair();
  await within(Promise.all([dialed.lane.close(), dialed.lane.close()]), 'closing twice');
  await within(dialed.lane.close(), 'closing a closed lane');
  dialed.lane.abort();
  dialed.lane.abort(new Error('late'));
  await within(Promise.all([dialed.sink.end, accepted.sink.end]), 'both ends');
  await accepted.lane.close();
  const error = await rejection(accepted.lane.send([Buffer.alloc(1)]), 'use after close');
  checkTransportError(error, { code: 'CLOSED', phase: 'send', retryable: false });
  check(dialed.sink.endedCount === 1 && accepted.sink.endedCount === 1, 'ended comes once');
  check(dialed.sink.endError === undefined, 'an abort after the end changes nothing');
}

async function bothClose(harness: Harness): Promise<void> {
  const { dialed, accepted } = await harness.pair();
  const sends = [
    dialed.lane.send([Buffer.alloc(suiteFrameBytes, 1)]),
    accepted.lane.send([Buffer.alloc(suiteFrameBytes, 2)]),
  ];
  const closes = Promise.all([dialed.lane.close(), accepted.lane.close()]);
  await within(Promise.all(sends), 'both frames drain');
  await within(closes, 'both close');
  check(dialed.sink.frames.length === 1 && accepted.sink.frames.length === 1, 'both arrive');
  check(dialed.sink.endError === undefined && accepted.sink.endError === undefined, 'gracefully');
}

/** Both have said goodbye: nobody has a reason to wait any longer. */
async function prompt(harness: Harness): Promise<void> {
  const startedMs = performance.now();
  for (let round = 0; round < 20; round += 1) {
    const { dialed, accepted } = await harness.pair();
    await dialed.lane.send([Buffer.alloc(1000)]);
    const closes = [dialed.lane.close(), accepted.lane.close()];
    await within(Promise.all(closes), 'both close');
  }
  const tookMs = performance.now() - startedMs;
  check(
    tookMs < closeLimitMs,
    `closing waits for no timer: 20 lanes took ${Math.round(tookMs)} ms`,
  );
}

async function answerDrains(harness: Harness): Promise<void> {
  const { dialed, accepted } = await harness.pair();
  const answers = Array.from({ length: 6 }, () =>
    accepted.lane.send([Buffer.alloc(suiteFrameBytes)]),
  );
  await within(dialed.lane.close(), 'the close waits for what the peer has sent');
  await within(Promise.all(answers), 'the peer may finish');
  check(dialed.sink.frames.length === 6, 'and all of it arrives');
}

async function receiveLate(harness: Harness): Promise<void> {
  const { dialed } = await harness.pair();
  let thrown: unknown;
  try {
    dialed.lane.receive(new CollectingSink());
  } catch (error) {
    thrown = error;
  }
  check(thrown !== undefined, 'a second receive is refused');
  const listener = await harness.listen((lane) => {
    lane.receive(new CollectingSink());
  });
  const lane = await harness.dial(listener.address);
  lane.abort(new Error('enough'));
  const sink = new CollectingSink();
  lane.receive(sink);
  await within(sink.end, 'a sink given after the end learns of it');
  check(sink.endError?.message === 'enough', 'with its reason');
}

async function goneBetween(harness: Harness, frames: number): Promise<void> {
  const { dialed, accepted } = await harness.pair();
  for (let index = 0; index < frames; index += 1) await dialed.lane.send([Buffer.alloc(1000)]);
  await until(() => accepted.sink.frames.length === frames, 'the frames arrive');
  dialed.lane.abort();
  await within(accepted.sink.end, 'the peer is missed');
  checkTransportError(accepted.sink.endError, { code: 'PEER_GONE', retryable: true });
  check(accepted.sink.frames.length === frames, 'what came stays');
  check(accepted.sink.unused === undefined, 'no memory was waiting');
  const error = await rejection(accepted.lane.send([Buffer.alloc(1)]), 'the lane is over');
  checkTransportError(error, { code: 'CLOSED', phase: 'send' });
}

async function goneInside(harness: Harness): Promise<void> {
  const gate = new Gate();
  const sinks = { dialed: new CollectingSink(), accepted: new CollectingSink() };
  sinks.accepted.give = gate.give;
  const { dialed, accepted } = await harness.pair({}, {}, sinks);
  const sends = Array.from({ length: 40 }, () => dialed.lane.send([Buffer.alloc(suiteFrameBytes)]));
  const settled = Promise.allSettled(sends);
  await until(() => accepted.sink.reserved.length === 1, 'a frame begins');
  dialed.lane.abort();
  gate.open();
  accepted.sink.give = (bytes) => Buffer.alloc(bytes);
  await within(accepted.sink.end, 'the peer is missed');
  checkTransportError(accepted.sink.endError, { phase: 'receive', retryable: true });
  const results = await within(settled, 'every send settles');
  check(results.at(-1)?.status === 'rejected', 'what was not sent is rejected');
  check(accepted.sink.frames.length < 40, 'a cut frame is never delivered');
  check(accepted.sink.endedCount === 1, 'ended comes once');
}

export function endTests(harness: Harness): void {
  for (const closer of ['dialed', 'accepted'] as const) {
    harness.it(`drains and closes gracefully, closed by the ${closer} end`, () =>
      gracefulClose(harness, closer),
    );
  }
  harness.it('closes once, however often it is told, and refuses use after that', () =>
    idempotent(harness),
  );
  harness.it('closes from both sides at once', () => bothClose(harness));
  harness.it('closes promptly from both sides', () => prompt(harness));
  harness.it('lets the peer of a close finish what it has sent', () => answerDrains(harness));
  harness.it('takes one sink, and tells it the end even when it comes late', () =>
    receiveLate(harness),
  );
  harness.it('tells when the peer is gone before any frame', () => goneBetween(harness, 0));
  harness.it('tells when the peer is gone after a frame', () => goneBetween(harness, 3));
  harness.it('tells when the peer is gone inside a frame', () => goneInside(harness));
}
