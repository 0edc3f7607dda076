import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';

import { errorCode } from '../../src/errors.js';
import {
  Gate,
  checkTransportError,
  rejection,
  until,
  within,
} from '../../src/transport/compliance/harness.js';
import redis from '../../transports/redis/index.js';
import { RedisLanes } from '../support/redis-lanes.js';
import type { LaneEnd } from '../support/redis-lanes.js';
import { RedisServer } from '../support/redis-server.js';
import type { RedisServerOptions } from '../support/redis-server.js';

const limits = { maxFrameBytes: 1024 * 1024 };
const frameBytes = 512 * 1024;

function frame(index: number): Buffer {
  return Buffer.alloc(frameBytes, index % 251);
}

async function sendAll(end: LaneEnd, from: number, until: number): Promise<void> {
  for (let index = from; index < until; index += 1) await end.lane.send([frame(index)]);
}

function checkOrder(end: LaneEnd, count: number): void {
  assert.equal(end.sink.frames.length, count);
  for (const [index, got] of end.sink.frames.entries()) {
    assert.ok(got.equals(frame(index)), `frame ${index} is the one sent`);
  }
}

describe('a lane over Redis', () => {
  let server: RedisServer;
  let lanes: RedisLanes;

  async function start(options: RedisServerOptions = {}): Promise<void> {
    server = await RedisServer.start(options);
    lanes = RedisLanes.at(server);
  }

  afterEach(async () => {
    await lanes.close();
    await server.stop();
  });

  for (const policy of ['allkeys-lru', 'volatile-ttl']) {
    it(`is refused by a broker that evicts (${policy})`, async () => {
      await start({ arguments: ['--maxmemory-policy', policy] });
      const error = await rejection(lanes.listen(), 'it is refused');
      checkTransportError(error, { code: 'FORBIDDEN', phase: 'dial', retryable: false });
      assert.match(error.message, /noeviction/);
      assert.equal(await server.command('DBSIZE'), 0);
    });
  }

  it('waits for a full broker and loses nothing', async () => {
    await start({ arguments: ['--maxmemory', '5mb'] });
    const { dialed, accepted } = await lanes.open();
    const gate = new Gate();
    accepted.sink.give = gate.give;
    const count = 60;
    const sending = sendAll(dialed, 0, count);
    const deadlineMs = performance.now() + 10_000;
    while (!String(await server.command('INFO', 'errorstats')).includes('errorstat_OOM')) {
      assert.ok(performance.now() < deadlineMs, 'the broker becomes full');
    }
    gate.open();
    accepted.sink.give = (bytes) => Buffer.alloc(bytes);
    await within(sending, 'everything is sent');
    await until(() => accepted.sink.frames.length === count, 'everything arrives');
    checkOrder(accepted, count);
    await within(dialed.lane.close(), 'it closes');
    assert.equal(accepted.sink.endError, undefined);
  });

  it('outlives a broker with an append-only file that is killed and comes back', async () => {
    await start({ arguments: ['--appendonly', 'yes', '--appendfsync', 'always'] });
    const { dialed, accepted } = await lanes.open();
    const count = 120;
    const both = Promise.all([sendAll(dialed, 0, count), sendAll(accepted, 0, count)]);
    await until(() => accepted.sink.frames.length > 20, 'frames cross');
    await server.kill();
    await server.run();
    await within(both, 'both sides go on');
    const closed = within(dialed.lane.close(), 'it closes gracefully');
    await within(Promise.all([dialed.sink.end, accepted.sink.end]), 'both ends');
    await closed;
    assert.equal(dialed.sink.endError, undefined);
    assert.equal(accepted.sink.endError, undefined);
    checkOrder(accepted, count);
    checkOrder(dialed, count);
    await lanes.close();
    await server.becomesEmpty();
  });

  it('ends when the broker comes back without its data, and a new lane works', async () => {
    await start();
    const { dialed, accepted } = await lanes.open();
    await dialed.lane.send([frame(0)]);
    await until(() => accepted.sink.frames.length === 1, 'a frame crosses');
    await server.kill();
    await server.run();
    await within(Promise.all([dialed.sink.end, accepted.sink.end]), 'both ends learn it');
    for (const { sink } of [dialed, accepted]) {
      checkTransportError(sink.endError, { code: 'PEER_GONE', retryable: true });
    }
    await lanes.close();
    lanes = RedisLanes.at(server);
    const again = await lanes.open();
    await again.dialed.lane.send([frame(0)]);
    await until(() => again.accepted.sink.frames.length === 1, 'the new lane works');
  });

  it('keeps the listener’s name through a restart of the broker', async () => {
    await start();
    await lanes.listen();
    await server.kill();
    await server.run();
    const deadlineMs = performance.now() + 10_000;
    while ((await server.command('DBSIZE')) !== 2) {
      assert.ok(performance.now() < deadlineMs, 'the listener is back');
    }
    const { dialed, accepted } = await lanes.open();
    await dialed.lane.send([frame(0)]);
    await until(() => accepted.sink.frames.length === 1, 'a dial works');
  });

  it('gives every key an expiry, so that nothing outlives two killed ends', async () => {
    await start();
    const { dialed, accepted } = await lanes.open();
    accepted.sink.give = new Gate().give;
    await sendAll(dialed, 0, 4);
    await accepted.lane.send([frame(0)]);
    const keys = (await server.command('KEYS', '*')) as string[];
    assert.equal(keys.length, 4, `listener, knocks and two streams: ${keys.join(' ')}`);
    for (const key of keys) {
      const leftMs = (await server.command('PTTL', key)) as number;
      assert.ok(leftMs > 0 && leftMs <= 60_000, `${key} expires in ${leftMs} ms`);
    }
  });

  it('tells both ends when what one reads has expired', async () => {
    await start();
    const { dialed, accepted } = await lanes.open();
    const [key] = (await server.command('KEYS', '*:l')) as string[];
    assert.ok(key !== undefined);
    await server.command('PEXPIRE', key, 1);
    await within(accepted.sink.end, 'the reader learns it');
    checkTransportError(accepted.sink.endError, { code: 'PEER_GONE', retryable: true });
    await within(dialed.sink.end, 'the other end learns it');
    checkTransportError(dialed.sink.endError, { code: 'PEER_GONE', retryable: true });
    await lanes.close();
    await server.becomesEmpty();
  });

  it('is not begun with a wrong password', async () => {
    await start();
    await server.command('ACL', 'SETUSER', 'ferry', 'on', '>right', '~*', '+@all');
    const url = new URL(lanes.address);
    url.username = 'ferry';
    const error = await rejection(redis().dial(url, limits), 'no password');
    checkTransportError(error, { code: 'FORBIDDEN', phase: 'dial', retryable: false });
  });
});

describe('a listener over Redis among strangers', () => {
  let server: RedisServer;
  let lanes: RedisLanes;

  before(async () => {
    server = await RedisServer.start();
  });

  beforeEach(() => {
    lanes = RedisLanes.at(server);
  });

  afterEach(() => lanes.close());

  after(() => server.stop());

  async function write(...args: (string | number)[]): Promise<void> {
    const [key] = (await server.command('KEYS', '*:l')) as string[];
    assert.ok(key !== undefined);
    await server.command('XADD', key, '*', ...args);
  }

  const forgeries: readonly (readonly [string, string, readonly string[]])[] = [
    ['an entry of another kind', 'GARBAGE', ['x', 'y']],
    ['an entry of two fields', 'GARBAGE', ['f1', 'a', 'f2', 'b']],
    ['a number that is none', 'GARBAGE', ['f99999999999999999999', 'a']],
    ['credit for what was never sent', 'GARBAGE', ['c77', '']],
    ['a frame far ahead', 'GARBAGE', ['f100000', 'a']],
    ['a hello', 'GARBAGE', ['h8388608', '']],
    ['a frame over the limit', 'FRAME_TOO_LARGE', ['f1', 'a'.repeat(1024 * 1024 + 1)]],
    ['more than was asked for', 'GARBAGE', ['f1', 'a'.repeat(20 * 1024 * 1024)]],
  ];
  for (const [what, code, fields] of forgeries) {
    it(`ends the lane somebody wrote into: ${what}`, async () => {
      const { dialed, accepted } = await lanes.open();
      await write(...fields);
      await within(accepted.sink.end, 'the lane ends');
      checkTransportError(accepted.sink.endError, { code, phase: 'receive', retryable: false });
      assert.deepEqual(accepted.sink.reserved, [], 'no memory was asked for');
      await within(dialed.sink.end, 'the peer learns it');
      const again = await lanes.open();
      await again.dialed.lane.send([frame(1)]);
      await until(() => again.accepted.sink.frames.length === 1, 'the listener goes on');
    });
  }

  it('makes no lane of knocks that are none, and of those who left, and says so', async () => {
    await lanes.listen();
    const name = new URL(lanes.address).searchParams.get('name') ?? '';
    const knocks = `pageferry:{${name}}:knocks`;
    await server.command('XADD', knocks, '*', 'lane', '../../etc', 'window', '8388608');
    await server.command('XADD', knocks, '*', 'a', 'b');
    for (let index = 0; index < 40; index += 1) {
      const lane = String(index).padStart(22, 'x');
      await server.command('XADD', knocks, '*', 'lane', lane, 'window', '8388608');
    }
    const { dialed, accepted } = await lanes.open();
    assert.equal(lanes.accepted.length, 1);
    await dialed.lane.send([frame(0)]);
    await until(() => accepted.sink.frames.length === 1, 'the rightful peer is served');
    await until(() => lanes.refused.length === 42, 'each is told to have been refused');
    for (const [remote, error] of lanes.refused) {
      assert.match(remote, /^redis:\/\/127\.0\.0\.1:\d+\?name=/);
      assert.match(errorCode(error), /_(GARBAGE|PEER_GONE)$/);
    }
    await lanes.close();
    await server.becomesEmpty();
  });
});

describe('a broker that is none', () => {
  it('cannot make a dial hold what it sends without end', async () => {
    let sentBytes = 0;
    const chunk = Buffer.alloc(64 * 1024, 'x');
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => {
        socket.write('$536870912\r\n');
        const pour = (): void => {
          while (!socket.destroyed && socket.write(chunk)) sentBytes += chunk.length;
        };
        socket.on('drain', pour);
        pour();
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    try {
      const address = new URL(`redis://127.0.0.1:${port}?name=a`);
      const error = await rejection(redis().dial(address, limits), 'the dial fails');
      checkTransportError(error, { phase: 'dial' });
      assert.ok(sentBytes < 64 * 1024 * 1024, `${sentBytes} bytes were taken`);
    } finally {
      server.close();
      await once(server, 'close');
    }
  });
});
