/*
 * What: the block table: which pages exist and where this process sees them.
 * Who: changed with the gate exclusive, read by everybody inside the gate.
 */
#ifndef PAGEFERRY_HELPER_BLOCKS_H
#define PAGEFERRY_HELPER_BLOCKS_H

#include "state.h"

/* Epochs count from here on both sides. */
#define PF_EPOCH_FIRST 1u

/*
 * How many of the pages [page, page + count) lie together in the block that holds page; *memory
 * is where the first one is. 0: in no block.
 */
uint64_t pf_blocks_segment(const struct pf_device *device, uint64_t page, uint64_t count,
                           uint8_t **memory);
/* PF_NO_PAGE when all pages of the runs lie in blocks, otherwise the first that does not. */
uint64_t pf_blocks_check(const struct pf_device *device, const uint64_t *runs, uint32_t count);
/* First page never exported or imported, or PF_NO_PAGE; *missing is how many there are. */
uint64_t pf_blocks_missing(const struct pf_device *device, uint64_t *missing);
/* The layout digest of abi/record.h. */
void pf_blocks_layout(const struct pf_device *device, uint8_t layout[PF_HASH_BYTES]);
/* A new epoch: no page of it has been seen. */
void pf_blocks_begin_epoch(struct pf_device *device);
/* No blocks, no bits. */
void pf_blocks_clear(struct pf_device *device);

#endif
