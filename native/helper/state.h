/*
 * What: all state of a device. It lies in the arena, in this order: struct pf_device, the vCPUs'
 * working memory (struct pf_vcpu, PF_ARENA_VCPU_BYTES apart), the bitmaps.
 * Who: a struct pf_vcpu belongs to its thread alone; what is shared says which lock guards it.
 */
#ifndef PAGEFERRY_HELPER_STATE_H
#define PAGEFERRY_HELPER_STATE_H

#include "../abi/boot.h"
#include "../abi/command.h"
#include "../abi/handshake.h"
#include "../abi/record.h"
#include "../abi/ring.h"
#include "crypto.h"
#include "device.h"
#include "lock.h"
#include "stream.h"

#define PF_DEVICE_MAGIC 0x4543495645444650ull /* "PFDEVICE" */

/*
 * Ciphering and copying to or from the window take turns piece by piece, so that a piece is still
 * in the first or second level cache when the next step needs it.
 */
#define PF_PIECE_BYTES (64u * 1024u)

struct pf_block {
    uint64_t first_page;
    uint64_t pages;  /* 0: no block with this id */
    uint8_t *memory; /* where this process sees it */
};

/* In-process engine: where the host mapped a block, told before BLOCK_SET. */
struct pf_mapping {
    uint8_t *memory;
    uint64_t bytes;
};

struct pf_failure {
    uint32_t violation;
    uint64_t value;
};

/* From SECRET_SET to ESTABLISHED, then wiped. */
struct pf_handshake {
    uint8_t secret[PF_SECRET_BYTES_MAX];
    uint32_t secret_bytes;
    uint32_t role; /* the state to reach: PF_STATE_SOURCE or PF_STATE_DESTINATION */
    uint8_t private_key[32];
    br_sha256_context transcript; /* over label, context and message 1 */
    uint8_t confirmation[32];     /* destination: the MAC message 3 must carry */
};

struct pf_stream_seal {
    uint64_t counter;     /* last one used; atomic, written by the owning vCPU only */
    uint8_t separate[56]; /* one cache line per vCPU */
};

/* Indexed by enum pf_direction where there are two keys. */
struct pf_session {
    uint8_t id[16];
    uint32_t sends; /* enum pf_direction of what this side seals */
    uint32_t peer_streams;
    uint32_t peer_codecs;
    uint64_t message_sealed;
    uint64_t message_opened;
    uint64_t token_sealed;
    uint64_t token_opened;
    uint64_t lane_sealed;
    struct pf_replay lanes;
    pf_gcm_key pages_keys[PF_VCPUS_MAX]; /* to the destination, by stream */
    pf_gcm_key token_key;
    pf_gcm_key message_keys[2];
    pf_gcm_key lane_keys[2];
    pf_gcm_key digest_page_key;
    uint8_t digest_chunk_key[PF_KEY_BYTES];
    struct pf_stream_seal sealed[PF_VCPUS_MAX];
    struct pf_stream_window opened[PF_VCPUS_MAX]; /* guarded by lock */
};

struct pf_device {
    uint64_t magic;
    uint32_t vcpus;
    uint32_t ring_entries;
    uint32_t aes_variant;
    const struct pf_gcm *gcm;
    uint64_t ram_limit;
    uint64_t window_gpa;
    uint64_t window_bytes;
    uint8_t *window;
    uint8_t *vcpu_memory;

    uint32_t gate;
    uint32_t lock;  /* guards opened[], epoch on the destination, failure */
    uint32_t state; /* enum pf_state; atomic. Changed with the gate exclusive or under lock */
    uint32_t keys_present; /* atomic; a failure wipes the keys when the gate is free */
    uint32_t epoch_open;   /* atomic; pages of this epoch were exported or imported */
    uint64_t epoch;        /* atomic; changed with the gate exclusive (source) or under lock */
    struct pf_failure failure;

    uint32_t block_count;
    uint8_t block_order[PF_RAM_BLOCKS_MAX]; /* ids by ascending address */
    struct pf_block blocks[PF_RAM_BLOCKS_MAX];
    struct pf_mapping mappings[PF_RAM_BLOCKS_MAX];

    /* A bit per page, changed by atomic operations only; set inside blocks only. */
    uint64_t *in_epoch; /* exported or imported in this epoch */
    uint64_t *ever;     /* exported or imported in this session */
    uint64_t *content;  /* the page may be other than zero */
    uint64_t *chunks;   /* a bit per 1 MiB: in the digest already */

    uint32_t digest_active;
    struct pf_random random;
    struct pf_handshake handshake;
    struct pf_session session;
};

/* struct pf_vcpu.touched */
#define PF_TOUCHED_STAGING 1u
#define PF_TOUCHED_CODEC 2u

/* Text starts here in plain and encoded, so that a padding prefix fits in front of it. */
#define PF_TEXT_OFFSET 64u

/* One descriptor's buffer, checked against the window. */
struct pf_buffer {
    uint8_t *data;
    uint32_t bytes;
};

struct pf_vcpu {
    uint32_t number;
    uint16_t avail_cursor; /* chains taken so far, as the ring counts */
    uint16_t used_cursor;
    uint32_t broken;               /* see ring.h in abi: this ring is no longer served */
    uint32_t touched;              /* what RESET has to wipe */
    uint8_t digest[PF_HASH_BYTES]; /* XOR of the chunk MACs this vCPU made */

    pf_gcm_context gcm;
    uint64_t runs_in[PF_RECORD_RUNS_MAX];
    const uint8_t *pages[PF_RECORD_DATA_PAGES_MAX];
    /* Header and page list of the record at hand: its additional authenticated data. */
    union {
        struct pf_record_header header;
        uint8_t bytes[PF_RECORD_HEADER_BYTES + PF_RECORD_LIST_BYTES_MAX];
        struct {
            uint8_t skip[PF_RECORD_HEADER_BYTES];
            uint64_t runs[PF_RECORD_RUNS_MAX];
        } list;
    } record;
    uint8_t chunk_tags[8 + 256 * 16];
    /* Plain and encoded text; the slack takes headers, tags and the codecs' worst case. */
    _Alignas(64) uint8_t plain[PF_RECORD_SEALED_BYTES_MAX + 65536];
    _Alignas(64) uint8_t encoded[PF_RECORD_SEALED_BYTES_MAX + 65536];
    _Alignas(64) uint8_t codec_memory[];
};

#define PF_CODEC_MEMORY_BYTES (PF_ARENA_VCPU_BYTES - sizeof(struct pf_vcpu))

_Static_assert(sizeof(struct pf_device) <= PF_ARENA_SHARED_BYTES, "shared state fits its arena");
_Static_assert(sizeof(struct pf_vcpu) <= PF_ARENA_VCPU_BYTES / 4, "room for the codecs");

static inline struct pf_vcpu *pf_vcpu_of(struct pf_device *device, uint32_t vcpu)
{
    return (struct pf_vcpu *)(void *)(device->vcpu_memory + vcpu * PF_ARENA_VCPU_BYTES);
}

static inline uint32_t pf_state_of(const struct pf_device *device)
{
    return __atomic_load_n(&device->state, __ATOMIC_ACQUIRE);
}

static inline uint64_t pf_epoch_of(const struct pf_device *device)
{
    return __atomic_load_n(&device->epoch, __ATOMIC_ACQUIRE);
}

#endif
