/** What: the command lines of the demo's two processes. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';

import type { DemoOptions } from './commands/demo.js';

/** Schemes whose lanes need certificates; the demo makes them for a bare scheme. */
const certifiedSchemes = new Set(['tls', 'grpcs']);

export function needsCredentials(transport: string): boolean {
  return certifiedSchemes.has(transport);
}

const brokerSchemes = /^redis(s|\+unix)?:\/\//;

/** A broker's address with a name to meet by, a fresh one where none is given. */
function atBroker(address: string): string {
  if (/[?&]name=/.test(address)) return address;
  const name = `demo-${randomBytes(6).toString('hex')}`;
  return `${address}${address.includes('?') ? '&' : '?'}name=${name}`;
}

/**
 * Where the destination listens: a free port here, a socket in `directory`, a broker at its usual
 * port here, or as said. `credentials` are the parameters that name them, or empty.
 */
export function listenAddress(transport: string, directory: string, credentials: string): string {
  if (brokerSchemes.test(transport)) return atBroker(transport);
  if (transport.includes('://')) return transport;
  if (transport === 'redis') return atBroker('redis://127.0.0.1:6379');
  return transport === 'unix'
    ? `unix://${join(directory, 'lane.sock')}`
    : `${transport}://127.0.0.1:0${credentials === '' ? '' : `?${credentials}`}`;
}

/** What the source dials: where the destination listens, with the parameters both sides share. */
export function dialAddress(listening: string, asked: string): string {
  const parameters = /\?.*$/.exec(asked)?.[0] ?? '';
  return listening.includes('?') ? listening : `${listening}${parameters}`;
}

/** The guest runs in process where the mirror does: such a machine may have no KVM at all. */
export function guestAddress(options: DemoOptions): string {
  const parameters = new URLSearchParams({
    ram: String(options.ram),
    dirtyRate: String(options.dirtyRate),
    backend: options.engine,
  });
  return `demo:?${parameters.toString()}`;
}

function common(options: DemoOptions, directory: string, keyFile: string): string[] {
  return [
    ...['--key-file', keyFile],
    ...['--engine', options.engine],
    ...['--vcpus', String(options.vcpus)],
    ...['--window', String(options.window)],
    ...['--timeout', String(options.timeout)],
    ...['--reconnect-timeout', String(options.reconnectTimeout)],
    ...['--state-dir', join(directory, 'state')],
    ...['--log-level', options.logLevel],
    ...options.transportPlugin.flatMap((plugin) => ['--transport-plugin', plugin]),
  ];
}

export function destinationArguments(
  options: DemoOptions,
  address: string,
  directory: string,
  keyFile: string,
): string[] {
  return [
    'receive',
    ...['--guest', `demo:?backend=${options.engine}`],
    ...['--listen', address],
    ...common(options, directory, keyFile),
  ];
}

export function sourceArguments(
  options: DemoOptions,
  address: string,
  directory: string,
  keyFile: string,
): string[] {
  return [
    'send',
    ...['--guest', guestAddress(options)],
    ...['--to', address],
    ...(options.lanes === undefined ? [] : ['--lanes', String(options.lanes)]),
    ...['--codec', options.codec],
    ...['--codec-level', String(options.codecLevel)],
    ...['--pad', String(options.pad)],
    ...['--downtime-limit', String(options.downtimeLimit)],
    ...['--max-epochs', String(options.maxEpochs)],
    ...(options.maxBandwidth === Infinity ? [] : ['--max-bandwidth', String(options.maxBandwidth)]),
    ...(options.onStall === undefined ? [] : ['--on-stall', options.onStall]),
    ...(options.verify ? [] : ['--no-verify']),
    ...common(options, directory, keyFile),
  ];
}
