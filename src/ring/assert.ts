/**
 * What: an assertion for our own bugs, without node:assert so that the ring stays free of it.
 * Never for what the device, a peer or a user sent.
 */

/** Throws a plain Error: whoever sees it has found a bug in the caller of the ring. */
export function assertDriver(condition: boolean, claim: string): asserts condition {
  if (!condition) throw new Error(`ring driver: not true that ${claim}`);
}
