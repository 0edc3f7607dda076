/**
 * What: the units people type and read: sizes, rates, durations, counts. Parsing is strict (what
 * is not understood is an error, never a guess), formatting is for eyes, not for machines.
 * Sizes are powers of 1024: 512M is 512 MiB, and the printed unit says MiB.
 */
import { ConfigurationError } from './errors.js';

const sizeShift: Readonly<Record<string, number>> = { '': 0, K: 10, M: 20, G: 30, T: 40 };
const durationFactor: Readonly<Record<string, number>> = { '': 1, ms: 1, s: 1000, m: 60_000 };

function notUnderstood(text: string, what: string): ConfigurationError {
  return new ConfigurationError('ERR_PAGEFERRY_UNIT', `"${text}" is not ${what}`);
}

function checkRange(
  text: string,
  value: number,
  least: number,
  most: number,
  show: string,
): number {
  if (value >= least && value <= most) return value;
  throw new ConfigurationError('ERR_PAGEFERRY_UNIT_RANGE', `"${text}" is not ${show}`);
}

/** A size in bytes: 4096, 64K, 512M, 4G; KiB and KB are taken for K. */
export function parseBytes(text: string, least = 0, most = Number.MAX_SAFE_INTEGER): number {
  const match = /^(\d{1,15})([KMGT]?)(?:i?B)?$/i.exec(text);
  if (match === null) throw notUnderstood(text, 'a size such as 65536, 512M or 4G');
  const shift = sizeShift[(match[2] ?? '').toUpperCase()] ?? 0;
  const bytes = Number(match[1]) * 2 ** shift;
  const show = `between ${formatBytes(least)} and ${formatBytes(most)}`;
  return checkRange(text, bytes, least, most, show);
}

/** A whole number. */
export function parseCount(text: string, least = 0, most = Number.MAX_SAFE_INTEGER): number {
  if (!/^\d{1,15}$/.test(text)) throw notUnderstood(text, 'a whole number');
  return checkRange(text, Number(text), least, most, `between ${least} and ${most}`);
}

/** A number of things per second: 2000, 20k, optionally with "/s". */
export function parseRate(text: string, least = 0, most = 1e9): number {
  const match = /^(\d{1,12})(k?)(?:\/s)?$/i.exec(text);
  if (match === null) throw notUnderstood(text, 'a rate such as 2000 or 20k (per second)');
  const rate = Number(match[1]) * (match[2] === '' ? 1 : 1000);
  return checkRange(text, rate, least, most, `between ${least} and ${most} per second`);
}

const byteRateFactor: Readonly<Record<string, number>> = { '': 1, k: 1e3, m: 1e6, g: 1e9 };

/** Bytes per second, in decimal units as networks are sold: 50M, 50MB/s, 1.5GB/s, 400Mbit/s. */
export function parseByteRate(text: string, least = 0, most = 1e12): number {
  const match = /^(\d{1,12}(?:\.\d{1,3})?) ?([kmg]?)(B|bit)?(?:\/s)?$/i.exec(text);
  if (match === null) throw notUnderstood(text, 'a rate such as 50MB/s or 400Mbit/s');
  const factor = byteRateFactor[(match[2] ?? '').toLowerCase()] ?? 1;
  const bytes = (Number(match[1]) * factor) / (match[3]?.toLowerCase() === 'bit' ? 8 : 1);
  const show = `between ${formatByteRate(least)} and ${formatByteRate(most)}`;
  return checkRange(text, bytes, least, most, show);
}

/** A duration in milliseconds: 300, 300ms, 1.5s, 2m. */
export function parseMilliseconds(text: string, least = 0, most = 2 ** 31 - 1): number {
  const match = /^(\d{1,10}(?:\.\d{1,3})?)(ms|s|m|)$/.exec(text);
  if (match === null) throw notUnderstood(text, 'a duration such as 300, 300ms, 1.5s or 2m');
  const value = Math.round(Number(match[1]) * (durationFactor[match[2] ?? ''] ?? 1));
  return checkRange(text, value, least, most, `between ${least} ms and ${most} ms`);
}

/** A percentage as a fraction: 25% and 25 are 0.25. */
export function parsePercentage(text: string): number {
  const match = /^(\d{1,3}(?:\.\d{1,3})?)%?$/.exec(text);
  if (match === null) throw notUnderstood(text, 'a percentage such as 25%');
  return checkRange(text, Number(match[1]) / 100, 0, 1, 'between 0% and 100%');
}

function scaled(value: number, step: number, units: readonly string[]): string {
  let index = 0;
  let rest = value;
  // 999.5 would be printed as 1000; the next unit reads better.
  while (rest >= step * 0.9995 && index < units.length - 1) {
    rest /= step;
    index += 1;
  }
  const digits = index === 0 || rest >= 99.95 ? 0 : rest >= 9.995 ? 1 : 2;
  const text = rest.toFixed(digits);
  return `${digits > 0 ? text.replace(/\.?0+$/, '') : text} ${units[index] ?? ''}`;
}

/** 536870912 as "512 MiB". */
export function formatBytes(bytes: number): string {
  return scaled(bytes, 1024, ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']);
}

/** Bytes per second in decimal units, as networks are sold: "1.21 GB/s". */
export function formatByteRate(bytesPerSecond: number): string {
  return scaled(bytesPerSecond, 1000, ['B/s', 'kB/s', 'MB/s', 'GB/s', 'TB/s']);
}

/** 131072 as "131,072". */
export function formatCount(count: number): string {
  return Math.round(count)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, ',');
}

/** "0.4 ms", "42 ms", "1.25 s", "3 min 5 s". */
export function formatMilliseconds(milliseconds: number): string {
  if (milliseconds < 9.95) return `${milliseconds.toFixed(1)} ms`;
  if (milliseconds < 999.5) return `${milliseconds.toFixed(0)} ms`;
  if (milliseconds < 59_995) return `${(milliseconds / 1000).toFixed(2)} s`;
  const seconds = Math.round(milliseconds / 1000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}
