/*
 * What: builds the mirror's page tables as a pure function from a list of mappings. Four levels, 4
 * KiB, 2 MiB and 1 GiB pages (Intel SDM 3A, 4.5). Who: the engine writes the result into the
 * private slot once, before the first KVM_RUN, and never edits it: an edit is not seen reliably by
 * a running mirror (DESIGN 3).
 */
#ifndef PAGEFERRY_ENGINE_PAGE_TABLE_H
#define PAGEFERRY_ENGINE_PAGE_TABLE_H

#include <cstdint>
#include <vector>

namespace pageferry
{

struct PageMapping {
    uint64_t virtual_address; // page-aligned, as are the next two; canonical
    uint64_t physical_address;
    uint64_t bytes;
    bool user;
    bool write;
    bool execute;
    bool shared = false; // with the host: never carries the encryption bit
};

struct PageTables {
    uint64_t root;                 // CR3
    uint64_t physical_address;     // of entries[0]
    std::vector<uint64_t> entries; // whole tables of 512
};

// The tables lie at tables_physical, one after the other, root first. Largest pages that
// alignment allows, up to 2 MiB or 1 GiB. encryption_mask (the C-bit, or 0) goes into the root,
// every table reference and every private leaf; all physical addresses lie below it. Throws
// InvalidError on overlap, misalignment and addresses that the CPU has not.
PageTables build_page_tables(const std::vector<PageMapping> &mappings, uint64_t tables_physical,
                             bool gibibyte_pages, uint64_t encryption_mask);

} // namespace pageferry

#endif
