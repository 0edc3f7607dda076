import { strict as assert } from 'node:assert';

import { chooseLanes, type LaneChoice } from '../../../src/cli/lanes.js';
import type { Parts } from '../../../src/cli/parts.js';
import { TransportError } from '../../../src/errors.js';
import type { Lane, Transport } from '../../../src/transport/contract.js';

const address = new URL('fake://host:1');
const never = new AbortController().signal;

function fakeParts(dial: () => Promise<Lane>): Parts {
  const capabilities = { defaultLanes: 3 } as Transport['capabilities'];
  const transport = { scheme: 'fake', capabilities, dial } as unknown as Transport;
  return { maxFrameBytes: 1, transport: () => Promise.resolve(transport) } as unknown as Parts;
}

const refusal = (retryable: boolean): TransportError =>
  new TransportError('ERR_PAGEFERRY_TRANSPORT_REFUSED', 'no', { phase: 'dial', retryable });
const choice = (changes: Partial<LaneChoice>): LaneChoice => ({
  dialName: '--to',
  plugins: [],
  cores: 8,
  timeoutMs: 2000,
  ...changes,
});

async function dialWith(dial: () => Promise<Lane>, timeoutMs = 2000): Promise<Lane> {
  const lanes = await chooseLanes(fakeParts(dial), choice({ dial: address, timeoutMs }));
  assert.ok(lanes.source.mode === 'dial');
  return lanes.source.dial(never);
}

describe('the choice of lanes', () => {
  it('needs exactly one of the two', async () => {
    const parts = fakeParts(() => Promise.reject(refusal(false)));
    const refused = { code: 'ERR_PAGEFERRY_USAGE', message: /--to URL and --listen URL/ };
    await assert.rejects(chooseLanes(parts, choice({})), refused);
    const both = choice({ dial: address, listen: address });
    await assert.rejects(chooseLanes(parts, both), refused);
  });

  it('opens as many as asked for, else as transport and cores are good for', async () => {
    const parts = fakeParts(() => Promise.reject(refusal(false)));
    for (const [lanes, cores, expected] of [
      [undefined, 8, 3],
      [undefined, 1, 2],
      [7, 1, 7],
    ] as const) {
      const { source } = await chooseLanes(parts, choice({ dial: address, lanes, cores }));
      assert.equal(source.mode === 'dial' && source.lanes, expected);
    }
  });

  it('dials again until the other side listens', async () => {
    let dials = 0;
    const lane = {} as Lane;
    const dial = (): Promise<Lane> => {
      dials += 1;
      return dials < 3 ? Promise.reject(refusal(true)) : Promise.resolve(lane);
    };
    assert.equal(await dialWith(dial), lane);
    assert.equal(dials, 3);
  });

  it('gives up at once where another dial cannot help, and when the time is up', async () => {
    let dials = 0;
    const dial = (retryable: boolean) => (): Promise<Lane> => {
      dials += 1;
      return Promise.reject(refusal(retryable));
    };
    await assert.rejects(dialWith(dial(false)), refusal(false));
    assert.deepEqual(dials, 1);
    const started = performance.now();
    await assert.rejects(dialWith(dial(true), 200), refusal(true));
    assert.ok(performance.now() - started < 1000);
    assert.notEqual(dials, 2);
  });
});
