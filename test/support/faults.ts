/** Faults of networks that a session has to survive, or end well with; see docs/session.md. */
import type { FaultProxy, Faults } from './fault-proxy.js';

export interface Fault {
  readonly name: string;
  readonly faults: Faults;
  /** That it happened at all. */
  readonly happened: (counts: FaultProxy['counts']) => boolean;
}

export const laneCuts: Fault = {
  name: 'a lane cut every 200 ms',
  faults: { cutEveryMs: 200 },
  happened: ({ cuts }) => cuts >= 4,
};

/** When `afterBytes` have passed. */
export function outage(afterBytes: number): Fault {
  return {
    name: 'all lanes cut for 2 s',
    faults: {
      atBytes: [
        afterBytes,
        (proxy) => {
          proxy.cutAll(2000);
        },
      ],
    },
    happened: ({ cuts, refused }) => cuts >= 2 && refused > 0,
  };
}

export const latency: Fault = {
  name: '30 ms latency and 1 % of chunks delayed by 300 ms',
  faults: { latencyMs: 30, spikeOnceIn: 100, spikeMs: 300 },
  happened: ({ spikes }) => spikes >= 3,
};

export const flips: Fault = {
  name: 'a bit flipped in every 50 MB',
  faults: { flipEveryBytes: 50e6 },
  happened: ({ flips: count }) => count >= 2,
};

/** When `afterBytes` have passed. */
export function stallAndHalfClose(afterBytes: number): Fault {
  return {
    name: 'a lane that stalls, and one that is closed half',
    faults: {
      atBytes: [
        afterBytes,
        (proxy) => {
          proxy.stallOne();
          proxy.halfCloseOne();
        },
      ],
    },
    happened: ({ connections }) => connections >= 4,
  };
}
