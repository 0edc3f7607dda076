/**
 * What: every limit and default of the TypeScript side, with unit, reason and arithmetic; limits
 * that helper and addon share come from native/abi and are only passed on here.
 * Rule: a length from outside is compared with one of these before anything is allocated. How the
 * limits relate to each other is asserted in test/unit/limits.test.ts.
 */
import {
  PF_CHAIN_MAX,
  PF_PAGE_BYTES,
  PF_RECORD_BYTES_MAX,
  PF_RECORD_HEADER_BYTES,
  PF_RECORD_TAG_BYTES,
  PF_MESSAGE_BYTES_MAX,
  PF_RING_ENTRIES_MAX,
  PF_STREAM_WINDOW,
} from './native/abi.generated.js';

export {
  PF_CONTEXT_BYTES_MAX as CONTEXT_BYTES_MAX,
  PF_MESSAGE_BYTES_MAX as MESSAGE_BYTES_MAX,
  PF_PAD_GRANULE_BYTES_MAX as PAD_GRANULE_BYTES_MAX,
  PF_PAD_GRANULE_BYTES_MIN as PAD_GRANULE_BYTES_MIN,
  PF_PAGE_BYTES as PAGE_BYTES,
  PF_RAM_BLOCKS_MAX as RAM_BLOCKS_MAX,
  PF_RAM_LIMIT_BYTES_MAX as RAM_LIMIT_BYTES_MAX,
  PF_RECORD_BYTES_MAX as RECORD_BYTES_MAX,
  PF_RECORD_DATA_PAGES_MAX as RECORD_DATA_PAGES_MAX,
  PF_RECORD_LIST_BYTES_MAX as RECORD_LIST_BYTES_MAX,
  PF_RECORD_PAGES_MAX as RECORD_PAGES_MAX,
  PF_RECORD_RUNS_MAX as RECORD_RUNS_MAX,
  PF_SECRET_BYTES_MAX as SECRET_BYTES_MAX,
  PF_SECRET_BYTES_MIN as SECRET_BYTES_MIN,
  PF_VCPUS_MAX as VCPUS_MAX,
  PF_WINDOW_BYTES_MAX as WINDOW_BYTES_MAX,
} from './native/abi.generated.js';

/** `bytes` rounded up to a multiple of `granule`. */
export function roundUp(bytes: number, granule: number): number {
  return Math.ceil(bytes / granule) * granule;
}

/*
 * The mirror's window.
 */

/** Descriptors in each ring; the most the ABI has room for, since they cost 16 B each. */
export const RING_ENTRIES = PF_RING_ENTRIES_MAX;

/**
 * Commands in flight on one vCPU: every chain takes at most 4 of 256 descriptors, so 64 always
 * find room. 64 records of 1 MiB are more than any window worth having.
 */
export const RING_COMMANDS = RING_ENTRIES / PF_CHAIN_MAX;

/** One record slot: the largest record (1,118,304 B) in whole pages, 274 of them. */
export const SLOT_BYTES = roundUp(PF_RECORD_BYTES_MAX, PF_PAGE_BYTES);

/** Fewer slots than this and sealing cannot overlap sending. */
export const SLOTS_MIN = 2;

/**
 * Record memory in flight on one side: 32 MiB are 29 slots. At 2 GB/s that is 16 ms of data, far
 * more than a kick (43 us) or a turn of the event loop; larger windows only cost memory, of which
 * a process may take guest RAM + 200 MiB.
 */
export const WINDOW_BYTES_DEFAULT = 32 * 1024 * 1024;
/** Slots end below the ABI's 1 GiB, minus rings, request areas and the message area. */
export const WINDOW_BYTES_LIMIT = 768 * 1024 * 1024;

/** Mirror vCPUs unless told otherwise; one already seals 3 GB/s and more with codec none. */
export const VCPUS_DEFAULT = 2;

/**
 * How long a vCPU may stay in one KVM_RUN. The longest honest command (a digest of
 * DIGEST_PAGES pages) takes about 20 ms; 10 s leaves room for a machine that swaps.
 */
export const STALL_TIMEOUT_MS_DEFAULT = 10_000;

/**
 * Pages with content in one DIGEST command: 16 MiB, about 5 ms, so that the kick is noise and
 * all vCPUs end at about the same time.
 */
export const DIGEST_PAGES = 4096;

/**
 * Pages that are digested to tell what all of them would take: 128 MiB, about 15 ms, in lists of
 * DIGEST_PAGES spread over RAM, which is eight of them: enough for every vCPU to have its share.
 */
export const DIGEST_SAMPLE_PAGES = 32_768;

/*
 * The session.
 */

/**
 * Records of one stream without an acknowledgement: half of what the destination's window of
 * counters holds, so that records overtaking each other on different lanes never leave it.
 */
export const UNACKNOWLEDGED_RECORDS_MAX = PF_STREAM_WINDOW / 2;

/** Bytes a frame may add around its record: type, lengths, sequence number. */
export const FRAME_HEAD_BYTES_MAX = 64;
/** Largest frame on a lane; a transport refuses more before it allocates anything. */
export const FRAME_BYTES_MAX = PF_RECORD_BYTES_MAX + FRAME_HEAD_BYTES_MAX;
/** Largest sealed message: 512 KiB of plaintext, header and tag. */
export const SEALED_MESSAGE_BYTES_MAX =
  PF_RECORD_HEADER_BYTES + PF_MESSAGE_BYTES_MAX + PF_RECORD_TAG_BYTES;

/** Lanes of one session; each costs a socket and a frame in flight on both sides. */
export const LANES_MAX = 64;

/** Device state of one guest, all chunks together: QEMU's is below 10 MiB without a display. */
export const DEVICE_STATE_BYTES_MAX = 64 * 1024 * 1024;

/** Every wait for the peer ends after this. */
export const PEER_TIMEOUT_MS_DEFAULT = 30_000;

/** The guest may stand still for so long; QEMU's default as well. */
export const DOWNTIME_LIMIT_MS_DEFAULT = 300;

/** After so many epochs a guest that dirties faster than the lanes carry is stopped anyway. */
export const EPOCHS_MAX_DEFAULT = 30;
