/**
 * Migrates a demo guest from one session to another inside one process, over TCP on loopback:
 *
 *     npm run build && node dist/examples/migrate.js
 *
 * Between hosts each side is a process of its own, and the secret comes from a key file
 * (`readKeyFile`); everything else is as here.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';

import {
  FRAME_BYTES_MAX,
  openDestinationGuest,
  openSourceGuest,
  openTransport,
  runDestination,
  runSource,
  type Guest,
  type SessionOptions,
} from '../src/index.js';

const maxFrameBytes = FRAME_BYTES_MAX;
const tcp = await openTransport(new URL('tcp://127.0.0.1:0'));
const secret = randomBytes(32);
const common: Omit<SessionOptions, 'laneSource'> = {
  transport: tcp.scheme,
  secret,
  engine: 'auto',
  vcpus: 1,
  windowBytes: 32 * 1024 * 1024,
  peerTimeoutMs: 10_000,
};

/** The destination listens at a free port and tells which. */
let received: Guest | undefined;
let tellAddress: (address: string) => void = () => undefined;
const listening = new Promise<string>((resolve) => {
  tellAddress = resolve;
});
const destination = runDestination({
  ...common,
  laneSource: {
    mode: 'listen',
    listen: (onLane) => tcp.listen(new URL('tcp://127.0.0.1:0'), { maxFrameBytes }, onLane),
  },
  openGuest: async (layout) => {
    received = await openDestinationGuest(new URL('demo:'), layout);
    return received;
  },
  // A real destination writes this to disk before it returns: it decides who owns the guest.
  recordDecision: () => Promise.resolve(),
  onEvent: (event) => {
    if (event.type === 'listening') tellAddress(event.address);
  },
});

/** The source dials it and sends a guest that goes on working all the while. */
const address = await Promise.race([listening, destination.then(() => undefined)]);
if (address === undefined) throw new Error((await destination).error?.message);
const guest = await openSourceGuest(new URL('demo:?ram=64M&dirtyRate=1000'));
const source = runSource({
  ...common,
  guest,
  laneSource: {
    mode: 'dial',
    lanes: 2,
    address,
    dial: (signal) => tcp.dial(new URL(address), { signal, maxFrameBytes }),
  },
  codec: 'lz4',
  level: 0,
  padBytes: 0,
  downtimeLimitMs: 300,
  maxEpochs: 30,
  verify: true,
  onEvent: (event) => {
    if (event.type === 'round') console.log(`round ${event.round.epoch}:`, event.round);
  },
});

const [sent, taken] = await Promise.all([source, destination]);
secret.fill(0);
console.log(`source: ${sent.outcome}, destination: ${taken.outcome}`);
if (sent.error !== undefined) console.error(sent.error);

// The guest is the destination's now, and works on.
const before = received?.activity()?.ticks;
await delay(200);
console.log(
  `ticks at the destination: ${before ?? '?'}, then ${received?.activity()?.ticks ?? '?'}`,
);
console.log('self-check:', await received?.selfCheck());

await guest.close();
await received?.close();
process.exitCode = sent.outcome === 'completed' ? 0 : 1;
