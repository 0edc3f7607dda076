/**
 * What: gRPC's bare pipe (one bidirectional stream a lane, identity serializers, the window of our
 * lanes on both sides, write() === false honoured), what grpc-js does with default settings, and
 * our lanes, on loopback and over a delay proxy.
 *
 * Run it alone with `node dist/bench/transport-grpc.js [--bytes N] [--lanes N] [--runs N]`.
 */
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { Client, Metadata, Server, ServerCredentials, credentials } from '@grpc/grpc-js';
import type { ClientDuplexStream, ServerDuplexStream } from '@grpc/grpc-js';

import { ServerStreams } from '../transports/grpc/server-windows.js';
import { clientOptions, laneService, serverOptions } from '../transports/grpc/service.js';
import { measureTransportPipe, pipeLine, push, runListener } from './transport-pipe.js';
import type {
  PipeEnds,
  Task,
  TransportPipeOptions,
  TransportPipeResult,
} from './transport-pipe.js';

type Call = ClientDuplexStream<Buffer, Buffer> | ServerDuplexStream<Buffer, Buffer>;

async function carry(call: Call, task: Task): Promise<void> {
  call.on('error', () => undefined);
  call.on('data', (chunk: Buffer) => task.meter?.add(chunk.byteLength));
  if (task.meter !== undefined) return;
  await push(task, (chunk) => (call.write(chunk) ? undefined : once(call, 'drain')));
}

const bare: PipeEnds = {
  listen(task) {
    const isDefault = task.options.pipe === 'default';
    const wide = { ...serverOptions, interceptors: [new ServerStreams().interceptor] };
    const server = new Server(isDefault ? {} : wide);
    server.addService(laneService, {
      Carry: (call: ServerDuplexStream<Buffer, Buffer>) => {
        call.sendMetadata(new Metadata());
        void carry(call, task);
      },
    });
    return new Promise((resolve, reject) => {
      const place = new URL(task.options.place).host;
      server.bindAsync(place, ServerCredentials.createInsecure(), (error, port) => {
        if (error === null) resolve(`grpc://127.0.0.1:${port}`);
        else reject(error);
      });
    });
  },
  async dial(address, task) {
    const options = task.options.pipe === 'default' ? {} : clientOptions;
    const client = new Client(new URL(address).host, credentials.createInsecure(), options);
    const { path, requestSerialize, responseDeserialize } = laneService.Carry;
    const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
    await once(call, 'metadata');
    await carry(call, task);
    return () => {
      call.cancel();
      client.close();
    };
  },
};

/** `options.place` is where to listen, such as grpc://127.0.0.1:0. */
export function measureGrpcPipe(options: TransportPipeOptions): Promise<TransportPipeResult> {
  return measureTransportPipe(import.meta.url, options, bare);
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
  const [lanes, totalBytes] = [Number(values.lanes), Number(values.bytes)];
  const shared = { lanes, chunkBytes: 1024 * 1024, place: 'grpc://127.0.0.1:0' };
  for (let run = 0; run < Number(values.runs); run += 1) {
    for (const sender of ['dialer', 'listener'] as const) {
      for (const pipe of ['bare', 'lane'] as const) {
        const local = { ...shared, pipe, sender, totalBytes };
        console.log(pipeLine(await measureGrpcPipe(local)));
      }
      for (const pipe of ['default', 'bare', 'lane'] as const) {
        const bytes = pipe === 'default' ? 8 * 1024 ** 2 : totalBytes / 8;
        const far = { ...shared, pipe, sender, totalBytes: bytes, roundTripMs: 10 };
        console.log(pipeLine(await measureGrpcPipe(far)));
      }
    }
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
