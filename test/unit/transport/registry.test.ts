import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { ConfigurationError } from '../../../src/errors.js';
import { parseAddress, parseHostPort } from '../../../src/transport/base/index.js';
import type { Transport } from '../../../src/transport/contract.js';
import { TransportRegistry } from '../../../src/transport/registry.js';
import memory from '../../../transports/memory/index.js';
import { projectRoot } from '../../support/project.js';

const examplePlugin = join(projectRoot, 'dist/examples/transport-upgrade/index.js');
const builtIn = new TransportRegistry().schemes();

function made(changes: object): Promise<Transport> {
  return Promise.resolve(Object.assign(Object.create(memory()) as Transport, changes));
}

describe('transport registry', () => {
  it('names the schemes there are when one is unknown', async () => {
    const registry = new TransportRegistry();
    await assert.rejects(registry.forAddress('gopher://127.0.0.1:70'), (error) => {
      assert.ok(error instanceof ConfigurationError);
      assert.equal(error.code, 'ERR_PAGEFERRY_TRANSPORT_SCHEME');
      assert.match(error.message, /gopher:\/\/.*memory:\/\/.*, tcp:\/\//);
      return true;
    });
    await assert.rejects(registry.forScheme('toString'), ConfigurationError);
  });

  it('loads a built-in transport once', async () => {
    const registry = new TransportRegistry();
    const [one, two] = await Promise.all([registry.forScheme('tcp'), registry.forScheme('tcp')]);
    assert.equal(one, two);
    assert.equal(one.scheme, 'tcp');
  });

  it('loads no transport before its scheme is used', () => {
    const registry = pathToFileURL(join(projectRoot, 'dist/src/transport/registry.js')).href;
    const script = `
      await import(${JSON.stringify(registry)});
      const { Session } = await import('node:inspector/promises');
      const session = new Session();
      session.connect();
      session.on('Debugger.scriptParsed', ({ params }) => {
        if (params.url.includes('/transports/')) console.log(params.url);
      });
      await session.post('Debugger.enable');`;
    const run = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8',
    });
    assert.equal(run.status, 0, run.stderr);
    assert.equal(run.stdout, '');
  });

  it('refuses another contract version, a taken scheme and what is no transport', async () => {
    const registry = new TransportRegistry();
    const refused: [RegExp, () => Promise<unknown>][] = [
      [/contract version 2, this is 1/, () => made({ scheme: 'two', contractVersion: 2 })],
      [/memory:\/\/ already/, () => made({})],
      [/cannot stand in a URL/, () => made({ scheme: 'Not A Scheme' })],
      [/capabilities are incomplete/, () => made({ scheme: 'x', capabilities: {} })],
      [/lacks dial or listen/, () => made({ scheme: 'x', dial: 1 })],
      [/made no transport/, () => Promise.resolve(undefined)],
      [/factory .* failed/, () => Promise.reject(new Error('broken'))],
    ];
    for (const [message, factory] of refused) {
      const registering = registry.register(factory as () => Promise<Transport>);
      await assert.rejects(registering, { code: 'ERR_PAGEFERRY_TRANSPORT_PLUGIN', message });
    }
    assert.deepEqual(registry.schemes(), builtIn);
  });

  it('takes a registered transport, and refuses it a second time', async () => {
    const registry = new TransportRegistry();
    const own = await made({ scheme: 'own' });
    await registry.register(() => own);
    assert.equal((await registry.forAddress('own://x')).transport, own);
    assert.deepEqual(registry.schemes(), [...builtIn, 'own'].sort());
    await assert.rejects(
      registry.register(() => own),
      /own:\/\/ already/,
    );
  });

  it('loads a plugin from a file', async () => {
    const registry = new TransportRegistry();
    assert.equal((await registry.loadPlugin(examplePlugin)).scheme, 'upgrade');
    assert.ok(registry.schemes().includes('upgrade'));
  });

  it('says what is wrong with a plugin', async () => {
    const registry = new TransportRegistry();
    const code = 'ERR_PAGEFERRY_TRANSPORT_PLUGIN';
    await assert.rejects(registry.loadPlugin('./nowhere.js'), { code, message: /no .* file/ });
    await assert.rejects(registry.loadPlugin('no-such-package-here'), { code });
    const directory = await mkdtemp(join(tmpdir(), 'pageferry-plugin-'));
    try {
      const file = join(directory, 'empty.mjs');
      await writeFile(file, 'export const nothing = 1;\n');
      await assert.rejects(registry.loadPlugin(file), { code, message: /exports no transport/ });
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});

describe('transport addresses', () => {
  it('are read strictly', () => {
    const read = (text: string): unknown => parseHostPort(parseAddress(text), 'listen');
    assert.deepEqual(read('tcp://127.0.0.1:0'), { host: '127.0.0.1', port: 0 });
    assert.deepEqual(read('tcp://[::1]:7700'), { host: '::1', port: 7700 });
    assert.deepEqual(read('tcp://host-1.example:65535/'), { host: 'host-1.example', port: 65535 });
    const refused = [
      'tcp://127.0.0.1',
      'tcp://127.0.0.1:',
      'tcp://:7700',
      'tcp://127.0.0.1:65536',
      'tcp://127.0.0.1:-1',
      'tcp://127.0.0.1:7700/path',
      'tcp://127.0.0.1:7700?x=1',
      'tcp://127.0.0.1:7700#x',
      'tcp://user:secret@127.0.0.1:7700',
      'tcp://::1:7700',
      'tcp://[127.0.0.1]:7700',
      'tcp://300.1.1.1:7700',
      'tcp://1.2.3:7700',
      'tcp://a b:7700',
      'tcp:127.0.0.1:7700',
      '127.0.0.1:7700',
      'host:7700',
      '',
    ];
    for (const text of refused) {
      assert.throws(() => read(text), { code: 'ERR_PAGEFERRY_TRANSPORT_ADDRESS' }, text);
    }
  });

  it('have a port when they are dialed', () => {
    const dial = (): unknown => parseHostPort(parseAddress('tcp://127.0.0.1:0'), 'dial');
    assert.throws(dial, /PORT from 1 to 65535/);
  });

  it('are shown without passwords', () => {
    const read = (): unknown => parseHostPort(parseAddress('tcp://me:secret@h:1'), 'dial');
    assert.throws(read, (error: Error) => !error.message.includes('secret'));
  });
});
