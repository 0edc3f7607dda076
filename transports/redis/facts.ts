/** What: what a broker says of itself, and whether it can carry lanes. */
import { laneError } from '../../src/transport/base/index.js';

export interface BrokerFacts {
  readonly version: string;
  readonly isCluster: boolean;
  readonly evictionPolicy: string | undefined;
  readonly isLoading: boolean;
}

/** Redis 6.2 brought XAUTOCLAIM and XADD's NOMKSTREAM. */
const oldestVersion = [6, 2] as const;

/** The facts in the answer to INFO. */
export function factsOf(info: unknown): BrokerFacts {
  const text = Buffer.isBuffer(info) ? info.toString('latin1') : '';
  const field = (name: string): string | undefined =>
    new RegExp(`^${name}:([^\\r\\n]{0,64})`, 'm').exec(text)?.[1];
  return {
    version: field('redis_version') ?? 'unknown',
    isCluster: field('cluster_enabled') === '1',
    evictionPolicy: field('maxmemory_policy'),
    isLoading: field('loading') === '1',
  };
}

/** Throws TransportError when lanes would lose frames there, or not work at all. */
export function checkFacts(facts: BrokerFacts, shown: string): void {
  const { version, evictionPolicy, isLoading } = facts;
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const refuse = (message: string): Error =>
    laneError('FORBIDDEN', `${shown} cannot carry lanes: ${message}`, { phase: 'dial' });
  if (isLoading) {
    const message = `${shown} is still loading its data`;
    throw laneError('RESOURCES', message, { phase: 'dial', retryable: true });
  }
  if (!(major > oldestVersion[0] || (major === oldestVersion[0] && minor >= oldestVersion[1]))) {
    throw refuse(`it is Redis ${version}; 6.2 is the oldest that can`);
  }
  if (evictionPolicy === undefined) {
    throw refuse('its eviction policy is unknown; the user needs the command INFO');
  }
  if (evictionPolicy !== 'noeviction') {
    throw refuse(
      `under maxmemory-policy ${evictionPolicy} it would drop frames; set it to noeviction`,
    );
  }
}
