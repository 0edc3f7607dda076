// The page-table builder against the walker.
#include <algorithm>
#include <random>

#include "check.h"
#include "kvm/error.h"
#include "walker.h"

using namespace pageferry;

namespace
{

constexpr uint64_t kib4 = 1ull << 12, mib2 = 1ull << 21, gib1 = 1ull << 30;
constexpr uint64_t tables_at = 1ull << 40;

PageMapping mapping(uint64_t address, uint64_t physical, uint64_t bytes)
{
    return {address, physical, bytes, true, true, false, false};
}

// Walks all of a mapping, page by page as they come; returns how many pages of each size.
struct Sizes {
    uint64_t small = 0, medium = 0, large = 0;
};

Sizes check_mapping(const Walker &walker, const PageMapping &each, uint64_t mask)
{
    Sizes sizes;

    for (uint64_t done = 0; done < each.bytes;) {
        auto found = walker.walk(each.virtual_address + done);
        CHECK(found);
        CHECK(found->physical == each.physical_address + done);
        CHECK(found->user == each.user && found->write == each.write);
        CHECK(found->execute == each.execute);
        CHECK(found->encrypted == (mask != 0 && !each.shared));
        CHECK((each.virtual_address + done) % found->page_bytes == 0);
        CHECK(found->page_bytes <= each.bytes - done);
        auto last = walker.walk(each.virtual_address + done + found->page_bytes - 1);
        CHECK(last && last->physical == each.physical_address + done + found->page_bytes - 1);
        (found->page_bytes == kib4 ? sizes.small
         : found->page_bytes == mib2 ? sizes.medium
                                     : sizes.large)++;
        done += found->page_bytes;
    }
    return sizes;
}

Sizes sizes_of(const PageMapping &each, bool gibibyte_pages)
{
    PageTables tables = build_page_tables({each}, tables_at, gibibyte_pages, 0);
    Walker walker(tables, 0);

    CHECK(!walker.walk(each.virtual_address - 1));
    CHECK(!walker.walk(each.virtual_address + each.bytes));
    return check_mapping(walker, each, 0);
}

void check_sizes(const PageMapping &each, bool gibibyte_pages, Sizes wanted)
{
    Sizes got = sizes_of(each, gibibyte_pages);

    CHECK(got.small == wanted.small && got.medium == wanted.medium && got.large == wanted.large);
}

void refuse(const std::vector<PageMapping> &list, uint64_t at = tables_at, uint64_t mask = 0)
{
    CHECK_THROWS(InvalidError, build_page_tables(list, at, true, mask));
}

} // namespace

void test_page_sizes()
{
    check_sizes(mapping(gib1, gib1, kib4), true, {1, 0, 0});
    check_sizes(mapping(gib1, gib1, mib2), true, {0, 1, 0});
    check_sizes(mapping(gib1, gib1, gib1), true, {0, 0, 1});
    check_sizes(mapping(gib1, gib1, gib1), false, {0, 512, 0});
    check_sizes(mapping(0, 0, 3 * gib1), true, {0, 0, 3});
    // Split at both ends: 4 KiB up to 2 MiB, 2 MiB up to 1 GiB, and down again.
    check_sizes(mapping(gib1 - mib2 - kib4, gib1 - mib2 - kib4, gib1 + 2 * mib2 + 2 * kib4), true,
                {2, 2, 1});
    // Virtual and physical that differ modulo a page's size cannot use that size.
    check_sizes(mapping(gib1, gib1 + mib2, gib1), true, {0, 512, 0});
    check_sizes(mapping(gib1, gib1 + kib4, mib2), true, {512, 0, 0});
    // The ends of both halves of the canonical addresses.
    check_sizes(mapping((1ull << 47) - mib2, 0, mib2), true, {0, 1, 0});
    check_sizes(mapping(0 - mib2, 0, mib2), true, {0, 1, 0});
    check_sizes(mapping(0xffff800000000000, 0, kib4), true, {1, 0, 0});
    // Across the border of two top-level entries.
    check_sizes(mapping((1ull << 39) - gib1, 0, 2 * gib1), true, {0, 0, 2});
    PageTables empty = build_page_tables({}, tables_at, true, 0);
    CHECK(empty.entries.size() == 512 && !Walker(empty, 0).walk(0));
}

void test_page_table_refusals()
{
    constexpr uint64_t half = 1ull << 47, physical_end = 1ull << 52;

    refuse({mapping(1, 0, kib4)});
    refuse({mapping(0, 1, kib4)});
    refuse({mapping(0, 0, kib4 - 1)});
    refuse({mapping(0, 0, 0)});
    refuse({mapping(half, 0, kib4)});
    refuse({mapping(half - kib4, 0, 2 * kib4)});
    refuse({mapping(0xffff800000000000 - kib4, 0, 2 * kib4)});
    refuse({mapping(0 - kib4, 0, 2 * kib4)}); // wraps to 0
    refuse({mapping(kib4, 0, 0 - 2 * kib4)});
    refuse({mapping(0, physical_end, kib4)});
    refuse({mapping(0, physical_end - kib4, 2 * kib4)});
    // Overlaps, whichever comes first and whatever its size.
    refuse({mapping(0, 0, kib4), mapping(0, 0, kib4)});
    refuse({mapping(0, 0, mib2), mapping(kib4, 0, kib4)});
    refuse({mapping(kib4, 0, kib4), mapping(0, 0, mib2)});
    refuse({mapping(0, 0, gib1), mapping(mib2, 0, mib2)});
    refuse({mapping(mib2, 0, mib2), mapping(0, 0, gib1)});
    refuse({mapping(gib1, 0, 2 * kib4), mapping(gib1 + kib4, 0, 2 * kib4)});
    // The tables themselves, and the encryption bit.
    refuse({}, tables_at + 8);
    refuse({}, physical_end);
    refuse({mapping(0, 0, kib4)}, physical_end - kib4);
    refuse({}, tables_at, 3ull << 47);
    refuse({}, tables_at, 1ull << 63);
    refuse({}, tables_at, 1ull << 11);
    refuse({mapping(0, 1ull << 47, kib4)}, tables_at, 1ull << 47);
    refuse({}, tables_at, tables_at);
}

void test_random_mappings(unsigned int seed)
{
    std::mt19937_64 random(seed);
    auto below = [&](uint64_t limit) { return random() % limit; };

    for (int turn = 0; turn < 30; turn++) {
        std::vector<PageMapping> list;
        uint64_t mask = below(2) == 0 ? 0 : 1ull << (47 + below(5));
        uint64_t at = below(2) == 0 ? below(1ull << 30) * kib4 : 0xffff800000000000;

        for (uint64_t count = 1 + below(12); count > 0; count--) {
            const uint64_t units[] = {kib4, mib2, gib1};
            uint64_t unit = units[below(3)];
            at = (at + unit - 1) / unit * unit + kib4 * below(2) * below(600);
            uint64_t bytes = unit * (1 + below(3)) + kib4 * below(2) * below(600);
            uint64_t physical = (at & ((1ull << 45) - 1)) + units[below(3)] * below(64);
            list.push_back({at, physical, bytes, below(2) == 0, below(2) == 0, below(2) == 0,
                            below(2) == 0});
            at += bytes + kib4 * (1 + below(3));
        }
        std::vector<PageMapping> shuffled = list;
        std::shuffle(shuffled.begin(), shuffled.end(), random);
        PageTables tables = build_page_tables(shuffled, tables_at, below(2) == 0, mask);
        Walker walker(tables, mask);
        for (const PageMapping &each : list) {
            check_mapping(walker, each, mask);
            CHECK(!walker.walk(each.virtual_address - 1));
            CHECK(!walker.walk(each.virtual_address + each.bytes));
        }
    }
}
