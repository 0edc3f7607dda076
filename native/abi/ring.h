/*
 * What: the split virtqueue between host (driver) and helper (device), as in virtio 1.2, 2.7:
 * little-endian, no INDIRECT, no EVENT_IDX. Entering KVM_RUN is the kick (avail notification),
 * KVM_EXIT_HLT the used notification.
 * Memory: the queues lie at the start of the shared window, one per vCPU, PF_RING_STRIDE apart.
 * Addresses in descriptors are window guest-physical addresses, on both engines alike:
 * address = pf_boot.window_gpa + offset in the window. Buffers lie behind the queues of all vCPUs
 * (offset >= vcpus x PF_RING_STRIDE); the device refuses others, and empty ones.
 *
 * Both sides are hostile to each other: read a shared field once, validate, use the copy.
 */
#ifndef PAGEFERRY_ABI_RING_H
#define PAGEFERRY_ABI_RING_H

#include <stdint.h>
#include "limits.h"

#define PF_DESC_F_NEXT 1u
#define PF_DESC_F_WRITE 2u
#define PF_DESC_F_INDIRECT 4u /* always refused */

struct pf_desc {
    uint64_t address;
    uint32_t bytes;
    uint16_t flags;
    uint16_t next;
};

/* Avail ring: flags, idx, ring[entries]. idx is written by the driver with release order. */
struct pf_avail {
    uint16_t flags;
    uint16_t index;
    uint16_t ring[];
};

struct pf_used_element {
    uint32_t id;    /* head descriptor of the chain */
    uint32_t bytes; /* bytes written into the device-writable descriptors, clamped to them */
};

/*
 * In used.flags: the device found avail.index more than the ring's entries ahead of what it has
 * taken. It serves this ring no more while the mirror lives; KVM_RUN ends in HLT without used
 * entries. The driver tears the mirror down: both sides have lost count.
 */
#define PF_USED_F_BROKEN 0x8000u

/*
 * Used ring: flags, idx, ring[entries]. idx is written by the device with release order.
 * A head out of the table comes back as it was given, with used length 0.
 */
struct pf_used {
    uint16_t flags;
    uint16_t index;
    struct pf_used_element ring[];
};

/* Offsets in one queue, sized for PF_RING_ENTRIES_MAX; virtio alignment 16, 2 and 4. */
#define PF_RING_DESC_OFFSET 0u
#define PF_RING_AVAIL_OFFSET 4096u
#define PF_RING_USED_OFFSET 8192u
#define PF_RING_STRIDE 16384u

_Static_assert(sizeof(struct pf_desc) == 16, "virtio 1.2, 2.7.5");
_Static_assert(sizeof(struct pf_used_element) == 8, "virtio 1.2, 2.7.8");
_Static_assert(sizeof(struct pf_desc) * PF_RING_ENTRIES_MAX <= PF_RING_AVAIL_OFFSET, "table");
_Static_assert(PF_RING_AVAIL_OFFSET + 4 + 2 * PF_RING_ENTRIES_MAX <= PF_RING_USED_OFFSET, "avail");
_Static_assert(PF_RING_USED_OFFSET + 4 + 8 * PF_RING_ENTRIES_MAX <= PF_RING_STRIDE, "used");

#endif
