/**
 * What: what a session has measured of the costs that a stop will have, whatever is left to copy.
 * One object per source session; precopy.ts feeds it, convergence.ts reads it.
 */

/** Parts of the downtime that another round would not lower, in milliseconds. */
export interface FixedCosts {
  /** The last look at the dirty pages. */
  readonly collectMs: number;
  /** A message there and its answer: token to acceptance. */
  readonly roundTripMs: number;
  /** Digest of RAM on the slower side; 0 without verify. */
  readonly digestMs: number;
}

/**
 * Both sides measure their digest after the same epochs, at the same time: where they share a
 * machine, they are in each other's way as they will be at the stop. Powers of two: often while
 * the guest's memory fills, seldom when rounds are many and short.
 */
export function measuresDigest(epoch: number): boolean {
  return epoch > 0 && Number.isInteger(Math.log2(epoch));
}

/** What one side's digest is taken to cost until it was measured: 4 GB/s. */
const DIGEST_BYTES_PER_SECOND_ASSUMED = 4e9;

export class DowntimeCosts {
  #collectMs = 0;
  #roundTripMs = 0;
  #ownDigestMs: number | undefined;
  #peerDigestMs: number | undefined;

  constructor(
    private readonly ramBytes: number,
    private readonly verifies: boolean,
  ) {}

  get fixed(): FixedCosts {
    const assumedMs = (this.ramBytes / DIGEST_BYTES_PER_SECOND_ASSUMED) * 1000;
    const slowerMs = Math.max(this.#ownDigestMs ?? assumedMs, this.#peerDigestMs ?? assumedMs);
    return {
      collectMs: this.#collectMs,
      roundTripMs: this.#roundTripMs,
      digestMs: this.verifies ? slowerMs : 0,
    };
  }

  noteCollect(milliseconds: number): void {
    this.#collectMs = milliseconds;
  }

  noteRoundTrip(milliseconds: number): void {
    this.#roundTripMs = Math.max(0, milliseconds);
  }

  noteOwnDigest(milliseconds: number): void {
    this.#ownDigestMs = milliseconds;
  }

  notePeerDigest(milliseconds: number): void {
    this.#peerDigestMs = milliseconds;
  }
}
