/**
 * What: what doctor looks for, and the line that mends each thing. Pure: takes the facts that
 * facts.ts gathered, so that every machine can be tested on this one.
 */
import { formatBytes } from '../../units.js';
import type { MachineFacts } from './facts.js';

export type CheckStatus = 'ok' | 'advice' | 'missing';

export interface Check {
  readonly group: string;
  readonly name: string;
  readonly status: CheckStatus;
  readonly detail: string;
  /** The exact line that mends it, where there is one. */
  readonly mend?: string;
}

export interface Diagnosis {
  readonly report: 'doctor';
  readonly version: 1;
  /** Everything that is required works. */
  readonly ok: boolean;
  readonly engines: {
    readonly kvm: boolean;
    readonly 'in-process': boolean;
    /** What --engine auto takes; null when there is none. */
    readonly auto: 'kvm' | 'in-process' | null;
  };
  readonly checks: readonly Check[];
}

const oldestNode = 20;
const GiB = 1024 ** 3;
/** Sockets of 64 lanes, guest memory, KVM's descriptors, and what Node itself has open. */
const descriptorsMin = 1024;
/** AES-NI and PCLMULQDQ seal; RDRAND is where the helper's own randomness comes from. */
const requiredFeatures = ['aes', 'pclmulqdq', 'rdrand'];
const usefulFeatures = ['avx2', 'avx512f', 'vaes', 'vpclmulqdq', 'gfni', 'rdseed'];

function check(
  group: string,
  name: string,
  status: CheckStatus,
  detail: string,
  mend?: string,
): Check {
  return { group, name, status, detail, ...(mend === undefined ? {} : { mend }) };
}

function programChecks(facts: MachineFacts): Check[] {
  const group = 'program';
  const major = Number(facts.node.replace(/^v/, '').split('.')[0]);
  const node =
    major >= oldestNode
      ? check(group, 'Node', 'ok', facts.node)
      : check(group, 'Node', 'missing', `${facts.node}, needed is ${oldestNode} or newer`);
  const addon =
    facts.addonProblem === undefined
      ? check(group, 'native addon', 'ok', 'loaded')
      : check(group, 'native addon', 'missing', facts.addonProblem, 'npm run build');
  return [node, addon];
}

function packageChecks(facts: MachineFacts): Check[] {
  const install = `sudo apt-get install -y --no-install-recommends`;
  return facts.packages.map(({ name, isInstalled, purpose }) =>
    isInstalled
      ? check('libraries', name, 'ok', purpose)
      : check('libraries', name, 'advice', `${purpose}; missing to build`, `${install} ${name}`),
  );
}

function kvmMend(facts: MachineFacts): string | undefined {
  const { device, probe } = facts;
  if (device === 'absent') return 'sudo modprobe kvm_intel || sudo modprobe kvm_amd';
  if (device === 'forbidden') return `sudo usermod -aG kvm ${facts.user}    # then log in again`;
  return probe === undefined ? 'npm run build' : undefined;
}

function kvmCheck(facts: MachineFacts): Check {
  const { device, probe } = facts;
  if (probe?.kvm.usable === true) {
    const { apiVersion, tried } = probe.kvm;
    return check('engines', 'kvm', 'ok', `/dev/kvm works, API ${apiVersion}: ${tried}`);
  }
  const details = {
    absent: 'there is no /dev/kvm',
    forbidden: '/dev/kvm is there, but may not be opened',
    open: probe === undefined ? 'not tried: no addon' : `does not work: ${probe.kvm.tried}`,
  };
  return check('engines', 'kvm', 'advice', details[device], kvmMend(facts));
}

function engineChecks(facts: MachineFacts): Check[] {
  const kvm = kvmCheck(facts);
  const hasAddon = facts.probe !== undefined;
  const inProcess = hasAddon
    ? check('engines', 'in-process', 'ok', 'native threads of this process; no isolation')
    : check('engines', 'in-process', 'missing', 'not tried: no addon', 'npm run build');
  const taken = kvm.status === 'ok' ? 'kvm' : hasAddon ? 'in-process' : undefined;
  const auto = check(
    'engines',
    'auto',
    taken === undefined ? 'missing' : 'ok',
    taken === undefined ? 'no engine works' : `takes ${taken}`,
  );
  return [kvm, inProcess, auto];
}

function cpuChecks(facts: MachineFacts): Check[] {
  const { probe } = facts;
  if (probe === undefined) return [];
  const has = (name: string): boolean => probe.cpu[name] ?? false;
  const known = (name: string): boolean => Object.hasOwn(probe.cpu, name);
  const required = requiredFeatures.filter(known).map((name) => {
    const detail = has(name) ? 'there' : 'missing in this processor (or hidden by a hypervisor)';
    return check('processor', name, has(name) ? 'ok' : 'missing', detail);
  });
  const useful = usefulFeatures.filter(known);
  const present = useful.filter(has);
  const absent = useful.filter((name) => !has(name));
  const lacking = absent.length === 0 ? '' : `; not there: ${absent.join(' ')}`;
  const status = present.length === 0 ? 'advice' : 'ok';
  const wide = check('processor', 'faster', status, `${present.join(' ') || 'none'}${lacking}`);
  const bits = check('processor', 'address bits', 'ok', String(probe.physicalBits));
  return [...required, wide, bits];
}

function hugePageChecks(facts: MachineFacts): Check[] {
  const group = 'memory';
  const { hugePages } = facts;
  const size = formatBytes(hugePages.pageBytes);
  const pages = Math.ceil(GiB / hugePages.pageBytes);
  const huge =
    hugePages.total > 0
      ? check(group, 'huge pages', 'ok', `${hugePages.free} of ${hugePages.total} free (${size})`)
      : check(
          group,
          'huge pages',
          'advice',
          'none reserved; first touch of guest memory is slow without',
          `sudo sysctl -w vm.nr_hugepages=${pages}    # 1 GiB of ${size} pages`,
        );
  const { shmem } = facts;
  const takesHuge = /^(always|within_size|advise|force)$/.test(shmem);
  const path = '/sys/kernel/mm/transparent_hugepage/shmem_enabled';
  const transparent = takesHuge
    ? check(group, 'huge shared memory', 'ok', `transparent huge pages: ${shmem}`)
    : check(
        group,
        'huge shared memory',
        'advice',
        `transparent huge pages for shared memory: ${shmem === '' ? 'unknown' : shmem}`,
        `echo advise | sudo tee ${path}`,
      );
  return [huge, transparent];
}

function limitChecks(facts: MachineFacts): Check[] {
  const group = 'limits';
  const { availableBytes, descriptors, memlockBytes } = facts;
  const text = Number.isFinite(descriptors) ? String(descriptors) : 'unlimited';
  const files =
    descriptors >= descriptorsMin
      ? check(group, 'open files', 'ok', text)
      : check(group, 'open files', 'advice', text, `ulimit -n ${descriptorsMin}`);
  const memlock = Number.isFinite(memlockBytes) ? formatBytes(memlockBytes) : 'unlimited';
  return [
    check(group, 'free memory', 'ok', `${formatBytes(availableBytes)} available`),
    files,
    check(group, 'locked memory', 'ok', memlock),
  ];
}

export function diagnose(facts: MachineFacts): Diagnosis {
  const engines = engineChecks(facts);
  const checks = [
    ...programChecks(facts),
    ...engines,
    ...cpuChecks(facts),
    ...hugePageChecks(facts),
    ...limitChecks(facts),
    ...packageChecks(facts),
  ];
  const works = (name: string): boolean =>
    engines.some((found) => found.name === name && found.status === 'ok');
  return {
    report: 'doctor',
    version: 1,
    ok: checks.every(({ status }) => status !== 'missing'),
    engines: {
      kvm: works('kvm'),
      'in-process': works('in-process'),
      auto: works('kvm') ? 'kvm' : works('in-process') ? 'in-process' : null,
    },
    checks,
  };
}
