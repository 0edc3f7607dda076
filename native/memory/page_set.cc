// Pages still to be looked at. See page_set.h.
#include "page_set.h"

#include <algorithm>
#include <string>

#include "../abi/record.h"
#include "../kvm/error.h"

namespace pageferry
{

namespace
{

constexpr uint64_t chunk_pages = 256;

uint64_t checked_size(uint64_t pages)
{
    if (pages == 0 || pages > PF_RAM_LIMIT_BYTES_MAX >> PF_PAGE_SHIFT)
        throw InvalidError("a page set cannot hold " + std::to_string(pages) + " pages");
    return pages;
}

uint64_t encode(uint64_t first, uint64_t count, bool hole)
{
    return first | (count - 1) << PF_RUN_COUNT_SHIFT | (hole ? PF_RUN_ZERO : 0);
}

// Bits from..from + count - 1 of one word.
uint64_t mask(uint64_t from, uint64_t count)
{
    return (count == 64 ? ~0ull : (1ull << count) - 1) << from;
}

// Calls each(word, mask) for the words that [first, first + count) touches.
template <typename Each>
void for_words(uint64_t first, uint64_t count, Each each)
{
    while (count > 0) {
        uint64_t bit = first % 64;
        uint64_t piece = std::min(count, 64 - bit);

        each(static_cast<size_t>(first / 64), mask(bit, piece));
        first += piece;
        count -= piece;
    }
}

} // namespace

PageSet::PageSet(uint64_t pages)
    : pages_(checked_size(pages)), data_((pages + 63) / 64), holes_((pages + 63) / 64)
{
    cursor_ = data_.size();
}

void PageSet::check(uint64_t first, uint64_t count) const
{
    if (first > pages_ || count > pages_ - first)
        throw InvalidError("pages beyond the end of the page set");
}

void PageSet::add_word(size_t word, uint64_t bits)
{
    uint64_t were_holes = holes_[word] & bits;

    count_ += static_cast<uint64_t>(__builtin_popcountll(bits & ~data_[word]));
    hole_count_ -= static_cast<uint64_t>(__builtin_popcountll(were_holes));
    data_[word] |= bits;
    holes_[word] &= ~were_holes;
    cursor_ = std::min(cursor_, word);
}

void PageSet::add_hole_word(size_t word, uint64_t bits)
{
    uint64_t added = bits & ~data_[word] & ~holes_[word];

    hole_count_ += static_cast<uint64_t>(__builtin_popcountll(added));
    holes_[word] |= added;
    cursor_ = std::min(cursor_, word);
}

void PageSet::add_range(uint64_t first, uint64_t count)
{
    check(first, count);
    for_words(first, count, [this](size_t word, uint64_t bits) { add_word(word, bits); });
}

void PageSet::add_hole_range(uint64_t first, uint64_t count)
{
    check(first, count);
    for_words(first, count, [this](size_t word, uint64_t bits) { add_hole_word(word, bits); });
}

void PageSet::add_memory(const GuestMemory &memory, uint64_t memory_offset, uint64_t first_page,
                         uint64_t pages)
{
    check(first_page, pages);
    uint64_t bytes = pages << PF_PAGE_SHIFT;
    if (memory_offset % PF_PAGE_BYTES != 0 || memory_offset > memory.bytes() ||
        bytes > memory.bytes() - memory_offset)
        throw InvalidError("pages beyond the end of the guest memory");
    auto found = [&](uint64_t offset, uint64_t length, bool has_data) {
        uint64_t from = (offset - memory_offset) >> PF_PAGE_SHIFT;
        uint64_t to = (offset - memory_offset + length + PF_PAGE_BYTES - 1) >> PF_PAGE_SHIFT;

        if (has_data)
            add_range(first_page + from, to - from);
        else
            add_hole_range(first_page + from, to - from);
    };
    memory.extents(memory_offset, bytes, found);
}

void PageSet::merge(uint64_t first_page, const uint64_t *bits, uint64_t pages)
{
    check(first_page, pages);
    uint64_t shift = first_page % 64;
    size_t target = first_page / 64;

    for (uint64_t done = 0; done < pages; done += 64, target++) {
        uint64_t word = bits[done / 64] & mask(0, std::min<uint64_t>(64, pages - done));

        if (word == 0)
            continue;
        if (word << shift != 0)
            add_word(target, word << shift);
        if (shift != 0 && word >> (64 - shift) != 0)
            add_word(target + 1, word >> (64 - shift));
    }
}

void PageSet::clear()
{
    std::fill(data_.begin(), data_.end(), 0);
    std::fill(holes_.begin(), holes_.end(), 0);
    count_ = 0;
    hole_count_ = 0;
    cursor_ = data_.size();
}

void PageSet::remove(uint64_t first, uint64_t count, bool hole)
{
    std::vector<uint64_t> &bitmap = hole ? holes_ : data_;

    for_words(first, count, [&](size_t word, uint64_t bits) { bitmap[word] &= ~bits; });
    (hole ? hole_count_ : count_) -= count;
}

uint64_t PageSet::next(uint64_t from) const
{
    uint64_t keep = ~0ull << (from % 64);

    for (size_t word = from / 64; word < data_.size(); word++, keep = ~0ull) {
        uint64_t bits = (data_[word] | holes_[word]) & keep;

        if (bits != 0)
            return word * 64 + static_cast<uint64_t>(__builtin_ctzll(bits));
    }
    return pages_;
}

uint64_t PageSet::run_end(const std::vector<uint64_t> &bitmap, uint64_t from, uint64_t limit) const
{
    uint64_t keep = ~0ull << (from % 64);

    for (size_t word = from / 64; word * 64 < limit; word++, keep = ~0ull) {
        uint64_t clear_bits = ~bitmap[word] & keep;

        if (clear_bits != 0)
            return std::min(limit, word * 64 + static_cast<uint64_t>(__builtin_ctzll(clear_bits)));
    }
    return limit;
}

uint32_t PageSet::fill(uint64_t *runs, uint32_t max_data_pages, uint32_t max_runs)
{
    uint32_t used = 0;
    uint64_t page = cursor_ * 64;

    last_data_pages_ = 0;
    last_pages_ = 0;
    while (used < max_runs && last_pages_ < PF_RECORD_PAGES_MAX) {
        page = next(page);
        if (page == pages_)
            break;
        bool hole = is_hole(page);
        uint64_t room = std::min<uint64_t>(PF_RECORD_PAGES_MAX - last_pages_, PF_RUN_PAGES_MAX);
        if (!hole)
            room = std::min(room, max_data_pages - last_data_pages_);
        if (room == 0)
            break;
        uint64_t limit = std::min(pages_, page + room);
        uint64_t count = run_end(hole ? holes_ : data_, page, limit) - page;
        remove(page, count, hole);
        runs[used++] = encode(page, count, hole);
        last_pages_ += count;
        if (!hole)
            last_data_pages_ += count;
        page += count;
    }
    cursor_ = page / 64;
    return used;
}

uint32_t PageSet::fill_chunks(uint64_t *runs, uint32_t max_data_pages, uint32_t max_runs)
{
    if (max_data_pages < chunk_pages || max_runs < chunk_pages / 2)
        throw InvalidError("no room for a whole chunk of pages");
    uint64_t max_pages = std::min<uint64_t>(max_data_pages, PF_RECORD_PAGES_MAX);
    uint64_t taken = 0;
    uint32_t used = 0;
    uint64_t page = cursor_ * 64;

    while ((page = next(page)) < pages_) {
        if (is_hole(page)) {
            uint64_t end = run_end(holes_, page, pages_);
            remove(page, end - page, true);
            page = end;
            continue;
        }
        // Try the chunk from here on: all below is taken or was never in the set.
        uint64_t chunk_end = std::min(pages_, (page / chunk_pages + 1) * chunk_pages);
        uint32_t runs_before = used;
        uint64_t chunk_taken = 0;
        bool fits = true;
        for (uint64_t at = page; fits && (at = next(at)) < chunk_end;) {
            bool hole = is_hole(at);
            uint64_t end = run_end(hole ? holes_ : data_, at, chunk_end);
            if (!hole) {
                fits = used < max_runs && taken + chunk_taken + (end - at) <= max_pages;
                if (fits)
                    runs[used++] = encode(at, end - at, false);
                chunk_taken += end - at;
            }
            at = end;
        }
        if (!fits) {
            used = runs_before;
            break;
        }
        for (uint32_t run = runs_before; run < used; run++) {
            uint64_t count = (runs[run] >> PF_RUN_COUNT_SHIFT) + 1;
            remove(runs[run] & PF_RUN_FIRST_MASK, count, false);
        }
        taken += chunk_taken;
    }
    last_data_pages_ = taken;
    last_pages_ = taken;
    cursor_ = page / 64;
    // Neighbours across a chunk's border become one run.
    uint32_t merged = 0;
    for (uint32_t run = 1; run < used; run++) {
        uint64_t first = runs[merged] & PF_RUN_FIRST_MASK;
        uint64_t count = (runs[merged] >> PF_RUN_COUNT_SHIFT) + 1;
        uint64_t added = (runs[run] >> PF_RUN_COUNT_SHIFT) + 1;

        if (first + count == (runs[run] & PF_RUN_FIRST_MASK) && count + added <= PF_RUN_PAGES_MAX)
            runs[merged] = encode(first, count + added, false);
        else
            runs[++merged] = runs[run];
    }
    return used == 0 ? 0 : merged + 1;
}

} // namespace pageferry
