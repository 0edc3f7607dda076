// See walker.h.
#include "walker.h"

#include "check.h"

Walker::Walker(const pageferry::PageTables &tables, uint64_t encryption_mask)
    : root_(tables.root), mask_(encryption_mask)
{
    CHECK(tables.physical_address % 4096 == 0 && tables.entries.size() % 512 == 0);
    for (uint64_t i = 0; i < tables.entries.size(); i++) {
        if (tables.entries[i] != 0)
            memory_[tables.physical_address + 8 * i] = tables.entries[i];
    }
    // A table of nothing but zero is one all the same.
    memory_.emplace(tables.physical_address + 8 * tables.entries.size() - 8, 0);
}

uint64_t Walker::word(uint64_t physical) const
{
    CHECK(physical >= (root_ & ~mask_) && physical <= memory_.rbegin()->first);
    auto found = memory_.find(physical);
    return found == memory_.end() ? 0 : found->second;
}

std::optional<Found> Walker::walk(uint64_t address) const
{
    // Bits 63 to 47 are all alike in a canonical address.
    uint64_t top = address >> 47;
    if (top != 0 && top != 0x1ffff)
        return std::nullopt;

    const uint64_t index[] = {address >> 39 & 511, address >> 30 & 511, address >> 21 & 511,
                              address >> 12 & 511};
    const uint64_t bytes[] = {0, 1ull << 30, 1ull << 21, 1ull << 12};
    Found found = {0, 0, true, true, true, false};
    CHECK((mask_ == 0 || (root_ & mask_) != 0) && (root_ & 0xfff) == 0);
    uint64_t table = root_ & ~mask_;

    for (int step = 0; step < 4; step++) {
        uint64_t entry = word(table + 8 * index[step]);
        if ((entry & 1) == 0)
            return std::nullopt;
        found.write = found.write && (entry >> 1 & 1) != 0;
        found.user = found.user && (entry >> 2 & 1) != 0;
        found.execute = found.execute && (entry >> 63 & 1) == 0;
        CHECK((entry >> 3 & 3) == 0);      // write-back, as ordinary memory is
        CHECK((entry >> 5 & 1) != 0);      // accessed: the CPU need not write it
        CHECK((entry >> 52 & 0x7ff) == 0); // ignored or protection keys: unused
        bool large = step > 0 && step < 3 && (entry >> 7 & 1) != 0;
        uint64_t address_bits = entry & 0x000ffffffffff000ull;
        if (!large && step < 3) {
            CHECK((entry >> 7 & 1) == 0); // reserved in the PML4, page size elsewhere
            CHECK(mask_ == 0 || (entry & mask_) != 0);
            table = address_bits & ~mask_;
            continue;
        }
        CHECK((entry >> 6 & 1) != 0); // dirty
        found.encrypted = (entry & mask_) != 0;
        found.page_bytes = bytes[step];
        // Bits 12 and up to the page's size are PAT or reserved.
        CHECK(((address_bits & ~mask_) & (bytes[step] - 1)) == 0);
        found.physical = (address_bits & ~mask_) + (address & (bytes[step] - 1));
        return found;
    }
    return std::nullopt;
}
