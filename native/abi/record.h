/*
 * What: the sealed record, the unit that leaves the mirror: header, page list, ciphertext, tag.
 * docs/record-format.md describes it for other implementations; the two must agree.
 *
 *   +--------------------+----------------------+---------------------+---------+
 *   | header, 80 bytes   | page list, 8 x runs  | ciphertext          | tag, 16 |
 *   +--------------------+----------------------+---------------------+---------+
 *    \_______ additional authenticated data ____/
 *
 * AES-256-GCM; nonce = counter (le64) followed by four zero bytes; the key is specific to
 * direction, class, stream and key generation. All integers are little-endian.
 */
#ifndef PAGEFERRY_ABI_RECORD_H
#define PAGEFERRY_ABI_RECORD_H

#include <stdint.h>
#include "limits.h"

#define PF_RECORD_MAGIC 0x31524650u /* "PFR1" read as le32 */
#define PF_RECORD_VERSION 1u

enum pf_record_kind {
    PF_KIND_PAGES = 1,
    PF_KIND_CONTROL = 2,
    PF_KIND_DEVICE_STATE = 3,
    PF_KIND_TOKEN = 4,
    PF_KIND_LANE = 5,
};

/*
 * Kinds fall into classes; each class has its own key and counter per direction and stream.
 *   pages    any order inside PF_STREAM_WINDOW; one stream per source vCPU
 *   message  control and device state, strictly in counter order, stream 0
 *   token    strictly in counter order, stream 0
 *   lane     any order inside PF_STREAM_WINDOW, never resent, stream 0
 */
enum pf_record_class {
    PF_CLASS_PAGES = 1,
    PF_CLASS_MESSAGE = 2,
    PF_CLASS_TOKEN = 3,
    PF_CLASS_LANE = 4,
};

enum pf_direction {
    PF_DIRECTION_TO_DESTINATION = 0,
    PF_DIRECTION_TO_SOURCE = 1,
};

enum pf_codec {
    PF_CODEC_NONE = 0,
    PF_CODEC_LZ4 = 1,  /* one LZ4 block over all data pages of the record */
    PF_CODEC_ZSTD = 2, /* one zstd frame over all data pages of the record */
};

/*
 * The ciphertext's plaintext starts with struct pf_padding and is zero-filled to the granule;
 * header.codec then names what was asked for, pf_padding.codec what was used.
 */
#define PF_RECORD_F_PADDED 1u
/* On a token: the start token (DESIGN 7). */
#define PF_RECORD_F_START 2u

struct pf_record_header {
    uint32_t magic;
    uint8_t version;
    uint8_t kind;
    uint8_t direction;
    uint8_t codec;
    uint8_t session[16];
    uint32_t stream;
    uint32_t generation;   /* key generation, 0 until rekeying */
    uint64_t counter;      /* first record of a key is 1 */
    uint64_t epoch;        /* pages and tokens; 0 otherwise */
    uint32_t list_bytes;   /* 8 x runs */
    uint32_t pages;        /* all pages of the list */
    uint32_t data_pages;   /* pages with content */
    uint32_t sealed_bytes; /* ciphertext, without the tag */
    uint32_t plain_bytes;  /* data_pages x 4096, or the message's size */
    uint32_t flags;
    uint64_t reserved; /* zero */
};

/* First bytes of the plaintext of a padded record. */
struct pf_padding {
    uint32_t encoded_bytes;
    uint8_t codec;
    uint8_t reserved[3]; /* zero */
};

/*
 * A run of pages in a page list (and in EXPORT and DIGEST requests):
 *   bits 0..43   first page: ram_addr_t >> 12
 *   bits 44..62  number of pages - 1
 *   bit  63      zero: the pages carry no bytes (in a request: the host says they are holes,
 *                do not touch them)
 * Runs ascend and do not overlap; data pages lie in the plaintext in list order.
 */
#define PF_RUN_ZERO (1ull << 63)
#define PF_RUN_COUNT_SHIFT 44u
#define PF_RUN_PAGES_MAX (1u << 19)
#define PF_RUN_FIRST_MASK ((1ull << PF_RUN_COUNT_SHIFT) - 1)

#define PF_RECORD_HEADER_BYTES 80u
#define PF_RECORD_TAG_BYTES 16u
#define PF_RECORD_LIST_BYTES_MAX (8u * PF_RECORD_RUNS_MAX)
/* 1 MiB and the padding prefix, rounded up to the largest granule. */
#define PF_RECORD_SEALED_BYTES_MAX \
    (PF_RECORD_DATA_PAGES_MAX * PF_PAGE_BYTES + PF_PAD_GRANULE_BYTES_MAX)
#define PF_RECORD_BYTES_MAX \
    (PF_RECORD_HEADER_BYTES + PF_RECORD_LIST_BYTES_MAX + PF_RECORD_SEALED_BYTES_MAX + \
     PF_RECORD_TAG_BYTES)

/*
 * Plaintext of a token. Counts are totals since the start of the session. The first epoch is 1.
 * layout = SHA-256(le32 count || per block, in ascending ram_addr_t:
 *                  le32 id || le32 0 || le64 first ram_addr_t || le64 bytes)
 */
struct pf_token {
    uint32_t streams; /* entries of counts in use */
    uint32_t flags;   /* PF_RECORD_F_START or 0, as in the header */
    uint64_t epoch;
    uint8_t layout[32];            /* SHA-256 of the block table */
    uint64_t counts[PF_VCPUS_MAX]; /* page records sealed in each stream */
};

_Static_assert(sizeof(struct pf_record_header) == PF_RECORD_HEADER_BYTES, "record header");
_Static_assert(sizeof(struct pf_padding) == 8, "padding prefix");
_Static_assert(sizeof(struct pf_token) == 48 + 8 * PF_VCPUS_MAX, "token");
_Static_assert(PF_MESSAGE_BYTES_MAX <= PF_RECORD_SEALED_BYTES_MAX, "a message fits a record");

#endif
