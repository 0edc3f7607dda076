/** Redis servers of the tests: real ones, on free ports of loopback, gone when their test is. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { Redis } from 'ioredis';
import type { RedisOptions } from 'ioredis';

import type { Authority, CertificateFiles } from './authority.js';
import { refusedPort } from './tcp-peers.js';

/** A Sentinel looks at its servers every ten seconds. */
const patienceMs = 25_000;

export interface RedisServerOptions {
  /** Further lines of redis.conf, as words of the command line: `--maxmemory 8mb`. */
  readonly arguments?: readonly string[];
  /** How the tests' own client gets in. */
  readonly client?: Omit<RedisOptions, 'replyMapping'>;
  /** Serves only its socket. */
  readonly isUnix?: boolean;
  readonly isSentinel?: boolean;
}

export class RedisServer {
  readonly directory = mkdtempSync(join(tmpdir(), 'pageferry-redis-'));
  readonly socket = join(this.directory, 'redis.sock');
  port = 0;
  tlsPort = 0;
  #process: ChildProcess | undefined;
  #output = '';
  readonly #options: RedisServerOptions;

  private constructor(options: RedisServerOptions) {
    this.#options = options;
  }

  /** Starts a server and waits until it answers. */
  static async start(options: RedisServerOptions = {}): Promise<RedisServer> {
    const server = new RedisServer(options);
    server.port = await refusedPort();
    await server.run();
    return server;
  }

  /**
   * Starts a server with TLS that wants a certificate of `authority`, and a user "ferry" with
   * `rules`; the tests' own client comes in by the socket.
   */
  static async startSecure(
    authority: Authority,
    { cert, key }: CertificateFiles,
    rules: readonly string[],
  ): Promise<RedisServer> {
    const tlsPort = await refusedPort();
    const server = await RedisServer.start({
      arguments: [
        ...['--tls-port', String(tlsPort), '--tls-cert-file', cert, '--tls-key-file', key],
        ...['--tls-ca-cert-file', authority.ca, '--tls-auth-clients', 'yes'],
      ],
    });
    server.tlsPort = tlsPort;
    await server.command('ACL', 'SETUSER', 'ferry', ...rules);
    return server;
  }

  /** Starts a Sentinel that watches `master` by `name`, alone. */
  static async startSentinel(name: string, master: RedisServer): Promise<RedisServer> {
    const server = new RedisServer({ isSentinel: true });
    server.port = await refusedPort();
    writeFileSync(
      server.#configuration,
      [
        `sentinel monitor ${name} 127.0.0.1 ${master.port} 1`,
        `sentinel down-after-milliseconds ${name} 60000`,
        `sentinel failover-timeout ${name} 20000`,
        '',
      ].join('\n'),
    );
    await server.run();
    return server;
  }

  get #configuration(): string {
    return join(this.directory, 'sentinel.conf');
  }

  /** Waits until `condition` holds. */
  async waitFor(claim: string, condition: () => Promise<boolean>): Promise<void> {
    const endMs = performance.now() + patienceMs;
    while (!(await condition())) {
      if (performance.now() > endMs) throw new Error(`did not happen: ${claim}`);
      await sleep(20);
    }
  }

  /** Starts it again, on the same port with the same files. */
  async run(): Promise<void> {
    const port = this.#options.isUnix === true ? 0 : this.port;
    const args = [
      ...['--port', String(port), '--bind', '127.0.0.1', '--unixsocket', this.socket],
      ...(this.#options.isSentinel === true ? [] : ['--save', '']),
      ...['--dir', this.directory, '--daemonize', 'no'],
      ...(this.#options.arguments ?? []),
    ];
    if (this.#options.isSentinel === true) args.unshift(this.#configuration, '--sentinel');
    const child = spawn('redis-server', args, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#process = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (text: Buffer) => {
        this.#output = (this.#output + text.toString()).slice(-4000);
      });
    }
    const endMs = performance.now() + patienceMs;
    for (;;) {
      if (child.exitCode !== null) throw new Error(`redis-server ended: ${this.#output}`);
      try {
        if ((await this.command('PING')) === 'PONG') return;
      } catch (error) {
        if (performance.now() > endMs) throw error;
      }
      await sleep(20);
    }
  }

  /** One command over a connection of its own, through the socket. */
  async command(name: string, ...args: (string | number)[]): Promise<unknown> {
    const client = new Redis({
      path: this.socket,
      lazyConnect: true,
      enableReadyCheck: false,
      retryStrategy: () => null,
      ...this.#options.client,
    });
    client.on('error', () => undefined);
    try {
      await client.connect();
      return await client.call(name, ...args);
    } finally {
      client.disconnect();
    }
  }

  /** Waits until the server holds nothing. */
  async becomesEmpty(): Promise<void> {
    await this.waitFor('no key is left', async () => (await this.command('DBSIZE')) === 0);
  }

  /** Ends the process and waits for it; `run` starts it again. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child?.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
  }

  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.directory, { recursive: true, force: true });
  }
}
