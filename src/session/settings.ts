/** What: what can be changed about a source session while it runs, and the limits of that. */
import { ConfigurationError } from '../errors.js';
import { BANDWIDTH_LIMIT_MAX, BANDWIDTH_LIMIT_MIN } from './pacing.js';

/**
 * What is done when precopy will not converge: slow the guest's vCPUs down step by step, end the
 * migration, or stop the guest and accept the downtime.
 */
export const stallPolicies = ['throttle', 'abort', 'stop'] as const;
export type StallPolicy = (typeof stallPolicies)[number];

export interface SessionSettings {
  /** Bytes per second over all lanes; null: no limit. */
  readonly maxBandwidthBytesPerSecond: number | null;
  readonly downtimeLimitMs: number;
  /** Null: rounds go on up to the limit of epochs, and then the guest is stopped. */
  readonly onStall: StallPolicy | null;
}

/** Most that a downtime limit may be: an hour. */
export const DOWNTIME_LIMIT_MS_MAX = 3_600_000;

function refuse(setting: string, expected: string, received: unknown): never {
  const shown = String(received).slice(0, 80);
  const message = `${setting} is ${expected}, not ${shown}`;
  throw new ConfigurationError('ERR_PAGEFERRY_SETTING', message);
}

function demandNumber(setting: string, value: unknown, least: number, most: number): void {
  if (typeof value === 'number' && value >= least && value <= most) return;
  refuse(setting, `a number from ${least} to ${most}`, value);
}

/** Throws a ConfigurationError for what no session can be set to; unknown names are refused. */
export function checkSettings(changes: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(changes)) {
    switch (name) {
      case 'maxBandwidthBytesPerSecond':
        if (value !== null) demandNumber(name, value, BANDWIDTH_LIMIT_MIN, BANDWIDTH_LIMIT_MAX);
        break;
      case 'downtimeLimitMs':
        demandNumber(name, value, 0, DOWNTIME_LIMIT_MS_MAX);
        break;
      case 'onStall':
        if (value !== null && !(stallPolicies as readonly unknown[]).includes(value)) {
          refuse(name, `one of ${stallPolicies.join(', ')}`, value);
        }
        break;
      default:
        refuse('a setting', 'maxBandwidthBytesPerSecond, downtimeLimitMs or onStall', name);
    }
  }
}
