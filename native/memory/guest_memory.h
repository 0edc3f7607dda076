/*
 * What: guest RAM as a file (memfd or an opened one) that this process maps exactly once.
 * Who: always held by shared_ptr: mirror, demo guest and JavaScript use the same mapping, which
 * goes away with the last of them. Immutable after creation, so any thread may use it.
 */
#ifndef PAGEFERRY_MEMORY_GUEST_MEMORY_H
#define PAGEFERRY_MEMORY_GUEST_MEMORY_H

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "../kvm/fd.h"
#include "../kvm/mapping.h"

namespace pageferry
{

enum class HugePages { Auto, Never, Require };

// What the memory got: hugetlbfs pages, transparent huge pages asked for, 4 KiB pages.
enum class Backing { Huge, Transparent, Small };

struct Run {
    uint64_t first;
    uint64_t count;
};

class GuestMemory
{
public:
    // A memfd. Throws InvalidError when HugePages::Require cannot be met.
    static std::shared_ptr<GuestMemory> create(const std::string &name, uint64_t bytes,
                                               HugePages huge_pages);
    // Takes the fd over. [offset, offset + bytes) must lie inside the file.
    static std::shared_ptr<GuestMemory> open(Fd fd, uint64_t offset, uint64_t bytes);

    uint8_t *data() const { return mapping_.data(); }
    uint64_t bytes() const { return mapping_.size(); }
    int fd() const { return fd_.get(); }
    Backing backing() const { return backing_; }

    // Allocates every page of [offset, offset + bytes) now, as 2 MiB pages where the kernel has
    // them; multiples of the page size, inside. Slow (about 1 s per 4 GiB); not for the main
    // thread. What is there already stays, also while a guest writes it.
    void prefault(uint64_t offset, uint64_t bytes) const;
    // Copies out without touching the mapping: holes stay holes, and a file that got shorter is
    // a SystemError (EFAULT) and no SIGBUS. [offset, offset + bytes) must lie inside.
    void read(uint64_t offset, uint8_t *out, uint64_t bytes) const;
    // How much of it this process has mapped with huge pages now, whatever was asked for. Looks
    // at every mapping of the process: milliseconds; for reports.
    uint64_t huge_bytes() const;
    // Memory that the whole file holds, from fstat.
    uint64_t allocated_bytes() const;

    // Calls found(offset, bytes, has_data) for ascending, adjacent extents that cover
    // [offset, offset + bytes). Holes are found without touching them: reading a hole through
    // the mapping would allocate it. Extents are cut at page boundaries; a page that is partly
    // data is data.
    void extents(uint64_t offset, uint64_t bytes,
                 const std::function<void(uint64_t, uint64_t, bool)> &found) const;

    // The 2 MiB pieces, counted from `offset`, without a hole, as runs; no more than `most`.
    std::vector<Run> filled_pieces(uint64_t offset, uint64_t bytes, size_t most) const;

    // Whether there is data in the page at `offset`, as extents() would tell; looks no further
    // than to the next data, where extents() has to find the end of it.
    bool has_data(uint64_t offset) const;

private:
    GuestMemory() = default;
    void map(int fd, uint64_t offset, uint64_t bytes, uint64_t alignment);

    Fd fd_;
    uint64_t file_offset_ = 0;
    Mapping mapping_;
    Backing backing_ = Backing::Small;
    bool may_collapse_ = true;
};

} // namespace pageferry

#endif
