/** What: limits and times of lanes over Redis, with unit and reason. */

/**
 * Bytes one direction of a lane may have in Redis and not yet consumed: this, or two of the largest
 * frames when that is more. It bounds what Redis, the sender and the reader hold for a lane. With
 * the two hops of a broker, 5 ms each way, 8 MiB allow 400 MB/s a lane.
 */
export const WINDOW_BYTES_MIN = 8 * 1024 * 1024;

/** Memory for one frame's copy, used again; the largest record (1.07 MiB) fits. */
export const COPY_BYTES = 1280 * 1024;

/** Entries of one direction that are not yet consumed: small frames are bounded by number. */
export const WINDOW_ENTRIES = 1024;

/** Largest window a peer may announce: that of the largest frame there is. */
export const WINDOW_BYTES_MAX = 128 * 1024 * 1024;

/** Entries of one reply; at most a window of bytes comes with them. */
export const READ_ENTRIES = 64;

/** Added to a window where replies are bounded: ids, names and credits of READ_ENTRIES entries. */
export const REPLY_SLACK_BYTES = 256 * 1024;

/**
 * A lane's keys expire after this unless their reader renews them: so long the lane outlives an
 * outage of the broker, and so long its keys outlive both ends when they are killed.
 */
export const LEASE_MS = 60_000;

/** Renewals; five may fail in a row. Also how often a lane looks whether its peer still renews. */
export const RENEWAL_MS = 10_000;

/** The same for a listener's name: shorter, since a killed one keeps its name so long. */
export const LISTENER_LEASE_MS = 15_000;
export const LISTENER_RENEWAL_MS = 4_000;

/** How long one connection to the broker may be lost: less than a lease, or the keys are gone. */
export const OUTAGE_MS_MAX = 40_000;

/** One attempt to reach the broker. */
export const CONNECT_MS_MAX = 10_000;

/** How long one blocking read waits; it only bounds how late a dead broker is noticed. */
export const BLOCK_MS = 5_000;

/** Pauses before a full broker is asked again: from the first, doubling, to the longest. */
export const OOM_PAUSE_MS_FIRST = 5;
export const OOM_PAUSE_MS_LONGEST = 200;

/** Lanes of one listener at once; each is two connections to the broker. */
export const LANES_AT_ONCE = 256;

/** A frame's own largest size. */
export const FRAME_BYTES_MAX = 64 * 1024 * 1024;

/** What a side that takes frames of `maxFrameBytes` lets come unasked. */
export function windowOf(maxFrameBytes: number): number {
  return Math.max(WINDOW_BYTES_MIN, 2 * maxFrameBytes);
}
