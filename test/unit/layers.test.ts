import { strict as assert } from 'node:assert';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { projectRoot } from '../support/project.js';

interface ImportFacts {
  readonly specifier: string;
  readonly isDynamic: boolean;
  readonly isTypeOnly: boolean;
}

interface Layers {
  importProblem(file: string, facts: ImportFacts): string | undefined;
}

const cases: readonly [file: string, specifier: string, how: string, allowed: boolean][] = [
  ['src/wire/frame.ts', 'node:fs', 'static', false],
  ['src/wire/frame.ts', 'node:net', 'static', false],
  ['src/wire/frame.ts', 'node:buffer', 'static', true],
  ['src/wire/frame.ts', '@bufbuild/protobuf', 'static', true],
  ['src/wire/frame.ts', 'pino', 'static', false],
  ['src/wire/frame.ts', '../session/source.js', 'static', false],
  ['src/wire/frame.ts', '../session/source.js', 'type', true],
  ['src/ring/driver.ts', '../native/abi.generated.js', 'static', true],
  ['src/ring/driver.ts', '../native/addon.js', 'static', false],
  ['src/limits.ts', 'node:child_process', 'static', false],
  ['src/session/source.ts', '../../transports/tcp/index.js', 'dynamic', false],
  ['src/session/source.ts', '../../transports/tcp/index.js', 'type', false],
  ['src/transport/registry.ts', '../../transports/tcp/index.js', 'static', false],
  ['src/transport/registry.ts', '../../transports/tcp/index.js', 'dynamic', true],
  ['transports/tcp/index.ts', '../../src/transport/contract.js', 'static', true],
  ['transports/tcp/index.ts', '../../src/session/source.js', 'type', false],
  ['transports/tcp/index.ts', '../../src/mirror/mirror.js', 'dynamic', false],
  ['src/mirror/mirror.ts', '../../native/build/Release/pageferry.node', 'static', false],
];

describe('the layering rule', () => {
  let layers: Layers;

  before(async () => {
    const module = pathToFileURL(join(projectRoot, 'scripts/lib/layers.mjs')).href;
    layers = (await import(module)) as Layers;
  });

  for (const [file, specifier, how, allowed] of cases) {
    it(`${allowed ? 'lets' : 'does not let'} ${file} import ${specifier} (${how})`, () => {
      const facts = { specifier, isDynamic: how === 'dynamic', isTypeOnly: how === 'type' };
      assert.equal(layers.importProblem(file, facts) === undefined, allowed);
    });
  }
});
