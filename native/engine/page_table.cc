// Page tables of the mirror. See page_table.h.
#include "page_table.h"

#include "../abi/limits.h"
#include "../kvm/error.h"

namespace pageferry
{

namespace
{

constexpr uint64_t entry_present = 1ull << 0;
constexpr uint64_t entry_write = 1ull << 1;
constexpr uint64_t entry_user = 1ull << 2;
// Accessed and dirty are set from the start, so that the CPU never writes to the tables.
constexpr uint64_t entry_accessed = 1ull << 5;
constexpr uint64_t entry_dirty = 1ull << 6;
constexpr uint64_t entry_large = 1ull << 7;
constexpr uint64_t entry_no_execute = 1ull << 63;
constexpr uint64_t entry_address = 0x000ffffffffff000ull;

constexpr size_t table_entries = 512;
constexpr unsigned int bits_per_level = 9;
constexpr unsigned int root_level = 4;

// Bytes that one entry of a level maps: 4 KiB at level 1, 2 MiB, 1 GiB, 512 GiB at level 4.
constexpr uint64_t span(unsigned int level)
{
    return 1ull << (PF_PAGE_SHIFT + bits_per_level * (level - 1));
}

constexpr size_t index_of(uint64_t address, unsigned int level)
{
    return address / span(level) % table_entries;
}

void require(bool condition, const char *what)
{
    if (!condition)
        throw InvalidError(what);
}

void check_aligned(uint64_t address, uint64_t bytes)
{
    require((address | bytes) % PF_PAGE_BYTES == 0, "page mapping not page-aligned");
}

// bytes > 0. Four levels translate 48 bits; bits 47 to 63 are equal (Intel SDM 3A, 3.3.7.1).
void check_virtual(uint64_t address, uint64_t bytes)
{
    constexpr uint64_t half = 1ull << 47;
    uint64_t offset = address < half ? address : address - (0 - half);

    check_aligned(address, bytes);
    // Subtractions: the end may be 2^64.
    require(offset < half && bytes <= half - offset, "page mapping outside canonical addresses");
}

void check_physical(uint64_t address, uint64_t bytes, uint64_t encryption_mask)
{
    constexpr uint64_t end = entry_address + PF_PAGE_BYTES; // 2^52
    // With an encryption bit, addresses end below it.
    uint64_t limit = encryption_mask != 0 ? encryption_mask : end;

    check_aligned(address, bytes);
    require(address < limit && bytes <= limit - address,
            "page mapping beyond the physical addresses");
}

class Builder
{
public:
    Builder(uint64_t tables_physical, bool gibibyte_pages, uint64_t encryption_mask)
        : largest_level_(gibibyte_pages ? 3 : 2), encryption_mask_(encryption_mask)
    {
        tables_.physical_address = tables_physical;
        add_table();
        tables_.root = tables_physical | encryption_mask;
    }

    void map(const PageMapping &mapping)
    {
        uint64_t done = 0;

        while (done < mapping.bytes) {
            uint64_t address = mapping.virtual_address + done;
            uint64_t physical = mapping.physical_address + done;
            unsigned int level = largest_level_;
            while (level > 1 &&
                   ((address | physical) % span(level) != 0 || mapping.bytes - done < span(level)))
                level--;
            set_leaf(mapping, address, physical, level);
            done += span(level);
        }
    }

    PageTables take() { return std::move(tables_); }

private:
    // Returns the index of the new table's first entry.
    size_t add_table()
    {
        size_t first = tables_.entries.size();

        check_physical(tables_.physical_address, (first + table_entries) * sizeof(uint64_t),
                       encryption_mask_);
        tables_.entries.resize(first + table_entries, 0);
        return first;
    }

    void set_leaf(const PageMapping &mapping, uint64_t address, uint64_t physical,
                  unsigned int leaf_level)
    {
        size_t table = 0;

        for (unsigned int level = root_level; level > leaf_level; level--) {
            size_t at = table + index_of(address, level);
            uint64_t entry = tables_.entries[at];

            if (entry == 0) {
                size_t next = add_table(); // may move entries
                // Upper levels allow everything; the leaf decides (Intel SDM 3A, 4.6).
                entry = (tables_.physical_address + next * sizeof(uint64_t)) | encryption_mask_ |
                        entry_present | entry_write | entry_user | entry_accessed;
                tables_.entries[at] = entry;
            } else if ((entry & entry_large) != 0) {
                throw InvalidError("page mappings overlap");
            }
            uint64_t next_physical = entry & entry_address & ~encryption_mask_;
            table = (next_physical - tables_.physical_address) / sizeof(uint64_t);
        }

        size_t at = table + index_of(address, leaf_level);
        if (tables_.entries[at] != 0)
            throw InvalidError("page mappings overlap");
        uint64_t entry = physical | entry_present | entry_accessed | entry_dirty;
        if (mapping.write)
            entry |= entry_write;
        if (mapping.user)
            entry |= entry_user;
        if (!mapping.execute)
            entry |= entry_no_execute;
        if (leaf_level > 1)
            entry |= entry_large;
        if (!mapping.shared)
            entry |= encryption_mask_;
        tables_.entries[at] = entry;
    }

    PageTables tables_;
    unsigned int largest_level_;
    uint64_t encryption_mask_;
};

} // namespace

PageTables build_page_tables(const std::vector<PageMapping> &mappings, uint64_t tables_physical,
                             bool gibibyte_pages, uint64_t encryption_mask)
{
    require((encryption_mask & (encryption_mask - 1)) == 0 &&
                (encryption_mask & ~entry_address) == 0,
            "the encryption mask is no single address bit");
    Builder builder(tables_physical, gibibyte_pages, encryption_mask);

    for (const auto &mapping : mappings) {
        require(mapping.bytes > 0, "page mapping of nothing");
        check_virtual(mapping.virtual_address, mapping.bytes);
        check_physical(mapping.physical_address, mapping.bytes, encryption_mask);
        builder.map(mapping);
    }
    return builder.take();
}

} // namespace pageferry
