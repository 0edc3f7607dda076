/**
 * What: Redis's bare pipe (XADD on one side; XREADGROUP, XACK and XDEL on the other; a window of
 * entries with credit through a list) and our lanes, through the same server.
 *
 * Run it alone with `node dist/bench/transport-redis.js [--bytes N] [--lanes N] [--runs N]`; it
 * starts a server of its own.
 */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { Redis } from 'ioredis';

import { RedisServer } from '../test/support/redis-server.js';
import { measureTransportPipe, pipeLine, push, runListener } from './transport-pipe.js';
import type {
  PipeEnds,
  Task,
  TransportPipeOptions,
  TransportPipeResult,
} from './transport-pipe.js';

/** As many bytes as a lane's window. */
const windowEntries = 8;
const group = 'bare';

async function connect(place: string): Promise<Redis> {
  const { hostname, port } = new URL(place);
  const redis = new Redis({ host: hostname, port: Number(port), protocol: 2 });
  await once(redis, 'ready');
  return redis;
}

async function send(redis: Redis, stream: string, task: Task): Promise<void> {
  let credit = windowEntries;
  const underWay: Promise<unknown>[] = [];
  await push(task, async (chunk) => {
    if (credit === 0) {
      const given = await redis.blpop(`${stream}:credit`, 0);
      credit += Number(given?.[1]);
    }
    credit -= 1;
    underWay.push(redis.xadd(stream, '*', 'd', chunk));
  });
  await Promise.all(underWay);
}

async function receive(redis: Redis, stream: string, task: Task): Promise<void> {
  const writer = redis.duplicate();
  const wanted = task.pieces;
  for (let got = 0; got < wanted;) {
    const reply = await redis.callBuffer(
      ...(['XREADGROUP', 'GROUP', group, group, 'COUNT', windowEntries, 'BLOCK', 0] as const),
      ...['STREAMS', stream, '>'],
    );
    const [[, entries]] = reply as [[Buffer, [Buffer, [Buffer, Buffer]][]]];
    for (const [, [, payload]] of entries) task.meter?.add(payload.byteLength);
    got += entries.length;
    const ids = entries.map(([id]) => id);
    void writer.xack(stream, group, ...ids);
    void writer.xdel(stream, ...ids);
    void writer.rpush(`${stream}:credit`, entries.length);
  }
}

/** Who dials makes a stream and says so in a list; both sides connect to the broker. */
const bare: PipeEnds = {
  async listen(task) {
    const place = new URL(task.options.place);
    const name = place.searchParams.get('name') ?? '';
    const listener = await connect(place.href);
    const next = async (): Promise<void> => {
      const [, stream] = (await listener.blpop(`${name}:dials`, 0)) ?? ['', ''];
      const redis = await connect(place.href);
      void (task.meter === undefined ? send : receive)(redis, stream, task);
      void next();
    };
    void next();
    return place.href;
  },
  async dial(address, task) {
    const redis = await connect(address);
    const name = new URL(address).searchParams.get('name') ?? '';
    const stream = `${name}:${randomBytes(8).toString('hex')}`;
    await redis.xgroup('CREATE', stream, group, '0', 'MKSTREAM');
    await redis.rpush(`${name}:dials`, stream);
    await (task.meter === undefined ? send : receive)(redis, stream, task);
    return () => {
      redis.disconnect();
    };
  },
};

/** `options.place` is the address of a running broker, such as redis://127.0.0.1:6379. */
export function measureRedisPipe(options: TransportPipeOptions): Promise<TransportPipeResult> {
  const place = new URL(options.place);
  place.searchParams.set('name', `bench-${randomBytes(6).toString('hex')}`);
  return measureTransportPipe(import.meta.url, { ...options, place: place.href }, bare);
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      listen: { type: 'string' },
      bytes: { type: 'string', default: String(1024 ** 3) },
      lanes: { type: 'string', default: '1' },
      runs: { type: 'string', default: '3' },
    },
  });
  if (values.listen !== undefined) {
    await runListener(values.listen, bare);
    return;
  }
  const server = await RedisServer.start();
  try {
    const [lanes, totalBytes] = [Number(values.lanes), Number(values.bytes)];
    const shared = { lanes, totalBytes, chunkBytes: 1024 * 1024, sender: 'dialer' } as const;
    for (let run = 0; run < Number(values.runs); run += 1) {
      for (const pipe of ['bare', 'lane'] as const) {
        const place = `redis://127.0.0.1:${server.port}`;
        console.log(pipeLine(await measureRedisPipe({ ...shared, pipe, place })));
      }
    }
  } finally {
    await server.stop();
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
