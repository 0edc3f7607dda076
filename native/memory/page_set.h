/*
 * What: the set of guest pages still to be looked at, one bit per page for pages with data and
 * one for known holes (never both), handed out in ascending order as runs of abi/record.h.
 * Who: one thread at a time, the JavaScript one.
 */
#ifndef PAGEFERRY_MEMORY_PAGE_SET_H
#define PAGEFERRY_MEMORY_PAGE_SET_H

#include <cstddef>
#include <cstdint>
#include <vector>

#include "guest_memory.h"

namespace pageferry
{

class PageSet
{
public:
    // Throws InvalidError beyond PF_RAM_LIMIT_BYTES_MAX.
    explicit PageSet(uint64_t pages);

    // All of these throw InvalidError when a page lies beyond the set. Data wins over holes.
    void add_range(uint64_t first, uint64_t count);
    void add_hole_range(uint64_t first, uint64_t count);
    // Data extents become pages, holes become holes.
    void add_memory(const GuestMemory &memory, uint64_t memory_offset, uint64_t first_page,
                    uint64_t pages);
    // A dirty bitmap as KVM gives it: bit n of word n / 64 is page first_page + n.
    void merge(uint64_t first_page, const uint64_t *bits, uint64_t pages);
    void clear();

    uint64_t size() const { return pages_; }
    uint64_t count() const { return count_; }
    uint64_t holes() const { return hole_count_; }

    // Moves the lowest pages of the set into `runs`; returns the number of runs. Takes at most
    // PF_RECORD_PAGES_MAX pages, holes included.
    uint32_t fill(uint64_t *runs, uint32_t max_data_pages, uint32_t max_runs);
    // Data pages only, by whole chunks of 1 MiB; holes that are passed are dropped. There must
    // be room for any chunk: 256 pages and 128 runs.
    uint32_t fill_chunks(uint64_t *runs, uint32_t max_data_pages, uint32_t max_runs);
    // What the last call took.
    uint64_t last_data_pages() const { return last_data_pages_; }
    uint64_t last_pages() const { return last_pages_; }

private:
    void check(uint64_t first, uint64_t count) const;
    void add_word(size_t word, uint64_t bits);
    void add_hole_word(size_t word, uint64_t bits);
    void remove(uint64_t first, uint64_t count, bool hole);
    // First page at or after `from` that is in the set; pages_ when there is none.
    uint64_t next(uint64_t from) const;
    // First page at or after `from` that is not in `bitmap`, `limit` at most.
    uint64_t run_end(const std::vector<uint64_t> &bitmap, uint64_t from, uint64_t limit) const;
    bool is_hole(uint64_t page) const { return holes_[page / 64] >> (page % 64) & 1; }

    uint64_t pages_;
    std::vector<uint64_t> data_;
    std::vector<uint64_t> holes_;
    uint64_t count_ = 0;
    uint64_t hole_count_ = 0;
    size_t cursor_ = 0; // every word before it is empty
    uint64_t last_data_pages_ = 0;
    uint64_t last_pages_ = 0;
};

} // namespace pageferry

#endif
