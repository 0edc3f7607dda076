/*
 * What: runs of pages, bitmaps with a bit per page, and looking for zero pages.
 */
#ifndef PAGEFERRY_HELPER_PAGES_H
#define PAGEFERRY_HELPER_PAGES_H

#include <stdbool.h>
#include <stdint.h>
#include "../abi/record.h"

#define PF_NO_PAGE UINT64_MAX

struct pf_run {
    uint64_t first;
    uint64_t count;
    bool zero;
};

static inline struct pf_run pf_run_unpack(uint64_t packed)
{
    return (struct pf_run){
        .first = packed & PF_RUN_FIRST_MASK,
        .count = (packed >> PF_RUN_COUNT_SHIFT & (PF_RUN_PAGES_MAX - 1)) + 1,
        .zero = (packed & PF_RUN_ZERO) != 0,
    };
}

static inline uint64_t pf_run_pack(uint64_t first, uint64_t count, bool zero)
{
    return first | (count - 1) << PF_RUN_COUNT_SHIFT | (zero ? PF_RUN_ZERO : 0);
}

struct pf_run_totals {
    uint64_t pages;
    uint64_t data_pages;
};

/* Sums up; false when the runs do not ascend or overlap. */
bool pf_runs_check(const uint64_t *runs, uint32_t count, struct pf_run_totals *totals);

/*
 * Sets the bits of all runs. When one was set already: takes back what it set, tells the page
 * and returns false.
 */
bool pf_runs_claim(uint64_t *bitmap, const uint64_t *runs, uint32_t count, uint64_t *page);

/* All of these are atomic per word; several vCPUs share words. */
bool pf_bits_claim(uint64_t *bitmap, uint64_t first, uint64_t count, uint64_t *taken);
void pf_bits_set(uint64_t *bitmap, uint64_t first, uint64_t count);
void pf_bits_clear(uint64_t *bitmap, uint64_t first, uint64_t count);
/* Clears one word's share of the range starting at *first, moves *first on, returns what was
 * set; bit n of the answer is page (*first before) / 64 * 64 + n. */
uint64_t pf_bits_take_word(uint64_t *bitmap, uint64_t *first, uint64_t end);
/* First clear bit in the range, or PF_NO_PAGE; *clear is how many there are. */
uint64_t pf_bits_find_clear(const uint64_t *bitmap, uint64_t first, uint64_t count,
                            uint64_t *clear);

bool pf_page_is_zero(const uint8_t *page);

#endif
