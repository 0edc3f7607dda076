/*
 * What: the helper as its surroundings see it: the start stub's C entry in the mirror image, the
 * in-process engine in the addon (PF_HOSTED).
 * Who: one device per mirror; its state lies in the arena of the boot block. pf_device_create and
 * pf_device_destroy run alone; pf_device_run runs on one thread per vCPU, at the same time.
 */
#ifndef PAGEFERRY_HELPER_DEVICE_H
#define PAGEFERRY_HELPER_DEVICE_H

#include <stdint.h>
#include "../abi/boot.h"

#ifdef __cplusplus
extern "C" {
#endif

struct pf_device;

/*
 * Lays out the arena and picks the AES variant. Copies what it needs from boot.
 * Returns NULL when the boot block contradicts the ABI (version, sizes, alignment).
 */
struct pf_device *pf_device_create(const struct pf_boot *boot);

/* Takes chains off the vCPU's ring until the avail ring is empty (re-checked before return). */
void pf_device_run(struct pf_device *device, uint32_t vcpu);

#ifdef PF_HOSTED
/*
 * In-process engine only: where the host has mapped a block. Called before BLOCK_SET with the
 * same id and after BLOCK_REMOVE (host == NULL), while no vCPU runs. The ring never carries host
 * addresses. In the mirror image a page's address is its ram_addr_t.
 * A block in the table whose memory goes, or gets shorter than the table says, points to
 * PF_UNMAPPED_BASE + ram_addr_t until it is mapped again: an access faults there, as one outside
 * the slots does in a mirror VM.
 */
/* The kernel's half of the address space (Intel SDM 3A, 3.3.7.1): never mapped for a process. */
#define PF_UNMAPPED_BASE 0xffff800000000000ull
void pf_device_map_block(struct pf_device *device, uint32_t id, void *host, uint64_t bytes);

/* Wipes secrets and frees what create took outside the arena (nothing, today). */
void pf_device_destroy(struct pf_device *device);
#endif

#ifdef __cplusplus
}
#endif

#endif
