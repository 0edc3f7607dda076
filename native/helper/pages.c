/*
 * What: see pages.h. Bitmaps are walked a word at a time: a run may cover 2^19 pages.
 */
#include "pages.h"

bool pf_runs_check(const uint64_t *runs, uint32_t count, struct pf_run_totals *totals)
{
    uint64_t next = 0;

    totals->pages = 0;
    totals->data_pages = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct pf_run run = pf_run_unpack(runs[i]);

        if (run.first < next)
            return false;
        next = run.first + run.count; /* below 2^45 */
        totals->pages += run.count;
        totals->data_pages += run.zero ? 0 : run.count;
    }
    return true;
}

/* The bits of [first, end) that lie in first's word. */
static uint64_t word_mask(uint64_t first, uint64_t end, uint64_t *next)
{
    uint64_t bit = first % 64, bits = 64 - bit;

    if (bits > end - first)
        bits = end - first;
    *next = first + bits;
    return (bits == 64 ? ~0ull : (1ull << bits) - 1) << bit;
}

bool pf_bits_claim(uint64_t *bitmap, uint64_t first, uint64_t count, uint64_t *taken)
{
    uint64_t end = first + count, next;

    for (uint64_t at = first; at < end; at = next) {
        uint64_t mask = word_mask(at, end, &next);
        uint64_t old = __atomic_fetch_or(&bitmap[at / 64], mask, __ATOMIC_ACQ_REL) & mask;

        if (old != 0) {
            __atomic_fetch_and(&bitmap[at / 64], ~(mask & ~old), __ATOMIC_ACQ_REL);
            *taken = at / 64 * 64 + (uint64_t)__builtin_ctzll(old);
            pf_bits_clear(bitmap, first, at - first);
            return false;
        }
    }
    return true;
}

void pf_bits_set(uint64_t *bitmap, uint64_t first, uint64_t count)
{
    uint64_t end = first + count, next;

    for (uint64_t at = first; at < end; at = next) {
        uint64_t mask = word_mask(at, end, &next);

        /* Mostly set already; a plain load is far cheaper than a locked operation. */
        if ((__atomic_load_n(&bitmap[at / 64], __ATOMIC_RELAXED) & mask) != mask)
            __atomic_fetch_or(&bitmap[at / 64], mask, __ATOMIC_RELAXED);
    }
}

uint64_t pf_bits_take_word(uint64_t *bitmap, uint64_t *first, uint64_t end)
{
    uint64_t next, mask = word_mask(*first, end, &next);
    uint64_t *word = &bitmap[*first / 64];

    *first = next;
    /* Reading does not allocate a page of a bitmap that was never written. */
    if ((__atomic_load_n(word, __ATOMIC_RELAXED) & mask) == 0)
        return 0;
    return __atomic_fetch_and(word, ~mask, __ATOMIC_ACQ_REL) & mask;
}

void pf_bits_clear(uint64_t *bitmap, uint64_t first, uint64_t count)
{
    uint64_t end = first + count;

    while (first < end)
        (void)pf_bits_take_word(bitmap, &first, end);
}

/* Not the builtin: without the instruction it is a call into libgcc, which the image lacks. */
static uint64_t count_bits(uint64_t word)
{
    word -= word >> 1 & 0x5555555555555555ull;
    word = (word & 0x3333333333333333ull) + (word >> 2 & 0x3333333333333333ull);
    word = (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0full;
    return word * 0x0101010101010101ull >> 56;
}

uint64_t pf_bits_find_clear(const uint64_t *bitmap, uint64_t first, uint64_t count, uint64_t *clear)
{
    uint64_t end = first + count, next, found = PF_NO_PAGE;

    *clear = 0;
    for (uint64_t at = first; at < end; at = next) {
        uint64_t mask = word_mask(at, end, &next);
        uint64_t missing = ~__atomic_load_n(&bitmap[at / 64], __ATOMIC_RELAXED) & mask;

        if (missing != 0 && found == PF_NO_PAGE)
            found = at / 64 * 64 + (uint64_t)__builtin_ctzll(missing);
        *clear += count_bits(missing);
    }
    return found;
}

bool pf_runs_claim(uint64_t *bitmap, const uint64_t *runs, uint32_t count, uint64_t *page)
{
    for (uint32_t i = 0; i < count; i++) {
        struct pf_run run = pf_run_unpack(runs[i]);

        if (pf_bits_claim(bitmap, run.first, run.count, page))
            continue;
        while (i-- > 0) {
            run = pf_run_unpack(runs[i]);
            pf_bits_clear(bitmap, run.first, run.count);
        }
        return false;
    }
    return true;
}

bool pf_page_is_zero(const uint8_t *page)
{
    const uint64_t *words = (const uint64_t *)(const void *)page;

    for (uint32_t i = 0; i < PF_PAGE_BYTES / 8; i += 8) {
        uint64_t any = words[i] | words[i + 1] | words[i + 2] | words[i + 3] | words[i + 4] |
                       words[i + 5] | words[i + 6] | words[i + 7];

        if (any != 0)
            return false;
    }
    return true;
}
