import assert from 'node:assert/strict';
import { copyFileSync, chmodSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { errorCode, TransportError } from '../../src/errors.js';
import { CollectingSink, until, within } from '../../src/transport/compliance/harness.js';
import type { Lane, Listener } from '../../src/transport/contract.js';
import tls from '../../transports/tls/index.js';
import { generateKeyFile } from '../../src/keys/index.js';
import { Authority } from '../support/certificates.js';
import type { CertificateFiles } from '../support/certificates.js';
import { withScratch } from '../support/scratch.js';
import { openStranger } from '../support/tcp-peers.js';
import { tlsParameters, writePsk } from '../support/tls-lanes.js';

const limits = { maxFrameBytes: 1024 * 1024 };
const unauthenticated = 'ERR_PAGEFERRY_TRANSPORT_UNAUTHENTICATED';

interface Refusal {
  readonly remote: string;
  readonly error: Error;
}

/** A listener, and those it refused and let in. */
class Host {
  readonly refused: Refusal[] = [];
  readonly accepted: Lane[] = [];
  readonly sinks: CollectingSink[] = [];
  readonly lanes: Lane[] = [];
  #listener: Listener | undefined;

  static async listen(parameters: string): Promise<Host> {
    const host = new Host();
    const onRefused = (remote: string, error: Error): void => {
      host.refused.push({ remote, error });
    };
    const address = new URL(`tls://127.0.0.1:0?${parameters}`);
    host.#listener = await tls().listen(address, { ...limits, onRefused }, (lane) => {
      const sink = new CollectingSink();
      lane.receive(sink);
      host.accepted.push(lane);
      host.sinks.push(sink);
    });
    return host;
  }

  get address(): string {
    return this.#listener?.address ?? '';
  }

  async dial(parameters: string, at = this.address): Promise<Lane> {
    const lane = await tls().dial(new URL(`${at}?${parameters}`), limits);
    lane.receive(new CollectingSink());
    this.lanes.push(lane);
    return lane;
  }

  /** The rightful peer comes and sends a frame. */
  async serves(parameters: string): Promise<void> {
    const before = this.accepted.length;
    const lane = await this.dial(parameters);
    await lane.send([Buffer.from('here')]);
    await until(() => this.sinks[before]?.frames.length === 1, 'the rightful peer is served');
  }

  /** Dials, and expects that neither side lets the other in. */
  async turnsAway(parameters: string, at = this.address): Promise<TransportError> {
    const lanes = this.accepted.length;
    const error: unknown = await this.dial(parameters, at).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    assert.ok(error instanceof TransportError, String(error));
    assert.equal(error.phase, 'dial');
    assert.equal(error.retryable, false);
    assert.equal(this.accepted.length, lanes, 'nobody gets a lane');
    return error;
  }

  async close(): Promise<void> {
    for (const lane of [...this.lanes, ...this.accepted]) lane.abort();
    await this.#listener?.close();
    await Promise.all([...this.lanes, ...this.accepted].map((lane) => lane.close()));
  }
}

function withHost(parameters: string, use: (host: Host) => Promise<void>): Promise<void> {
  return Host.listen(parameters).then(async (host) => {
    try {
      await use(host);
    } finally {
      await host.close();
    }
  });
}

async function refusalOf(host: Host, code: string): Promise<void> {
  const coded = ({ error }: Refusal): boolean => errorCode(error) === code;
  await until(() => host.refused.some(coded), `the listener tells of ${code}`);
  const found = host.refused.find(coded);
  assert.match(found?.remote ?? '', /^tls:\/\/127\.0\.0\.1:\d+$/, 'it says who');
}

describe('lanes over TLS with certificates', () => {
  let authority: Authority;
  let other: Authority;
  let host: CertificateFiles;
  let own: string;

  before(() => {
    authority = new Authority();
    other = new Authority();
    host = authority.issue('host', 'IP:127.0.0.1,DNS:host.example');
    own = tlsParameters(authority, host);
  });

  after(() => {
    authority.remove();
    other.remove();
  });

  it('turn away a peer whose certificate another authority signed', () =>
    withHost(own, async (at) => {
      const stranger = other.issue('stranger', 'IP:127.0.0.1');
      const asked = new URLSearchParams(tlsParameters(other, stranger));
      // It trusts the listener; the listener does not trust it.
      asked.set('ca', authority.ca);
      const error = await at.turnsAway(asked.toString());
      assert.equal(error.code, unauthenticated);
      await refusalOf(at, unauthenticated);
      await at.serves(own);
    }));

  it('turn away a peer without a certificate, and tell who it was', () =>
    withHost(own, async (at) => {
      const { connect } = await import('node:tls');
      const port = Number(new URL(at.address).port);
      const naked = connect({
        port,
        rejectUnauthorized: false,
        ALPNProtocols: ['pageferry-lane/1'],
      });
      const closed = new Promise<void>((resolve) => naked.once('close', resolve));
      naked.on('error', () => undefined);
      naked.resume();
      await within(closed, 'it is let go');
      await refusalOf(at, unauthenticated);
      assert.equal(at.accepted.length, 0);
      await at.serves(own);
    }));

  it('do not go to a listener that another authority vouches for', () =>
    withHost(tlsParameters(other, other.issue('impostor', 'IP:127.0.0.1')), async (at) => {
      assert.equal((await at.turnsAway(own)).code, unauthenticated);
    }));

  it('check the name of the listener: the host dialled, or the one asked for', async () => {
    const named = authority.issue('elsewhere', 'DNS:elsewhere.example');
    await withHost(tlsParameters(authority, named), async (at) => {
      assert.equal((await at.turnsAway(own)).code, unauthenticated);
      await at.serves(tlsParameters(authority, host, { name: 'elsewhere.example' }));
      await at.turnsAway(tlsParameters(authority, host, { name: 'host.example' }));
    });
  });

  it('check the name of the peer where the listener asks for one', () =>
    withHost(tlsParameters(authority, host, { name: 'source.example' }), async (at) => {
      assert.equal((await at.turnsAway(own)).code, unauthenticated);
      await refusalOf(at, unauthenticated);
      await at.serves(tlsParameters(authority, authority.issue('source', 'DNS:source.example')));
    }));

  it('do not wait for ever for a listener that does not speak TLS', async () => {
    const { default: tcp } = await import('../../transports/tcp/index.js');
    const listener = await tcp().listen(new URL('tcp://127.0.0.1:0'), limits, (lane) => {
      lane.receive(new CollectingSink());
    });
    const { port } = new URL(listener.address);
    const at = new URL(`tls://127.0.0.1:${port}?${own}`);
    const dialing = tls().dial(at, { ...limits, timeoutMs: 300 });
    await assert.rejects(dialing, { code: 'ERR_PAGEFERRY_TRANSPORT_TIMEOUT' });
    await listener.close();
  });

  it('take a renewed certificate and a new authority while they listen', () =>
    withScratch(async (directory) => {
      const path = (name: string): string => join(directory, name);
      const install = (from: Authority, identity: CertificateFiles): void => {
        for (const [source, target] of [
          [identity.cert, 'cert'],
          [identity.key, 'key'],
          [from.ca, 'ca'],
        ] as const) {
          copyFileSync(source, path(`${target}.new`));
          if (target === 'key') chmodSync(path(`${target}.new`), 0o600);
          renameSync(path(`${target}.new`), path(target));
        }
      };
      install(authority, host);
      const files = { cert: path('cert'), key: path('key'), ca: path('ca') };
      await withHost(new URLSearchParams(files).toString(), async (at) => {
        await at.serves(own);
        const moved = other.issue('moved', 'IP:127.0.0.1');
        install(other, moved);
        await at.serves(tlsParameters(other, moved));
        await at.turnsAway(own);
        // Credentials that cannot be used open nothing, and say so; mended, they do again.
        writeFileSync(path('cert'), 'no certificate\n');
        await assert.rejects(at.dial(tlsParameters(other, moved)), TransportError);
        await refusalOf(at, 'ERR_PAGEFERRY_TRANSPORT_CREDENTIALS');
        install(other, moved);
        await at.serves(tlsParameters(other, moved));
      });
    }));

  it('refuse files that are missing, empty, of others to read, or do not belong together', () =>
    withScratch(async (directory) => {
      const exposed = join(directory, 'exposed.key');
      copyFileSync(host.key, exposed);
      chmodSync(exposed, 0o644);
      const empty = join(directory, 'empty');
      writeFileSync(empty, '');
      const { cert, key } = host;
      const { ca } = authority;
      for (const files of [
        { cert, key: exposed, ca },
        { cert, key, ca: empty },
        { cert: join(directory, 'none'), key, ca },
        { cert, key: other.issue('pair', 'DNS:pair').key, ca },
        { cert: directory, key, ca },
      ]) {
        const address = new URL(`tls://127.0.0.1:0?${new URLSearchParams(files).toString()}`);
        const listening = tls().listen(address, limits, () => undefined);
        await assert.rejects(listening, { code: 'ERR_PAGEFERRY_TRANSPORT_CREDENTIALS' });
      }
    }));
});

describe('lanes over TLS with a shared key', () => {
  it('turn away a wrong key and an unknown identity, and tell who it was', () =>
    withScratch((directory) => {
      const own = `psk=${writePsk(join(directory, 'own'))}`;
      const wrong = `psk=${writePsk(join(directory, 'wrong'))}`;
      const unknown = `psk=${writePsk(join(directory, 'unknown'), 'somebody')}`;
      return withHost(own, async (at) => {
        assert.equal((await at.turnsAway(wrong)).code, unauthenticated);
        await refusalOf(at, unauthenticated);
        assert.equal((await at.turnsAway(unknown)).code, unauthenticated);
        await at.serves(own);
        assert.equal(at.refused.length, 2);
      });
    }));

  it('do not go to a listener that shows a certificate instead', () =>
    withScratch(async (directory) => {
      const authority = new Authority();
      try {
        const identity = authority.issue('host', 'IP:127.0.0.1');
        await withHost(tlsParameters(authority, identity), async (at) => {
          await at.turnsAway(`psk=${writePsk(join(directory, 'own'))}`);
          // Who leaves by himself does not say why.
          await refusalOf(at, 'ERR_PAGEFERRY_TRANSPORT_PEER_GONE');
        });
      } finally {
        authority.remove();
      }
    }));

  it('use the identity asked for, and a key that is replaced while they listen', () =>
    withScratch(async (directory) => {
      const keys = ['11'.repeat(32), '22'.repeat(32), '33'.repeat(32)];
      const file = join(directory, 'keys');
      const write = (...lines: string[]): void => {
        writeFileSync(`${file}.new`, `${lines.join('\n')}\n`, { mode: 0o600 });
        renameSync(`${file}.new`, file);
      };
      write(`one:${keys[0] ?? ''}`, `two:${keys[1] ?? ''}`);
      const mine = join(directory, 'mine');
      writeFileSync(mine, `two:${keys[1] ?? ''}\nthree:${keys[2] ?? ''}\n`, { mode: 0o600 });
      await withHost(`psk=${file}`, async (at) => {
        await at.serves(`psk=${mine}`);
        await at.turnsAway(`psk=${mine}&identity=three`);
        write(`three:${keys[2] ?? ''}`);
        await at.serves(`psk=${mine}&identity=three`);
        await at.turnsAway(`psk=${mine}&identity=two`);
      });
      const missing = tls().dial(new URL(`tls://127.0.0.1:9?psk=${mine}&identity=four`), limits);
      await assert.rejects(missing, { code: 'ERR_PAGEFERRY_TRANSPORT_CREDENTIALS' });
    }));

  it("refuse a session's key file, short keys and what is no key", () =>
    withScratch(async (directory) => {
      const session = join(directory, 'session.key');
      await generateKeyFile(session);
      const cases: [string, RegExp][] = [[session, /session key of pageferry/]];
      for (const [name, text, message] of [
        ['short', `a:${'00'.repeat(31)}\n`, /31 bytes/],
        ['odd', `a:${'0'.repeat(65)}\n`, /32\.5 bytes/],
        ['empty', '# nothing\n', /no line/],
        ['twice', `a:${'00'.repeat(32)}\na:${'00'.repeat(32)}\n`, /twice/],
        ['text', 'a secret without a name\n', /IDENTITY:HEX/],
      ] as const) {
        const path = join(directory, name);
        writeFileSync(path, text, { mode: 0o600 });
        cases.push([path, message]);
      }
      for (const [path, message] of cases) {
        const listening = tls().listen(new URL(`tls://127.0.0.1:0?psk=${path}`), limits, () => {});
        await assert.rejects(listening, {
          code: 'ERR_PAGEFERRY_TRANSPORT_CREDENTIALS',
          message,
        });
      }
    }));
});

describe('addresses of lanes over TLS', () => {
  it('want one whole way to authenticate, and nothing unknown', async () => {
    for (const query of [
      ...['', '?cert=a&key=b', '?psk=a&cert=b', '?identity=a', '?cert=a&key=b&ca=c&identity=d'],
      ...['?psk=a&psk=b', '?psk=', '?psk=a&verify=no'],
    ]) {
      const listening = tls().listen(new URL(`tls://127.0.0.1:0${query}`), limits, () => {});
      await assert.rejects(listening, { code: 'ERR_PAGEFERRY_TRANSPORT_ADDRESS' }, query);
    }
  });
});

describe('a listener over TLS', () => {
  it('makes room for newcomers when too many begin and do not go on', () =>
    withScratch((directory) => {
      const own = `psk=${writePsk(join(directory, 'own'))}`;
      return withHost(own, async (at) => {
        const idle = [];
        for (let index = 0; index < 300; index += 1) {
          const stranger = await openStranger(new URL(at.address));
          stranger.on('error', () => undefined);
          idle.push(stranger);
        }
        await refusalOf(at, 'ERR_PAGEFERRY_TRANSPORT_RESOURCES');
        await at.serves(own);
        assert.equal(at.refused.length, 300 + 1 - 256);
        for (const stranger of idle) stranger.destroy();
      });
    }));
});
