import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

import { projectRoot } from '../support/project.js';

/** Packages that only one transport needs. */
const packages = ['@grpc/grpc-js', 'ioredis'];

/** Runs a module's text in a process of its own; prints which of `packages` it has loaded. */
function loadedBy(text: string): string[] {
  const entry = (path: string): string => JSON.stringify(join(projectRoot, 'dist', path));
  const script = `
    import { createRequire } from 'node:module';
    const load = (path) => import(path);
    const main = ${entry('src/cli/program.js')};
    const registry = ${entry('src/transport/registry.js')};
    ${text}
    const names = Object.keys(createRequire(${entry('x.js')}).cache);
    const isLoaded = (name) => names.some((file) => file.includes('/node_modules/' + name + '/'));
    console.log(JSON.stringify(${JSON.stringify(packages)}.filter(isLoaded)));`;
  const run = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
  });
  assert.equal(run.stderr, '');
  return JSON.parse(run.stdout) as string[];
}

describe('the packages of gRPC and Redis', () => {
  it('are not loaded by the command line', () => {
    assert.deepEqual(loadedBy('await load(main);'), []);
  });

  it('are not loaded by the transports of others', () => {
    const tcp = "(await load(registry)).transportFor('tcp://127.0.0.1:1')";
    assert.deepEqual(loadedBy(`await load(main); await ${tcp};`), []);
  });

  for (const [scheme, name] of [
    ['grpc', '@grpc/grpc-js'],
    ['redis', 'ioredis'],
  ] as const) {
    it(`are loaded when ${scheme}:// is used, each alone`, () => {
      const used = `(await load(registry)).transportFor('${scheme}://127.0.0.1:1')`;
      assert.deepEqual(loadedBy(`await ${used};`), [name]);
    });
  }
});
