/**
 * What: serves one session's handle on a unix socket of mode 0600, to `pageferry status`, `pause`
 * and the others. Owns the socket and its file until `close`.
 */
import { chmod, rmdir, unlink } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';

import { ConfigurationError } from '../errors.js';
import type { SessionControl } from '../session/session-control.js';
import type { Role } from '../session/types.js';
import { openRuntimeDirectory, socketPath } from './directory.js';
import { CLIENT_IDLE_MS, CLIENTS_MAX, REQUEST_BYTES_MAX } from './limits.js';
import { REQUESTS_PER_CLIENT_MAX, UNREAD_BYTES_MAX } from './limits.js';
import { readLines } from './lines.js';
import { failureAnswer, parseRequest, type ControlAnswer } from './protocol.js';

/** Each follows another session's end; three in a row are no accident. */
const OPEN_TRIES = 3;

export interface ControlServerOptions {
  readonly control: SessionControl;
  readonly role: Role;
  /** Default: runtimeDirectory(). */
  readonly directory?: string;
}

export class ControlServer {
  readonly #clients = new Set<Socket>();

  private constructor(
    readonly path: string,
    private readonly server: Server,
    private readonly control: SessionControl,
  ) {
    server.maxConnections = CLIENTS_MAX;
    server.on('connection', (client) => {
      this.#serve(client);
    });
    // Nobody has to wait for a socket that is only looked at now and then.
    server.unref();
  }

  /** Rejects, typed, where there is no place for the socket. */
  static async open(options: ControlServerOptions): Promise<ControlServer> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await ControlServer.#open(options);
      } catch (error) {
        // The last session before us may just have removed the directory.
        const cause = error instanceof Error ? (error.cause as NodeJS.ErrnoException) : undefined;
        if (cause?.code !== 'ENOENT' || tries >= OPEN_TRIES) throw error;
      }
    }
  }

  static async #open(options: ControlServerOptions): Promise<ControlServer> {
    const directory = await openRuntimeDirectory(options.directory);
    const path = socketPath(directory, options.role, process.pid);
    const server = createServer();
    // The name holds our own process: a file there is what a dead process of that number left.
    await unlink(path).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', (cause) => {
        const message = `cannot listen at the control socket ${path}`;
        reject(new ConfigurationError('ERR_PAGEFERRY_CONTROL_SOCKET', message, { cause }));
      });
      // Until chmod the directory's mode, 0700, keeps others out.
      server.listen(path, resolve);
    });
    await chmod(path, 0o600);
    return new ControlServer(path, server, options.control);
  }

  /** Ends clients; removes the socket's file, and the directory with the last one. */
  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.server.close(resolve));
    // Answers that are under way may still leave.
    for (const client of this.#clients) client.destroySoon();
    await closed;
    await rmdir(dirname(this.path)).catch((error: unknown) => {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'ENOTEMPTY' && code !== 'ENOENT') throw error;
    });
  }

  #serve(client: Socket): void {
    let requests = 0;
    this.#clients.add(client);
    client.unref();
    client.setTimeout(CLIENT_IDLE_MS, () => client.destroy());
    client.on('close', () => this.#clients.delete(client));
    // A client's broken pipe is the client's affair.
    client.on('error', () => client.destroy());
    readLines(client, REQUEST_BYTES_MAX, (line) => {
      requests += 1;
      if (requests > REQUESTS_PER_CLIENT_MAX || client.writableLength > UNREAD_BYTES_MAX) {
        client.destroy();
        return;
      }
      client.write(`${JSON.stringify(this.#answer(line))}\n`);
    });
  }

  #answer(line: string): ControlAnswer {
    const { control } = this;
    try {
      const asked = parseRequest(line);
      if (asked.request === 'set') control.set(asked.settings);
      else if (asked.request === 'pause') control.pause();
      else if (asked.request === 'resume') control.resume();
      else if (asked.request === 'cancel') control.cancel();
      return { ok: true, pid: process.pid, status: control.status() };
    } catch (error) {
      return failureAnswer(error);
    }
  }
}
