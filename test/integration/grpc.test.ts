import { strict as assert } from 'node:assert';
import { once } from 'node:events';

import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { join } from 'node:path';

import { Client, credentials, status } from '@grpc/grpc-js';
import type { ServiceError } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

import { errorCode } from '../../src/errors.js';
import {
  CollectingSink,
  checkTransportError,
  rejection,
  until,
  within,
} from '../../src/transport/compliance/harness.js';
import type { Lane, Listener } from '../../src/transport/contract.js';
import grpc, { grpcs } from '../../transports/grpc/index.js';
import { CARRY_PATH, laneService } from '../../transports/grpc/service.js';
import { Authority } from '../support/authority.js';
import { DelayProxy } from '../support/delay-proxy.js';
import { projectRoot } from '../support/project.js';

const limits = { maxFrameBytes: 1024 * 1024 };

interface Pair {
  readonly dialed: Lane;
  readonly accepted: Lane;
  readonly sinks: { readonly dialed: CollectingSink; readonly accepted: CollectingSink };
  close(): Promise<void>;
}

/** A lane whose connection goes through a proxy where `roundTripMs` is not 0. */
async function openPair(roundTripMs: number): Promise<Pair> {
  const sinks = { dialed: new CollectingSink(), accepted: new CollectingSink() };
  const lanes: Lane[] = [];
  const listener = await grpc().listen(new URL('grpc://127.0.0.1:0'), limits, (lane) => {
    lane.receive(sinks.accepted);
    lanes.push(lane);
  });
  const address = new URL(listener.address);
  const proxy = await DelayProxy.start(Number(address.port), roundTripMs);
  address.port = String(proxy.port);
  const dialed = await grpc().dial(address, limits);
  dialed.receive(sinks.dialed);
  const [accepted] = lanes;
  assert.ok(accepted !== undefined);
  return {
    dialed,
    accepted,
    sinks,
    async close() {
      dialed.abort();
      await Promise.all([dialed.close(), accepted.close(), listener.close()]);
      await proxy.close();
    },
  };
}

/** Bytes a second from `from` to `sink`. */
async function rate(from: Lane, sink: CollectingSink, bytes: number): Promise<number> {
  const memory = Buffer.alloc(limits.maxFrameBytes);
  let received = 0;
  sink.give = () => memory;
  sink.deliver = (_buffer, length) => {
    received += length;
  };
  const frame = Buffer.alloc(Math.min(bytes, 512 * 1024));
  const startMs = performance.now();
  for (let sent = 0; sent < bytes; sent += frame.length) await from.send([frame]);
  await until(() => received >= bytes, 'everything arrives');
  return (received * 1000) / (performance.now() - startMs);
}

/** What one pushing channel of grpc-js moves with its default settings, in bytes a second. */
async function defaultRate(roundTripMs: number, bytes: number): Promise<number> {
  const { Server, ServerCredentials } = await import('@grpc/grpc-js');
  const server = new Server();
  let received = 0;
  server.addService(laneService, {
    Carry: (call: NodeJS.ReadableStream) => {
      call.on('data', (chunk: Buffer) => {
        received += chunk.byteLength;
      });
    },
  });
  const bind = new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => {
      if (error === null) resolve(port);
      else reject(error);
    });
  });
  const proxy = await DelayProxy.start(await bind, roundTripMs);
  const client = new Client(`127.0.0.1:${proxy.port}`, credentials.createInsecure());
  const identity = (chunk: Buffer): Buffer => chunk;
  const call = client.makeBidiStreamRequest(CARRY_PATH, identity, identity);
  call.on('error', () => undefined);
  const chunk = Buffer.alloc(64 * 1024);
  call.write(chunk);
  await until(() => received > 0, 'the connection is there');
  const [beforeBytes, startMs] = [received, performance.now()];
  for (let sent = 0; sent < bytes; sent += chunk.length) {
    if (!call.write(chunk)) await once(call, 'drain');
  }
  await until(() => received - beforeBytes >= bytes, 'everything arrives');
  const seconds = (performance.now() - startMs) / 1000;
  call.cancel();
  client.close();
  server.forceShutdown();
  await proxy.close();
  return bytes / seconds;
}

const MiB = 1024 * 1024;

describe('lanes over gRPC', () => {
  it('have the service that the .proto tells', () => {
    const proto = loadSync(join(projectRoot, 'transports', 'grpc', 'lane.proto'), {});
    const service = proto['pageferry.lane.v1.LaneService'] as typeof laneService | undefined;
    assert.ok(service !== undefined);
    assert.deepEqual(Object.keys(service), Object.keys(laneService));
    const { path, requestStream, responseStream } = service.Carry;
    assert.deepEqual(
      { path, requestStream, responseStream },
      { path: CARRY_PATH, requestStream: true, responseStream: true },
    );
    assert.equal(laneService.Carry.path, CARRY_PATH);
  });

  for (const sender of ['dialed', 'accepted'] as const) {
    it(`move 5 times what a default channel does over 10 ms, from the ${sender} end`, async () => {
      const base = await defaultRate(10, 2 * MiB);
      const pair = await openPair(10);
      try {
        const sink = pair.sinks[sender === 'dialed' ? 'accepted' : 'dialed'];
        const own = await rate(pair[sender], sink, 64 * MiB);
        assert.ok(own >= 5 * base, `${own / 1e6} MB/s, a default channel ${base / 1e6} MB/s`);
      } finally {
        await pair.close();
      }
    }).timeout(60_000);
  }

  it('carry frames larger than what gRPC takes by default', async () => {
    const sink = new CollectingSink();
    const large = { maxFrameBytes: 20 * MiB };
    const listener = await grpc().listen(new URL('grpc://127.0.0.1:0'), large, (lane) => {
      lane.receive(sink);
    });
    const lane = await grpc().dial(new URL(listener.address), large);
    lane.receive(new CollectingSink());
    const frame = Buffer.alloc(20 * MiB, 7);
    await within(lane.send([frame]), 'it is sent');
    await until(() => sink.frames.length === 1, 'it arrives');
    assert.ok(sink.frames[0]?.equals(frame));
    await Promise.all([lane.close(), listener.close()]);
  });
});

describe('lanes over gRPC with TLS', () => {
  let authority: Authority;
  let address: URL;
  let listener: Listener;
  const sinks: CollectingSink[] = [];

  function query(files: object): string {
    return new URLSearchParams({ ca: authority.ca, ...files }).toString();
  }

  function withQuery(files: object): URL {
    return new URL(`grpcs://127.0.0.1:${address.port}?${query(files)}`);
  }

  before(async () => {
    authority = new Authority();
    const own = authority.issue('listener', 'DNS:listener.test,IP:127.0.0.1');
    const at = new URL(`grpcs://127.0.0.1:0?${query(own)}`);
    listener = await grpcs().listen(at, limits, (lane) => {
      const sink = new CollectingSink();
      sinks.push(sink);
      lane.receive(sink);
    });
    address = new URL(listener.address);
  });

  after(async () => {
    await listener.close();
    authority.remove();
  });

  async function crosses(at: URL): Promise<void> {
    const count = sinks.length;
    const lane = await within(grpcs().dial(at, limits), 'the dial succeeds');
    lane.receive(new CollectingSink());
    await lane.send([Buffer.from('sealed twice')]);
    await until(() => sinks[count]?.frames.length === 1, 'the frame arrives');
    await lane.close();
  }

  it('open with certificates on both sides', () =>
    crosses(withQuery(authority.issue('peer', 'DNS:peer.test'))));

  it('check the listener’s certificate against the name that was given', async () => {
    const files = authority.issue('named', 'DNS:named.test');
    await crosses(withQuery({ ...files, name: 'listener.test' }));
    const wrong = withQuery({ ...files, name: 'somebody.test' });
    checkTransportError(await rejection(grpcs().dial(wrong, limits), 'a wrong name'), {
      phase: 'dial',
    });
  });

  it('do not open to who has no certificate, or one of another authority', async () => {
    const before = sinks.length;
    checkTransportError(await rejection(grpcs().dial(withQuery({}), limits), 'without one'), {
      phase: 'dial',
    });
    const other = new Authority();
    try {
      const files = { ...other.issue('other', 'DNS:other.test') };
      const error = await rejection(grpcs().dial(withQuery(files), limits), 'of another');
      checkTransportError(error, { phase: 'dial' });
    } finally {
      other.remove();
    }
    assert.equal(sinks.length, before, 'the listener handed over no lane');
  });

  it('do not open to a listener of another authority', async () => {
    const other = new Authority();
    try {
      const files = { ...authority.issue('trusting', 'DNS:t.test'), ca: other.ca };
      const error = await rejection(grpcs().dial(withQuery(files), limits), 'it is refused');
      checkTransportError(error, { phase: 'dial' });
    } finally {
      other.remove();
    }
  });
});

describe('a listener over gRPC among strangers', () => {
  it('serves its peer while others send garbage, fall silent or call something else', async () => {
    const lanes: Lane[] = [];
    const sink = new CollectingSink();
    const refused: string[] = [];
    const onRefused = (remote: string, error: Error): void => {
      assert.match(remote, /^grpc:\/\/127\.0\.0\.1:\d+$/);
      refused.push(errorCode(error));
    };
    const at = new URL('grpc://127.0.0.1:0');
    const listener = await grpc().listen(at, { ...limits, onRefused }, (lane) => {
      lanes.push(lane);
      lane.receive(sink);
    });
    const { port } = new URL(listener.address);
    const strangers: Socket[] = [];
    for (let index = 0; index < 100; index += 1) {
      const stranger = connect({ host: '127.0.0.1', port: Number(port) });
      stranger.on('error', () => undefined);
      stranger.resume();
      await once(stranger, 'connect');
      if (index % 2 === 0) stranger.write(Buffer.alloc(5000, index));
      strangers.push(stranger);
    }
    const garbage = strangers.filter((_, index) => index % 2 === 0);
    const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
    const identity = (chunk: Buffer): Buffer => chunk;
    const wrong = client.makeBidiStreamRequest('/somebody.Else/Call', identity, identity);
    const [refusal] = (await within(once(wrong, 'error'), 'it is refused')) as [ServiceError];
    assert.equal(refusal.code, status.UNIMPLEMENTED);
    const huge = client.makeBidiStreamRequest(CARRY_PATH, identity, identity);
    huge.resume();
    huge.write(Buffer.alloc(2 * MiB));
    await within(once(huge, 'error'), 'a message over the limit cuts the call');
    const lane = await within(grpc().dial(new URL(listener.address), limits), 'the peer dials');
    lane.receive(new CollectingSink());
    assert.deepEqual(sink.reserved, [], 'no stranger has asked for memory');
    await until(() => garbage.every((socket) => socket.destroyed), 'garbage is hung up on');
    assert.equal(lanes.length, 2);
    const told = refused.filter((code) => code === 'ERR_PAGEFERRY_TRANSPORT_GARBAGE');
    assert.equal(told.length, garbage.length, 'the listener tells of each');
    client.close();
    for (const stranger of strangers) stranger.destroy();
    lane.abort();
    await Promise.all([...lanes.map((one) => one.close()), listener.close()]);
  });
});
