/** Peers on loopback that a TCP transport has to cope with. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** A port of 127.0.0.1 where nobody listens: one that was free a moment ago. */
export async function refusedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** A connected raw socket. */
export async function openStranger(address: URL): Promise<Socket> {
  const socket = connect({ host: address.hostname, port: Number(address.port) });
  await once(socket, 'connect');
  return socket;
}

/** Listens with the smallest backlog and then sleeps: nothing is ever accepted. */
const sleepingListener = `
  const server = require('node:net').createServer();
  server.listen({ host: '127.0.0.1', port: 0, backlog: 1 }, () => {
    require('node:fs').writeSync(1, String(server.address().port));
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  });`;

export interface SilentPort {
  readonly port: number;
  readonly release: () => Promise<void>;
}

/** A port of 127.0.0.1 that answers no dial: its listener's backlog is full. */
export async function silentPort(): Promise<SilentPort> {
  const listener = spawn(process.execPath, ['-e', sleepingListener], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [text] = (await once(listener.stdout, 'data')) as [Buffer];
  const port = Number(text.toString());
  const fillers: Socket[] = [];
  // Connections are made until one gets no answer; a backlog of 1 holds two on Linux.
  for (let pending = false; !pending && fillers.length < 16;) {
    const filler = connect({ host: '127.0.0.1', port });
    filler.on('error', () => undefined);
    fillers.push(filler);
    pending = await Promise.race([
      once(filler, 'connect').then(() => false),
      sleep(150).then(() => true),
    ]);
  }
  return {
    port,
    async release() {
      for (const filler of fillers) filler.destroy();
      const exited = once(listener, 'exit');
      listener.kill('SIGKILL');
      await exited;
    },
  };
}
