/** What: an abort takes effect at once in every phase, by call and by AbortSignal. */
import {
  CollectingSink,
  Gate,
  aWhile,
  check,
  describeError,
  rejection,
  suiteFrameBytes,
  until,
  within,
} from './harness.js';
import type { Harness } from './harness.js';

const limits = { maxFrameBytes: suiteFrameBytes };
type Means = 'call' | 'signal';

function checkAborted(error: unknown): void {
  const { code } = error as { code?: string };
  check(code === 'ERR_PAGEFERRY_ABORTED', `it is an abort: ${describeError(error)}`);
}

async function beforeOpening(harness: Harness): Promise<void> {
  const signal = AbortSignal.abort(new Error('never'));
  const listener = await harness.listen(() => undefined);
  const address = harness.dialUrl(listener.address);
  checkAborted(await rejection(harness.transport.dial(address, { ...limits, signal }), 'no dial'));
  const fresh = harness.target.listenAddress();
  const listening = harness.transport.listen(fresh, { ...limits, signal }, () => undefined);
  checkAborted(await rejection(listening, 'no listener'));
  const stop = new AbortController();
  const dialing = harness.transport.dial(address, { ...limits, signal: stop.signal });
  stop.abort(new Error('changed my mind'));
  checkAborted(await rejection(dialing, 'a dial under way ends'));
}

async function idle(harness: Harness, means: Means): Promise<void> {
  const stop = new AbortController();
  const { dialed, accepted } = await harness.pair({ signal: stop.signal });
  if (means === 'call') dialed.lane.abort();
  else stop.abort(new Error('enough'));
  check(dialed.lane.status === 'closed', 'it is closed at once');
  await within(Promise.all([dialed.sink.end, accepted.sink.end]), 'both ends learn it');
  checkAborted(dialed.sink.endError);
  check(accepted.sink.endError !== undefined, 'the peer does not take it for a close');
  await within(dialed.lane.close(), 'close after abort resolves');
}

async function sending(harness: Harness, means: Means): Promise<void> {
  const stop = new AbortController();
  const sinks = { dialed: new CollectingSink(), accepted: new CollectingSink() };
  sinks.accepted.give = new Gate().give;
  const { dialed } = await harness.pair({ signal: stop.signal }, {}, sinks);
  const sends = Array.from({ length: 40 }, () => dialed.lane.send([Buffer.alloc(suiteFrameBytes)]));
  const settled = Promise.allSettled(sends);
  await aWhile();
  const reason = new Error('enough');
  if (means === 'call') dialed.lane.abort(reason);
  else stop.abort(reason);
  const last = (await within(settled, 'every send settles')).at(-1);
  check(last?.status === 'rejected', 'pending sends are rejected');
  if (means === 'call') check(last.reason === reason, 'with the reason given');
  else checkAborted(last.reason);
  check(dialed.lane.counters.bytesQueued === 0, 'nothing stays queued');
}

async function closing(harness: Harness): Promise<void> {
  const sinks = { dialed: new CollectingSink(), accepted: new CollectingSink() };
  sinks.accepted.give = new Gate().give;
  const { dialed } = await harness.pair({}, {}, sinks);
  const sends = Array.from({ length: 40 }, () => dialed.lane.send([Buffer.alloc(suiteFrameBytes)]));
  const settled = Promise.allSettled(sends);
  const closed = dialed.lane.close();
  await aWhile();
  check(dialed.lane.status === 'closing', 'the close waits for the reader');
  dialed.lane.abort();
  await within(closed, 'the close ends with the abort');
  check((await settled).at(-1)?.status === 'rejected', 'pending sends are rejected');
  await within(sinks.dialed.end, 'the sink learns it');
}

async function receiving(harness: Harness, means: Means): Promise<void> {
  const stop = new AbortController();
  const { dialed, accepted } = await harness.pair({}, { signal: stop.signal });
  const { sink } = accepted;
  let given: Uint8Array | undefined;
  const frame = Buffer.alloc(suiteFrameBytes, 5);
  sink.give = (bytes) => {
    given = Buffer.alloc(bytes);
    if (sink.reserved.length === 3) {
      if (means === 'call') accepted.lane.abort();
      else stop.abort(new Error('enough'));
    }
    return given;
  };
  const sends = Array.from({ length: 10 }, () => dialed.lane.send([frame]));
  await Promise.allSettled(sends);
  await within(sink.end, 'the lane ends');
  await aWhile();
  checkAborted(sink.endError);
  check(sink.frames.length === 2, 'nothing is delivered after the abort');
  check(sink.reserved.length === 3, 'nothing is asked for after the abort');
  check(given?.every((byte) => byte === 0) === true, 'memory given too late is not written');
}

async function receivingHalf(harness: Harness): Promise<void> {
  const sinks = { dialed: new CollectingSink(), accepted: new CollectingSink() };
  const { dialed, accepted } = await harness.pair({}, {}, sinks);
  sinks.accepted.deliver = () => {
    accepted.lane.abort();
  };
  await Promise.allSettled([
    dialed.lane.send([Buffer.alloc(10)]),
    dialed.lane.send([Buffer.alloc(10)]),
  ]);
  await within(sinks.accepted.end, 'an abort from inside deliver ends the lane');
  check(sinks.accepted.reserved.length === 1, 'no further frame is announced');
}

async function listenerSignal(harness: Harness): Promise<void> {
  const stop = new AbortController();
  const sink = new CollectingSink();
  const onLane = harness.listen(
    (lane) => {
      lane.receive(sink);
    },
    { signal: stop.signal },
  );
  const listener = await onLane;
  const dialed = await harness.dial(listener.address);
  dialed.receive(new CollectingSink());
  await dialed.send([Buffer.alloc(1)]);
  await until(() => sink.frames.length === 1, 'the lane works');
  stop.abort(new Error('enough'));
  await within(sink.end, 'the listener’s lanes end with its signal');
  await within(listener.close(), 'the listener is closed');
  await rejection(
    harness.transport.dial(harness.dialUrl(listener.address), limits),
    'nobody listens',
  );
}

export function abortTests(harness: Harness): void {
  harness.it('opens nothing once the signal has fired', () => beforeOpening(harness));
  for (const means of ['call', 'signal'] as const) {
    harness.it(`aborts an idle lane by ${means}`, () => idle(harness, means));
    harness.it(`aborts while sending by ${means}`, () => sending(harness, means));
    harness.it(`aborts while receiving by ${means}`, () => receiving(harness, means));
  }
  harness.it('aborts while closing', () => closing(harness));
  harness.it('aborts from inside deliver', () => receivingHalf(harness));
  harness.it('ends a listener and its lanes with its signal', () => listenerSignal(harness));
}
