/*
 * What: the helper's commands: one descriptor chain each, two to four descriptors in this order:
 *   request   device-readable, exactly sizeof(struct pf_request)
 *   input     device-readable, optional
 *   response  device-writable, exactly sizeof(struct pf_response)
 *   output    device-writable, optional
 * A chain of any other form is a ring error: the device answers PF_STATUS_CHAIN when it has a
 * response descriptor to put it in, used length 0 otherwise, and goes on.
 *
 * used.bytes = sizeof(struct pf_response) + bytes written to output.
 * Nothing is written to output unless the status is PF_STATUS_OK.
 */
#ifndef PAGEFERRY_ABI_COMMAND_H
#define PAGEFERRY_ABI_COMMAND_H

#include <stdint.h>
#include "limits.h"

enum pf_command {
    /* Output: struct pf_hello. Any state. */
    PF_COMMAND_HELLO = 1,

    /*
     * arg0 block id (< PF_RAM_BLOCKS_MAX), arg1 first ram_addr_t, arg2 bytes (page multiples),
     * flags PF_BLOCK_F_BLANK: the memory is all zero now. Adds a block, or resizes the one with
     * that id (same arg1). Refused with PF_STATUS_EPOCH_OPEN while pages of the current epoch
     * have been exported or imported, and with PF_STATUS_STATE when STARTED. vCPU 0.
     */
    PF_COMMAND_BLOCK_SET = 2,
    /* arg0 block id. Same rule. vCPU 0. */
    PF_COMMAND_BLOCK_REMOVE = 3,

    /* Input: the pre-shared secret. State FRESH. vCPU 0. The host wipes its copy afterwards. */
    PF_COMMAND_SECRET_SET = 4,
    /*
     * arg0 enum pf_handshake_step, arg1 context bytes at the start of the input; the rest of
     * the input is the peer's message. Output: the message to send (none after CONFIRM).
     * value0 output bytes. Output of FINISH or CONFIRM comes with state ESTABLISHED. vCPU 0.
     */
    PF_COMMAND_HANDSHAKE = 5,

    /*
     * arg0 epoch, arg1 codec | level << 8 (level 0: default), arg2 padding granule in bytes or 0.
     * Input: up to PF_RECORD_RUNS_MAX runs, ascending, at most PF_RECORD_DATA_PAGES_MAX pages
     * that are not marked as holes. Output: the record. Pages found to be zero are listed as
     * zero. value0 record bytes, value1 counter, value2 data pages, value3 zero pages,
     * value4 encoded bytes before padding, value5 codec used.
     * Level: lz4 acceleration 1 (default) to 64; zstd 1 (default) to what fits the arena.
     */
    PF_COMMAND_EXPORT = 6,
    /*
     * Input: a record. value0 counter, value1 data pages, value2 zero pages, value3 stream,
     * value4 epoch. PF_STATUS_DUPLICATE: already in, acknowledge it again.
     */
    PF_COMMAND_IMPORT = 7,

    /* arg0 enum pf_record_kind (control, device state, lane). Input: plaintext. Output: record.
     * value0 record bytes, value1 counter. vCPU 0. */
    PF_COMMAND_SEAL_MESSAGE = 8,
    /* Input: record. Output: plaintext. value0 output bytes, value1 counter, value2 kind,
     * value3 the counter expected next (with PF_STATUS_EARLY too). vCPU 0. */
    PF_COMMAND_OPEN_MESSAGE = 9,

    /* arg0 epoch (must be the current one), flags PF_TOKEN_F_START. Output: record. Opens the
     * next epoch. value0 record bytes, value1 counter. PF_STATUS_BUSY while another vCPU
     * exports. START: PF_STATUS_INCOMPLETE unless every page of every block has been exported,
     * and nothing can be exported afterwards. vCPU 0. */
    PF_COMMAND_TOKEN_MAKE = 10,
    /* Input: record. value0 epoch, value1 flags (PF_TOKEN_F_START), value2 counter.
     * PF_STATUS_EARLY: records are missing, value3 how many; ask again. vCPU 0. */
    PF_COMMAND_TOKEN_CHECK = 11,

    /*
     * arg0 enum pf_digest_step. BEGIN (vCPU 0), then ADD on any vCPU with runs as input
     * (ascending; a 1 MiB-aligned chunk must not be split over two ADDs; pages of a block that
     * are not listed, and runs marked zero, count as zero pages and are not read), then FINISH
     * (vCPU 0): output 32 bytes, equal on both sides of a session for equal RAM.
     */
    PF_COMMAND_DIGEST = 12,

    /* Wipes keys, secrets, session, block table and bitmaps; state FRESH. vCPU 0. */
    PF_COMMAND_RESET = 13,

    /*
     * arg0 enum pf_crypto_check; known-answer tests of the primitives on caller-given values.
     * State FRESH only. Input and output: see enum pf_crypto_check.
     */
    PF_COMMAND_CRYPTO_CHECK = 14,

    /* Test image only: arg0 enum pf_test_fault, arg1 an address. */
    PF_COMMAND_TEST_FAULT = 0x7f,
};

#define PF_BLOCK_F_BLANK 1u
#define PF_TOKEN_F_START 1u

enum pf_handshake_step {
    PF_HANDSHAKE_INITIATE = 1, /* source: context -> message 1 */
    PF_HANDSHAKE_RESPOND = 2,  /* destination: context, message 1 -> message 2 */
    PF_HANDSHAKE_FINISH = 3,   /* source: message 2 -> message 3, ESTABLISHED */
    PF_HANDSHAKE_CONFIRM = 4,  /* destination: message 3 -> nothing, ESTABLISHED */
};

enum pf_digest_step {
    PF_DIGEST_BEGIN = 1,
    PF_DIGEST_ADD = 2,
    PF_DIGEST_FINISH = 3,
};

enum pf_crypto_check {
    /* arg1 iv, arg2 aad, arg3 text, arg4 tag bytes. Input: key (32), iv, aad, plaintext.
     * Output: ciphertext, tag. */
    PF_CRYPTO_GCM_SEAL = 1,
    /* Input: key (32), iv, aad, ciphertext, tag. Output: plaintext; PF_STATUS_TAG. */
    PF_CRYPTO_GCM_OPEN = 2,
    /* arg1 salt, arg2 key material, arg3 info, arg4 output bytes. Input: the three. */
    PF_CRYPTO_HKDF = 3,
    /* Input: scalar (32), point (32). Output: 32 bytes; PF_STATUS_POINT for a small-order one. */
    PF_CRYPTO_X25519 = 4,
};

enum pf_test_fault {
    PF_FAULT_MISALIGNED_VECTOR = 1, /* movaps from an odd address: #GP(0) that is no HLT */
    PF_FAULT_UNDEFINED = 2,
    PF_FAULT_DIVIDE = 3,
    PF_FAULT_BREAKPOINT = 4,
    PF_FAULT_READ = 5,        /* of virtual address arg1 */
    PF_FAULT_WRITE = 6,       /* to virtual address arg1 */
    PF_FAULT_VECTOR_READ = 7, /* 32-byte read of virtual address arg1 */
    PF_FAULT_PORT = 8,        /* out to port 0x80: #GP in ring 3 */
    PF_FAULT_OTHER_HALT = 9,  /* an HLT at another address */
    PF_FAULT_ENDLESS = 10,    /* never returns */
    PF_FAULT_EXECUTE = 11,    /* jump to virtual address arg1 */
};

enum pf_status {
    PF_STATUS_OK = 0,

    /* The request is wrong; nothing has changed. */
    PF_STATUS_CHAIN = 1,
    PF_STATUS_COMMAND = 2, /* unknown command */
    /* detail: index of the argument, 6 flags, 7 reserved, or 100 + enum pf_record_field for the
     * input: BYTES its size, LIST_BYTES its runs' order, PAGES and DATA_PAGES their sums. */
    PF_STATUS_ARGUMENT = 3,
    PF_STATUS_STATE = 4,       /* not in this state or role; detail: enum pf_state */
    PF_STATUS_VCPU = 5,        /* not on this vCPU */
    PF_STATUS_OUTPUT_SIZE = 6, /* value0: bytes needed */
    PF_STATUS_BLOCK = 7,       /* a page outside every block; value0: the page */
    PF_STATUS_PAGE_TWICE = 8,  /* a page already exported in this epoch; value0: the page */
    PF_STATUS_EPOCH = 9,       /* not the current epoch; value0: the current one */
    PF_STATUS_EPOCH_OPEN = 10,
    /* BLOCK_*, SECRET_SET, HANDSHAKE, TOKEN_MAKE, DIGEST (BEGIN, FINISH) and RESET need the
     * device to themselves; another vCPU was at work. Ask again. */
    PF_STATUS_BUSY = 11,
    PF_STATUS_INCOMPLETE = 12, /* value0: pages never exported */
    PF_STATUS_CAPACITY = 13,   /* blocks, ram_addr_t limit, or an overlap */
    PF_STATUS_COUNTER = 14,    /* counter exhausted: rekey or end the session */
    PF_STATUS_RANDOM = 15,     /* no randomness from the CPU */

    /* A record or message that is not authentic, or not for us; nothing has changed. */
    PF_STATUS_RECORD = 32, /* malformed; detail: enum pf_record_field */
    PF_STATUS_TAG = 33,
    PF_STATUS_SESSION = 34,   /* of another session, direction, stream or generation; detail */
    PF_STATUS_HANDSHAKE = 35, /* malformed handshake message; detail: byte offset */
    PF_STATUS_SECRET = 36,    /* key confirmation failed: another secret or a changed message */
    PF_STATUS_POINT = 37,     /* X25519 result is zero (RFC 7748, 6.1) */

    /* Authentic, and nothing to do now. */
    PF_STATUS_DUPLICATE = 64,
    PF_STATUS_EARLY = 65,

    /*
     * An authenticated violation (DESIGN 7): the session is over for good, state FAILED; detail:
     * enum pf_violation, value0: the page, epoch or counter concerned. Every later command but
     * HELLO and RESET answers the same.
     */
    PF_STATUS_VIOLATION = 96,
};

enum pf_violation {
    PF_VIOLATION_EPOCH = 1,        /* a page record of another epoch than the current one */
    PF_VIOLATION_PAGE_TWICE = 2,   /* a page twice in one epoch */
    PF_VIOLATION_BLOCK = 3,        /* a page outside every block */
    PF_VIOLATION_LIST = 4,         /* page list not ascending, or its counts wrong */
    PF_VIOLATION_CONTENT = 5,      /* does not decode to plain_bytes, or bad padding */
    PF_VIOLATION_WINDOW = 6,       /* counter beyond PF_STREAM_WINDOW */
    PF_VIOLATION_TOKEN = 7,        /* token's epoch, counts or streams contradict the records */
    PF_VIOLATION_LAYOUT = 8,       /* token's block table is not ours */
    PF_VIOLATION_INCOMPLETE = 9,   /* start token, and some page never came; value0: the page */
    PF_VIOLATION_AFTER_START = 10, /* a page record after the start token */
};

/* What PF_STATUS_RECORD's detail names, in header order. */
enum pf_record_field {
    PF_FIELD_BYTES = 1, /* shorter than a header, or not the sum of its parts */
    PF_FIELD_MAGIC = 2,
    PF_FIELD_VERSION = 3,
    PF_FIELD_KIND = 4,
    PF_FIELD_DIRECTION = 5,
    PF_FIELD_CODEC = 6,
    PF_FIELD_SESSION = 7,
    PF_FIELD_STREAM = 8,
    PF_FIELD_GENERATION = 9,
    PF_FIELD_COUNTER = 10,
    PF_FIELD_EPOCH = 11,
    PF_FIELD_LIST_BYTES = 12,
    PF_FIELD_PAGES = 13,
    PF_FIELD_DATA_PAGES = 14,
    PF_FIELD_SEALED_BYTES = 15,
    PF_FIELD_PLAIN_BYTES = 16,
    PF_FIELD_FLAGS = 17,
    PF_FIELD_RESERVED = 18,
};

enum pf_state {
    PF_STATE_FRESH = 0,
    PF_STATE_SECRET = 1,      /* secret given */
    PF_STATE_HANDSHAKE = 2,   /* first message made or answered */
    PF_STATE_SOURCE = 3,      /* ESTABLISHED as source */
    PF_STATE_DESTINATION = 4, /* ESTABLISHED as destination */
    PF_STATE_STARTED = 5,     /* start token made or accepted: RAM is complete */
    PF_STATE_FAILED = 6,
};

struct pf_request {
    uint32_t command;
    uint32_t flags;
    uint64_t arg[6];
    uint64_t reserved; /* zero */
};

struct pf_response {
    uint32_t status;
    uint32_t detail;
    uint64_t value[7];
};

/* Output of HELLO. */
struct pf_hello {
    uint32_t abi_version;
    uint32_t state;
    uint32_t vcpu;
    uint32_t vcpus;
    uint32_t aes_variant; /* the one chosen */
    uint32_t codecs;      /* bit n: enum pf_codec n */
    uint64_t ram_limit;
    uint64_t epoch;
    uint64_t records_sealed; /* page records, this vCPU's stream */
    uint64_t records_opened; /* page records, all streams */
    uint8_t session[16];     /* zero before the handshake */
    uint32_t image_flags;
    uint32_t violation; /* enum pf_violation when FAILED */
};

_Static_assert(sizeof(struct pf_request) == 64, "request");
_Static_assert(sizeof(struct pf_response) == 64, "response");
_Static_assert(sizeof(struct pf_hello) == 80, "hello");

#endif
