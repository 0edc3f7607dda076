/** What: opening lanes and listeners, and how that fails. */
import {
  check,
  checkTransportError,
  describeError,
  rejection,
  suiteFrameBytes,
  until,
  within,
} from './harness.js';
import { CollectingSink } from './harness.js';
import type { Harness } from './harness.js';
import type { Lane } from '../contract.js';

const limits = { maxFrameBytes: suiteFrameBytes };

async function declares(harness: Harness): Promise<void> {
  const { scheme, capabilities, contractVersion } = harness.transport;
  check(contractVersion === 1, 'it is built for version 1 of the contract');
  check(harness.target.listenAddress().protocol === `${scheme}:`, 'the address has its scheme');
  check(capabilities.maxFrameBytes >= suiteFrameBytes, `frames of ${suiteFrameBytes} bytes fit`);
  check(capabilities.duplex && capabilities.ordered, 'lanes are duplex and ordered');
  check(capabilities.defaultLanes >= 1, 'there is a default number of lanes');
  await Promise.resolve();
}

async function refusesOptions(harness: Harness): Promise<void> {
  const tooMuch = harness.transport.capabilities.maxFrameBytes + 1;
  for (const maxFrameBytes of [0, -1, 1.5, Number.NaN, tooMuch]) {
    const address = harness.target.listenAddress();
    const listening = harness.transport.listen(address, { maxFrameBytes }, () => undefined);
    const error = await rejection(listening, `maxFrameBytes ${maxFrameBytes} is refused`);
    const { code } = error as { code?: string };
    check(code === 'ERR_PAGEFERRY_TRANSPORT_OPTIONS', `it says so: ${describeError(error)}`);
  }
}

async function addressInUse(harness: Harness): Promise<void> {
  const listener = await harness.listen(() => undefined);
  const address = harness.listenUrl(listener.address);
  const again = harness.transport.listen(address, limits, () => undefined);
  const error = await rejection(again, 'the second listener is refused');
  checkTransportError(error, { code: 'ADDRESS_IN_USE', phase: 'listen', retryable: false });
  await listener.close();
  await harness.listen(() => undefined, {}, address);
}

async function refused(harness: Harness): Promise<void> {
  const address = await harness.target.refusedAddress?.();
  check(address !== undefined, 'the target has the hook');
  const error = await rejection(harness.transport.dial(address, limits), 'the dial is refused');
  checkTransportError(error, { code: 'REFUSED', phase: 'dial', retryable: true });
}

async function unresolvable(harness: Harness): Promise<void> {
  const address = harness.target.unresolvableAddress?.();
  check(address !== undefined, 'the target has the hook');
  const error = await rejection(harness.transport.dial(address, limits), 'the dial fails');
  checkTransportError(error, { code: 'UNRESOLVED', phase: 'dial' });
}

async function silent(harness: Harness): Promise<void> {
  const quiet = await harness.target.silentAddress?.();
  check(quiet !== undefined, 'the target has the hook');
  try {
    const begunMs = Date.now();
    const dialing = harness.transport.dial(quiet.address, { ...limits, timeoutMs: 200 });
    const error = await rejection(dialing, 'the dial gives up');
    checkTransportError(error, { code: 'TIMEOUT', phase: 'dial', retryable: true });
    check(Date.now() - begunMs >= 190, 'not before its time');
    const stop = new AbortController();
    const aborted = harness.transport.dial(quiet.address, { ...limits, signal: stop.signal });
    setTimeout(() => {
      stop.abort(new Error('enough'));
    }, 30);
    const reason = await rejection(aborted, 'the dial ends when its signal fires');
    const { code } = reason as { code?: string };
    check(code === 'ERR_PAGEFERRY_ABORTED', `it is an abort: ${describeError(reason)}`);
  } finally {
    await quiet.release();
  }
}

async function closedListener(harness: Harness): Promise<void> {
  const sink = new CollectingSink();
  const lanes: Lane[] = [];
  const listener = await harness.listen((lane) => {
    lane.receive(sink);
    lanes.push(lane);
  });
  const dialed = await harness.dial(listener.address);
  dialed.receive(new CollectingSink());
  await until(() => lanes.length === 1, 'the lane is accepted');
  await within(Promise.all([listener.close(), listener.close()]), 'closing twice is fine');
  const late = harness.transport.dial(harness.dialUrl(listener.address), limits);
  checkTransportError(await rejection(late, 'a dial is refused now'), { phase: 'dial' });
  await dialed.send([Buffer.from('still here')]);
  await until(() => sink.frames.length === 1, 'the accepted lane lives on');
}

async function twoAtOnce(harness: Harness): Promise<void> {
  const sinks = [new CollectingSink(), new CollectingSink()] as const;
  const accepted: CollectingSink[] = [];
  const listeners = [];
  for (const sink of sinks) {
    listeners.push(
      await harness.listen((lane) => {
        // Two lanes of one listener are told apart by what they carry.
        const own = new CollectingSink();
        accepted.push(own);
        lane.receive({
          reserve: (bytes, head) => own.reserve(bytes, head),
          deliver: (buffer, bytes) => {
            own.deliver(buffer, bytes);
            sink.deliver(buffer, bytes);
          },
          ended: (error, unused) => {
            own.ended(error, unused);
          },
        });
      }),
    );
  }
  const sends: Promise<void>[] = [];
  for (const [index, listener] of listeners.entries()) {
    for (const session of ['a', 'b']) {
      const lane = await harness.dial(listener.address);
      lane.receive(new CollectingSink());
      for (let frame = 0; frame < 20; frame += 1) {
        sends.push(lane.send([Buffer.from(`${index}${session}`)]));
      }
    }
  }
  await Promise.all(sends);
  await until(() => sinks.every(({ frames }) => frames.length === 40), 'all frames arrive');
  for (const [index, sink] of sinks.entries()) {
    const own = sink.frames.every((frame) => frame.toString().startsWith(String(index)));
    check(own, `listener ${index} gets its own frames only`);
  }
  check(accepted.length === 4, 'there are four lanes');
  for (const own of accepted) {
    const kinds = new Set(own.frames.map(String));
    check(own.frames.length === 20 && kinds.size === 1, 'sessions do not mix');
  }
}

export function openTests(harness: Harness): void {
  harness.it('declares what it can do', () => declares(harness));
  harness.it('refuses frame limits it cannot keep', () => refusesOptions(harness));
  harness.it('refuses an address in use, and frees it on close', () => addressInUse(harness));
  harness.it('closes a listener without its lanes', () => closedListener(harness));
  harness.it('keeps two listeners with two sessions each apart', () => twoAtOnce(harness));
  harness.itWith('refusedAddress', 'says when nobody listens', () => refused(harness));
  harness.itWith('unresolvableAddress', 'says when a name does not resolve', () =>
    unresolvable(harness),
  );
  harness.itWith('silentAddress', 'gives up dialing in time, or when told', () => silent(harness));
}
