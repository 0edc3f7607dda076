/*
 * What: every limit that helper, addon and TypeScript share, with unit and reason.
 * Who: included by all sides; emit.c turns the constants into src/native/abi.generated.ts.
 * Rule: a length from outside is compared with one of these before anything is allocated.
 */
#ifndef PAGEFERRY_ABI_LIMITS_H
#define PAGEFERRY_ABI_LIMITS_H

#include <stdint.h>

#if defined(__cplusplus) && !defined(_Static_assert)
#define _Static_assert static_assert /* the headers are C11; C++17 spells it so */
#endif

/* Version of everything under native/abi; helper image and addon must agree exactly. */
#define PF_ABI_VERSION 1u

#define PF_PAGE_SHIFT 12u
#define PF_PAGE_BYTES 4096u

/*
 * Pages with content in one record: 256 x 4 KiB = 1 MiB. Larger records win nothing once the
 * kick (about 43 us on nested KVM) is below 10 % of the sealing time; smaller ones lose it.
 */
#define PF_RECORD_DATA_PAGES_MAX 256u
/* Pages in one record, zero pages included: 2^20 pages = 4 GiB of holes in one small record. */
#define PF_RECORD_PAGES_MAX (1u << 20)
/* Runs in a page list: worst case alternates data and zero, 256 of each; 512 x 8 B = 4 KiB. */
#define PF_RECORD_RUNS_MAX 512u
/* Padding granule, a power of two in this range, or 0 for no padding. */
#define PF_PAD_GRANULE_BYTES_MIN 4096u
#define PF_PAD_GRANULE_BYTES_MAX 65536u

/* Plaintext of one message (control, device state chunk, lane): 512 KiB. */
#define PF_MESSAGE_BYTES_MAX (512u * 1024u)

#define PF_RAM_BLOCKS_MAX 64u
#define PF_VCPUS_MAX 16u
/* Largest virtqueue; a power of two (virtio 1.2, 2.7). 256 x 1 MiB is far beyond any window. */
#define PF_RING_ENTRIES_MAX 256u
/* Descriptors in one chain: request, input, response, output. */
#define PF_CHAIN_MAX 4u

/*
 * How far ahead of the oldest missing record of a stream a record may be. The session keeps at
 * most PF_STREAM_WINDOW / 2 records of a stream unacknowledged, so an honest peer never meets it.
 */
#define PF_STREAM_WINDOW 4096u

/* The pre-shared secret: at least 32 random bytes, at most 1 KiB (HKDF takes any length). */
#define PF_SECRET_BYTES_MIN 32u
#define PF_SECRET_BYTES_MAX 1024u
/* Negotiated parameters that both sides bind into the handshake transcript. */
#define PF_CONTEXT_BYTES_MAX 1024u

/* Largest window: 1 GiB keeps every window offset in 32 bits. */
#define PF_WINDOW_BYTES_MAX (1ull << 30)
/* Largest ram_addr_t space: 512 GiB; see pf_address_space in boot.h for smaller CPUs. */
#define PF_RAM_LIMIT_BYTES_MAX (1ull << 39)

#endif
