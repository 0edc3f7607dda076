/**
 * What: the demo guest's URL parameters and the description its layout carries. Pure. Both are
 * checked strictly: the first was typed by somebody, the second comes from a peer.
 */
import { ConfigurationError } from '../../errors.js';
import { parseBytes, parseCount, parsePercentage, parseRate } from '../../units.js';
import type { GuestLayout } from '../contract.js';

export const demoPageBytes = 4096;
/** As in native/demo/workload.h. */
export const demoRamLeast = 4 * 2 ** 20;
export const demoRamMost = 64 * 2 ** 30;
const rateMost = 1e7;
const seedMost = 2 ** 31 - 1;

const backends = ['kvm', 'in-process'] as const;
const contents = ['mixed', 'random', 'text', 'marker'] as const;
const hugePages = ['auto', 'never', 'require'] as const;
const known = new Set([
  ...['ram', 'dirtyRate', 'workingSet', 'fill', 'content', 'seed'],
  ...['backend', 'engine', 'hugePages'],
]);

export type DemoBackend = (typeof backends)[number];
export type DemoContent = (typeof contents)[number];

export interface DemoParameters {
  readonly ram: number;
  readonly dirtyRate: number;
  readonly workingSet: number;
  readonly fillBytes: number;
  readonly content: DemoContent;
  readonly seed: number;
  readonly backend: DemoBackend | 'auto';
  readonly hugePages: (typeof hugePages)[number];
}

/** What the destination must know beyond the blocks. */
export interface DemoDescription {
  readonly version: 1;
  readonly backend: DemoBackend;
}

function parameterError(name: string, text: string, allowed: string): ConfigurationError {
  const message = `demo guest: ${name}=${text} is not ${allowed}`;
  return new ConfigurationError('ERR_PAGEFERRY_GUEST_PARAMETER', message);
}

function oneOf<T extends string>(name: string, text: string, allowed: readonly T[]): T {
  const found = allowed.find((value) => value === text);
  if (found === undefined) throw parameterError(name, text, `one of ${allowed.join(', ')}`);
  return found;
}

function checkNames(parameters: URLSearchParams): void {
  const seen = new Set<string>();
  for (const name of parameters.keys()) {
    if (!known.has(name)) {
      const names = [...known].join(', ');
      const message = `demo guest: there is no parameter "${name}"; known: ${names}`;
      throw new ConfigurationError('ERR_PAGEFERRY_GUEST_PARAMETER', message);
    }
    if (seen.has(name)) throw parameterError(name, '…', 'given once only');
    seen.add(name);
  }
}

function wholePages(name: string, bytes: number): number {
  if (bytes % demoPageBytes === 0) return bytes;
  throw parameterError(name, String(bytes), `a multiple of ${demoPageBytes} bytes`);
}

/** demo:?ram=512M&dirtyRate=2000&workingSet=64M&fill=75%25&content=mixed&seed=1&backend=auto */
export function parseDemoUrl(url: URL): DemoParameters {
  const parameters = url.searchParams;
  checkNames(parameters);
  if (url.pathname !== '' || url.hash !== '' || url.host !== '') {
    const message = `"${url.href}" is no demo guest; write demo:?ram=512M`;
    throw new ConfigurationError('ERR_PAGEFERRY_GUEST_PARAMETER', message);
  }
  const text = (name: string, preset: string): string => parameters.get(name) ?? preset;
  const ram = wholePages('ram', parseBytes(text('ram', '512M'), demoRamLeast, demoRamMost));
  const preset = String(Math.min(64 * 2 ** 20, ram));
  const fill = parsePercentage(text('fill', '75%'));
  return {
    ram,
    dirtyRate: parseRate(text('dirtyRate', '2000'), 0, rateMost),
    workingSet: wholePages('workingSet', parseBytes(text('workingSet', preset), 0, ram)),
    fillBytes: Math.floor((ram * fill) / demoPageBytes) * demoPageBytes,
    content: oneOf('content', text('content', 'mixed'), contents),
    seed: parseCount(text('seed', '1'), 0, seedMost),
    backend: oneOf('backend', text('backend', text('engine', 'auto')), ['auto', ...backends]),
    hugePages: oneOf('hugePages', text('hugePages', 'auto'), hugePages),
  };
}

function layoutError(what: string, cause?: unknown): ConfigurationError {
  const message = `the peer's demo guest cannot be received here: ${what}`;
  return new ConfigurationError('ERR_PAGEFERRY_GUEST_LAYOUT', message, { cause });
}

function parseDescription(text: string): DemoDescription {
  if (text.length > 1024) throw layoutError('its description is too long');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw layoutError('its description is no JSON', cause);
  }
  if (typeof value !== 'object' || value === null)
    throw layoutError('its description is no object');
  const { version, backend } = value as Record<string, unknown>;
  if (version !== 1) throw layoutError('its description has another version');
  const found = backends.find((name) => name === backend);
  if (found === undefined) throw layoutError('its backend is not known');
  return { version, backend: found };
}

/** RAM size and backend of a layout that came from a peer. */
export function checkDemoLayout(
  layout: GuestLayout,
  wanted: DemoParameters['backend'],
): { ram: number; backend: DemoBackend } {
  if (layout.kind !== 'demo') throw layoutError(`it is of kind ${JSON.stringify(layout.kind)}`);
  const [block, ...others] = layout.blocks;
  if (block === undefined || others.length > 0) throw layoutError('it must have one RAM block');
  if (block.id !== 0 || block.name !== 'ram' || block.ramAddr !== 0) {
    throw layoutError('its RAM block must be number 0, named "ram", at address 0');
  }
  const { bytes } = block;
  const fits = Number.isSafeInteger(bytes) && bytes >= demoRamLeast && bytes <= demoRamMost;
  if (!fits || bytes % demoPageBytes !== 0) throw layoutError(`its RAM has ${bytes} bytes`);
  const { backend } = parseDescription(layout.description);
  if (wanted !== 'auto' && wanted !== backend) {
    throw layoutError(`it runs with backend=${backend}, this side was asked for ${wanted}`);
  }
  return { ram: bytes, backend };
}
