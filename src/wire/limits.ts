/**
 * What: the limits of the wire protocol, each with its unit and reason. A length from a lane is
 * compared with one of these before anything is allocated for it.
 */
import { PF_RECORD_BYTES_MAX } from '../native/abi.generated.js';

/** Versions of the protocol this code speaks; see docs/wire-protocol.md for the policy. */
export const PROTOCOL_VERSION_MIN = 1;
export const PROTOCOL_VERSION_MAX = 1;

export const FOURCC_BYTES = 4;
export const SESSION_ID_BYTES = 16;
export const LANE_NONCE_BYTES = 16;
export const DIGEST_BYTES = 32;

/** A window of records is spread over the lanes: more than 64 of them win nothing anywhere. */
export const LANES_MAX = 64;

/** Largest frame of all: a full record. What transports are asked to carry. */
export const FRAME_BYTES_MAX = PF_RECORD_BYTES_MAX;

/** Hello, HelloReply, Goodbye, Handshake: a few hundred bytes and texts for people. */
export const GREETING_BYTES_MAX = 2048;
/** Ping and Pong: a number. */
export const PING_BYTES_MAX = 64;
/** A lane record: a header, a tag and a LaneJoin of about 50 bytes. */
export const LANE_RECORD_BYTES_MAX = 512;

/**
 * Ranges in one Ack frame. Ranges cost 2 to 8 bytes each; 2048 of them exceed what a window of
 * 1 GiB can leave unacknowledged in one turn of the event loop.
 */
export const ACK_RANGES_MAX = 2048;
export const ACK_BYTES_MAX = 64 * 1024;

/** Texts for people that a peer may send, in characters. */
export const PRODUCT_CHARACTERS_MAX = 64;
export const REASON_CHARACTERS_MAX = 512;
export const CODE_CHARACTERS_MAX = 64;
export const BLOCK_NAME_CHARACTERS_MAX = 255;
/** What a piece of memory covers that is allocated at once: a page of 2 MiB. */
export const PIECE_BYTES = 2 * 1024 * 1024;
/** Runs of such pieces that a block's announcement may name. */
export const FILLED_RUNS_MAX = 1024;
/** A guest provider's description of a VM without its memory. */
export const DESCRIPTION_BYTES_MAX = 64 * 1024;

/** The helper's first epoch; docs/record-format.md. */
export const EPOCH_FIRST = 1;

/** Sanity bound of the epoch limit a source announces. */
export const EPOCHS_MAX = 1_000_000;

/** vCPU, interrupt and device state of a VM without its memory; QEMU's is below 1 MiB. */
export const DEVICE_STATE_BYTES_MAX = 64 * 1024 * 1024;
