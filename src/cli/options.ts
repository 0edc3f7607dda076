/**
 * What: the options that several commands share: their names, their limits, how they are read.
 * Everything is checked here, before anything is started.
 */
import { Argument, InvalidArgumentError, Option } from 'commander';

import { errorMessage } from '../errors.js';
import {
  DOWNTIME_LIMIT_MS_DEFAULT,
  EPOCHS_MAX_DEFAULT,
  LANES_MAX,
  PAD_GRANULE_BYTES_MAX,
  PAD_GRANULE_BYTES_MIN,
  PEER_TIMEOUT_MS_DEFAULT,
  SLOT_BYTES,
  SLOTS_MIN,
  VCPUS_DEFAULT,
  VCPUS_MAX,
  WINDOW_BYTES_DEFAULT,
  WINDOW_BYTES_LIMIT,
} from '../limits.js';
import type { CodecName, EngineName } from '../mirror/contract.js';
import { LOG_LEVELS, type LogLevel } from '../observe/levels.js';
import { RECONNECT_TIMEOUT_MS_DEFAULT } from '../session/limits.js';
import { BANDWIDTH_LIMIT_MAX, BANDWIDTH_LIMIT_MIN } from '../session/pacing.js';
import { stallPolicies, type StallPolicy } from '../session/settings.js';
import { formatBytes, parseByteRate, parseBytes, parseCount, parseMilliseconds } from '../units.js';
import { guestUrl, transportUrl } from './urls.js';

const EPOCHS_MAX = 100_000;
const timeoutMsMin = 100;
const timeoutMsMax = 86_400_000;

/** What every migrating command takes. */
export interface CommonOptions {
  readonly json?: boolean;
  readonly logLevel: LogLevel;
}

export interface EventsOption {
  readonly eventsFd?: number;
}

/** Packages or files that add transports. */
export interface PluginSettings {
  readonly transportPlugin: readonly string[];
}

export interface MirrorSettings {
  readonly engine: EngineName | 'auto';
  readonly vcpus: number;
  readonly window: number;
}

export interface SourceSettings {
  readonly codec: CodecName;
  readonly codecLevel: number;
  readonly pad: number;
  readonly downtimeLimit: number;
  readonly maxEpochs: number;
  /** Bytes per second; Infinity: no limit. */
  readonly maxBandwidth: number;
  readonly onStall?: StallPolicy;
  readonly verify: boolean;
}

/** Makes a parser of units.ts one of commander, whose errors name the option. */
export function parser<T>(parse: (text: string) => T): (text: string) => T {
  return (text) => {
    try {
      return parse(text);
    } catch (error) {
      throw new InvalidArgumentError(`${errorMessage(error)}.`);
    }
  };
}

export function countParser(least: number, most: number): (text: string) => number {
  return parser((text) => parseCount(text, least, most));
}

export function durationParser(least: number, most?: number): (text: string) => number {
  return parser((text) => parseMilliseconds(text, least, most));
}

export function bytesParser(least: number, most: number): (text: string) => number {
  return parser((text) => parseBytes(text, least, most));
}

function parsePad(text: string): number {
  const bytes = parseBytes(text);
  const isPower = Number.isInteger(Math.log2(bytes));
  const isInRange = bytes >= PAD_GRANULE_BYTES_MIN && bytes <= PAD_GRANULE_BYTES_MAX;
  if (bytes === 0 || (isPower && isInRange)) return bytes;
  throw new InvalidArgumentError('It is 0 or a power of two from 4K to 64K.');
}

/** A limit in bytes per second; Infinity for "off", since commander takes null for no value. */
export function parseBandwidth(text: string): number {
  if (text === 'off') return Infinity;
  return parseByteRate(text, BANDWIDTH_LIMIT_MIN, BANDWIDTH_LIMIT_MAX);
}

/** The limit as a session takes it. */
export function bandwidthSetting(bytesPerSecond: number): number | null {
  return Number.isFinite(bytesPerSecond) ? bytesPerSecond : null;
}

export const guestOption = (help: string): Option =>
  new Option('--guest <url>', help).argParser(parser(guestUrl)).makeOptionMandatory();

export const addressOption = (flags: string, help: string): Option =>
  new Option(flags, help).argParser(parser(transportUrl));

export const keyOptions = (): Option[] => [
  new Option('--key-file <file>', 'file that holds the shared key (mode 0600)').conflicts('keyFd'),
  new Option('--key-fd <n>', 'open descriptor to read the shared key from').argParser(
    countParser(0, 1_000_000),
  ),
];

export const mirrorOptions = (): Option[] => [
  new Option('--engine <name>', 'what runs the helper; auto takes kvm where it works')
    .choices(['auto', 'kvm', 'in-process'])
    .default('auto'),
  new Option('--vcpus <n>', 'vCPUs of the mirror, one thread each')
    .argParser(countParser(1, VCPUS_MAX))
    .default(VCPUS_DEFAULT),
  new Option('--window <size>', 'memory for records in flight')
    .argParser(bytesParser(SLOTS_MIN * SLOT_BYTES, WINDOW_BYTES_LIMIT))
    .default(WINDOW_BYTES_DEFAULT, formatBytes(WINDOW_BYTES_DEFAULT)),
];

const collect = (one: string, others: readonly string[]): string[] => [...others, one];

export const pluginOption = (): Option =>
  new Option('--transport-plugin <package|file>', 'load a transport; may be given again')
    .argParser(collect)
    .default([], 'none');

export const lanesOption = (): Option =>
  new Option('--lanes <n>', 'parallel lanes (default: what the transport likes)').argParser(
    countParser(1, LANES_MAX),
  );

export const sourceOptions = (): Option[] => [
  new Option('--codec <name>', 'compression inside the sealed records')
    .choices(['none', 'lz4', 'zstd'])
    .default('lz4'),
  new Option('--codec-level <n>', 'compression level')
    .argParser(countParser(0, 22))
    .default(0, "the codec's own"),
  new Option('--pad <size>', 'pad records to multiples of it, to hide their true sizes')
    .argParser(parser(parsePad))
    .default(0, 'off'),
  new Option('--downtime-limit <ms>', 'stop the guest when the rest fits into this time')
    .argParser(durationParser(1, 3_600_000))
    .default(DOWNTIME_LIMIT_MS_DEFAULT, `${DOWNTIME_LIMIT_MS_DEFAULT} ms`),
  new Option('--max-bandwidth <rate>', 'send no more than this per second, over all lanes')
    .argParser(parser(parseBandwidth))
    .default(Infinity, 'no limit'),
  new Option(
    '--on-stall <policy>',
    'when rounds do not converge: slow the guest, give up, or stop it',
  ).choices(stallPolicies),
  new Option('--max-epochs <n>', 'stop the guest after so many rounds, whatever is left')
    .argParser(countParser(1, EPOCHS_MAX))
    .default(EPOCHS_MAX_DEFAULT),
  new Option('--no-verify', 'do not compare digests of the memory on both sides'),
];

export const timeoutOption = (): Option =>
  new Option('--timeout <ms>', 'limit of every wait for the other side')
    .argParser(durationParser(timeoutMsMin, timeoutMsMax))
    .default(PEER_TIMEOUT_MS_DEFAULT, `${PEER_TIMEOUT_MS_DEFAULT / 1000} s`);

export const reconnectOption = (): Option =>
  new Option('--reconnect-timeout <ms>', 'how long the session may be without any lane')
    .argParser(durationParser(0, timeoutMsMax))
    .default(RECONNECT_TIMEOUT_MS_DEFAULT, `${RECONNECT_TIMEOUT_MS_DEFAULT / 1000} s`);

export const stateDirectoryOption = (): Option =>
  new Option(
    '--state-dir <dir>',
    'where state and decisions are kept (default: $XDG_STATE_HOME/pageferry)',
  );

export const commonOptions = (): Option[] => [
  new Option('--json', 'print one report object as the last line of stdout'),
  new Option('--log-level <level>', 'log to stderr').choices(LOG_LEVELS).default('silent'),
];

/** For `pageferry demo`: events as lines of JSON; the end of the pipe is the order to stop. */
export const eventsOption = (): Option =>
  new Option('--events-fd <n>').argParser(countParser(3, 1_000_000)).hideHelp();

export const fileArgument = (help: string): Argument => new Argument('<file>', help);
