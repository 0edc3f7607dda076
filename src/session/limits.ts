/**
 * What: the session's own limits and defaults, with unit and reason; those of the wire format are
 * in src/wire/limits.ts.
 */

/** Lanes that have not joined yet, on a listening side: strangers and the rightful peer. */
export const UNJOINED_LANES_MAX = 16;

/**
 * A lane that has not joined ends after this. A join takes three round trips and a millisecond of
 * arithmetic; 5 s allow for a satellite link and a busy machine.
 */
export const JOIN_TIMEOUT_MS = 5_000;

/**
 * The session begins with the lanes that have joined by then: some round trips of any link. A
 * quarter of the peer timeout at most.
 */
export const FURTHER_LANES_MS = 1_000;

/**
 * One handshake attempt. The helper can be in one handshake at a time, so a stranger who says
 * Hello and falls silent keeps the rightful peer waiting no longer than this.
 */
export const HANDSHAKE_TIMEOUT_MS = 2_000;

/** How long a refused lane may take to read why. */
export const GOODBYE_TIMEOUT_MS = 1_000;

/** Greetings of one lane that have not been looked at; an honest peer sends one and waits. */
export const GREETINGS_HELD_MAX = 4;

/** Control and device-state records held until those before them are in, and not looked at. */
export const MESSAGES_HELD_MAX = 64;
/** The same in bytes: above what an honest peer has unacknowledged (DEVICE_STATE_CHUNKS_MAX). */
export const MESSAGES_HELD_BYTES_MAX = 8 * 1024 * 1024;

/** Tokens held until their records are in; an honest source has one unanswered. */
export const TOKENS_HELD_MAX = 4;

/** Device-state records of 512 KiB on their way: 4 MiB fill 10 Gbit/s at 3 ms. */
export const DEVICE_STATE_CHUNKS_MAX = 8;

/** Frames given to a transport at once: the next is there when one has left. */
export const LANE_FRAMES_IN_FLIGHT = 2;

/**
 * Exports queued per mirror vCPU. It answers when it halts, with its ring empty, so all of them
 * are done at once: four share the cost of a halt (some 50 us) and of waking up for it. With two,
 * engine kvm sealed 0.85 times what engine in-process did; with four, as much.
 */
export const EXPORTS_PER_VCPU = 4;

/** Events of type progress come at most this often. */
export const PROGRESS_INTERVAL_MS = 100;

/** Lanes are pinged so many times within the peer timeout; three losses in a row are allowed. */
export const PINGS_PER_TIMEOUT = 4;

/** How long the last message (an abort, a summary) may take to be acknowledged. */
export const FAREWELL_TIMEOUT_MS = 1_000;

/**
 * Added to the peer timeout where the peer works on all of RAM (allocate, digest, self-check):
 * one second per this many bytes. The slowest honest engine digests 2 GB/s on one vCPU.
 */
export const RAM_WORK_BYTES_PER_SECOND = 250e6;

/** RAM a destination accepts unless it was told otherwise, in bytes: its mirror's address space. */
export const RAM_LIMIT_BYTES_DEFAULT = 64 * 1024 ** 3;

/** A session may be without lanes for so long, unless told otherwise: a switch's reboot. */
export const RECONNECT_TIMEOUT_MS_DEFAULT = 30_000;

/**
 * The same while the source's guest is paused before COMMIT, at most: then nobody runs it, and
 * running it at the source is better than waiting. A reroute takes about two seconds.
 */
export const RECONNECT_PAUSED_MAX_MS = 5_000;

/**
 * Pauses between attempts to open a lane: the first is noise, the last no burden to anybody, and
 * short against the seconds that a paused guest waits for a lane.
 */
export const REDIAL_PAUSE_MIN_MS = 50;
export const REDIAL_PAUSE_MAX_MS = 500;
/**
 * Attempts within the reconnect timeout, at least: lanes are found to be back while the peer still
 * waits for them. A source that gave up is waited for once more as long, with its last words.
 */
export const REDIALS_PER_TIMEOUT = 16;

/**
 * A lane that gets nothing done for so long, while another does, is dropped and dialed again: far
 * above what a loaded link delays, and far below what a user waits for. At most a third of the
 * peer timeout.
 */
export const LANE_STALL_MS = 5_000;

/** COMMIT goes out again this often while it is not answered. */
export const COMMIT_RESEND_MS = 1_000;

/** After the resume, the guest's first tick is waited for this long. */
export const FIRST_TICK_TIMEOUT_MS = 2_000;

/** Frames up to this never wait for a bandwidth limit: pings, acknowledgements, control. */
export const UNPACED_FRAME_BYTES_MAX = 4096;

/** A guest's vCPUs are slowed down by so much at first, and then step by step, in percent. */
export const THROTTLE_FIRST_PERCENT = 20;
export const THROTTLE_STEP_PERCENT = 10;
/** The guest has to go on ticking: its timeouts, and its users, look at it. */
export const THROTTLE_MOST_PERCENT = 99;

/** Rounds in a row that promise no end before a policy is applied: one alone may be an accident. */
export const STALLED_ROUNDS = 2;
