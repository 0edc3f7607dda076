import { strict as assert } from 'node:assert';

import { diagnose, type Check } from '../../../src/cli/doctor/checks.js';
import type { MachineFacts } from '../../../src/cli/doctor/facts.js';
import { renderDiagnosis } from '../../../src/cli/doctor/render.js';
import { makeStyle } from '../../../src/observe/style.js';

const probe: NonNullable<MachineFacts['probe']> = {
  kvm: {
    present: true,
    usable: true,
    errno: 0,
    apiVersion: 12,
    tried: 'a vCPU ran up to an HLT',
    capabilities: {},
  },
  cpu: { aes: true, pclmulqdq: true, rdrand: true, avx2: true, vaes: false },
  physicalBits: 46,
  hugePages: { total: 0, free: 0, bytes: 2 ** 21 },
  shmemHugePages: 'never',
};

const good: MachineFacts = {
  node: 'v20.20.2',
  user: 'ada',
  addonProblem: undefined,
  probe,
  device: 'open',
  hugePages: { total: 512, free: 512, pageBytes: 2 ** 21 },
  shmem: 'advise',
  availableBytes: 2 ** 34,
  memlockBytes: Infinity,
  descriptors: 1024,
  packages: [{ name: 'liblz4-dev', purpose: 'LZ4', isInstalled: true }],
};

const withKvm = (usable: boolean): NonNullable<MachineFacts['probe']> => ({
  ...probe,
  kvm: { ...probe.kvm, usable, tried: 'KVM_CREATE_VM' },
});
const find = (facts: MachineFacts, name: string): Check => {
  const found = diagnose(facts).checks.find((check) => check.name === name);
  assert.ok(found, name);
  return found;
};

describe('doctor', () => {
  it('finds nothing to mend on a good machine', () => {
    const diagnosis = diagnose(good);
    assert.ok(diagnosis.ok);
    assert.equal(diagnosis.engines.auto, 'kvm');
    assert.ok(diagnosis.checks.every((check) => check.mend === undefined));
  });

  it('names the line that mends each thing', () => {
    const mends: [Partial<MachineFacts>, string, RegExp][] = [
      [{ hugePages: { total: 0, free: 0, pageBytes: 2 ** 21 } }, 'huge pages', /nr_hugepages=512/],
      [{ shmem: 'never' }, 'huge shared memory', /echo advise \| sudo tee .*shmem_enabled/],
      [{ device: 'absent', probe: withKvm(false) }, 'kvm', /modprobe/],
      [{ device: 'forbidden', probe: withKvm(false) }, 'kvm', /usermod -aG kvm ada/],
      [{ descriptors: 256 }, 'open files', /ulimit -n 1024/],
      [{ addonProblem: 'no file', probe: undefined }, 'native addon', /npm run build/],
      [
        { packages: [{ name: 'liblz4-dev', purpose: 'LZ4', isInstalled: false }] },
        'liblz4-dev',
        /apt-get install .* liblz4-dev/,
      ],
    ];
    for (const [changes, name, mend] of mends) {
      const check = find({ ...good, ...changes }, name);
      assert.notEqual(check.status, 'ok', name);
      assert.match(check.mend ?? '', mend);
    }
  });

  it('takes in-process where KVM does not work, and is content', () => {
    const diagnosis = diagnose({ ...good, probe: withKvm(false) });
    assert.deepEqual(diagnosis.engines, { kvm: false, 'in-process': true, auto: 'in-process' });
    assert.ok(diagnosis.ok);
  });

  it('is not content without the addon, without AES or with an old Node', () => {
    const noAes = { ...probe, cpu: { ...probe.cpu, aes: false } };
    const bad: Partial<MachineFacts>[] = [
      { addonProblem: 'no file', probe: undefined },
      { probe: noAes },
      { node: 'v18.19.0' },
    ];
    for (const changes of bad) assert.ok(!diagnose({ ...good, ...changes }).ok);
  });

  it('aligns what it prints, signs first, verdict last', () => {
    const style = makeStyle({ isTerminal: false, environment: {} });
    const text = renderDiagnosis(diagnose({ ...good, shmem: 'never' }), style);
    const details = text
      .split('\n')
      .filter((line) => /^ {2}[✓✗!] /.test(line))
      .map((line) => line.search(/ {2}\S[^ ]*(?: |$)(?!.* {2})/));
    assert.ok(details.length > 10);
    assert.match(text, /! huge shared memory {2}transparent/);
    assert.match(text.trimEnd(), /Everything that is required works.*1 thing to improve\.$/);
  });
});
