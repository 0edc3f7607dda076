/*
 * What: a page walk as the CPU does it (Intel SDM 3A, 4.5.4, tables 4-14 to 4-19), over a copy of
 * the tables by their physical addresses. Written from the manual alone, so it shares nothing
 * with native/engine/page_table.cc.
 */
#ifndef PAGEFERRY_TEST_ENGINE_WALKER_H
#define PAGEFERRY_TEST_ENGINE_WALKER_H

#include <cstdint>
#include <map>
#include <optional>

#include "engine/page_table.h"

struct Found {
    uint64_t physical;
    uint64_t page_bytes;
    bool user, write, execute, encrypted;
};

class Walker
{
public:
    Walker(const pageferry::PageTables &tables, uint64_t encryption_mask);
    // Nothing where the CPU would fault. Reserved bits and references to no table end the test.
    std::optional<Found> walk(uint64_t address) const;

private:
    uint64_t word(uint64_t physical) const;

    std::map<uint64_t, uint64_t> memory_; // by physical address
    uint64_t root_;
    uint64_t mask_;
};

#endif
