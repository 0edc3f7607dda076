// Mappings with an alignment, by reserving more address space than needed and giving back the
// rest. See mapping.h.
#include "mapping.h"

#include <cerrno>
#include <sys/mman.h>
#include <utility>

#include "error.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 // Linux 6.1
#endif

namespace pageferry
{

Mapping::Mapping(Mapping &&other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0))
{
}

Mapping &Mapping::operator=(Mapping &&other) noexcept
{
    if (this != &other) {
        reset();
        data_ = std::exchange(other.data_, nullptr);
        bytes_ = std::exchange(other.bytes_, 0);
    }
    return *this;
}

Mapping::~Mapping()
{
    reset();
}

void Mapping::reset()
{
    if (data_ != nullptr)
        ::munmap(data_, bytes_);
    data_ = nullptr;
    bytes_ = 0;
}

Mapping Mapping::map(const std::string &operation, size_t bytes, size_t alignment, int flags,
                     int fd, uint64_t offset)
{
    // bytes + alignment cannot wrap: bytes is at most 512 GiB and some, alignment at most 1 GiB.
    size_t reserved_bytes = bytes + alignment;
    void *reserved = ::mmap(nullptr, reserved_bytes, PROT_NONE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (reserved == MAP_FAILED)
        throw SystemError(operation, "mmap", errno);

    auto start = reinterpret_cast<uintptr_t>(reserved);
    uintptr_t aligned = (start + alignment - 1) & ~(static_cast<uintptr_t>(alignment) - 1);
    // aligned lies in [start, start + alignment), so [aligned, aligned + bytes) is reserved.
    void *wanted = reinterpret_cast<void *>(aligned);
    void *data = ::mmap(wanted, bytes, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd,
                        static_cast<off_t>(offset));
    int error_number = errno;

    if (data == MAP_FAILED) {
        ::munmap(reserved, reserved_bytes);
        throw SystemError(operation, "mmap", error_number);
    }
    if (aligned > start)
        ::munmap(reserved, aligned - start);
    uintptr_t end = aligned + bytes;
    uintptr_t reserved_end = start + reserved_bytes;
    if (reserved_end > end)
        ::munmap(reinterpret_cast<void *>(end), reserved_end - end);
    return Mapping(static_cast<uint8_t *>(data), bytes);
}

Mapping Mapping::map_fd(const std::string &operation, int fd, size_t bytes)
{
    void *data = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (data == MAP_FAILED)
        throw SystemError(operation, "mmap", errno);
    return Mapping(static_cast<uint8_t *>(data), bytes);
}

void collapse_pages(uint8_t *data, size_t bytes)
{
    auto from = reinterpret_cast<uint64_t>(data);
    uint64_t start = (from + huge_page_bytes - 1) & ~(huge_page_bytes - 1);
    uint64_t end = (from + bytes) & ~(huge_page_bytes - 1);

    if (start >= end)
        return;
    uint8_t *whole = data + (start - from);
    // A locked add of nothing allocates a page without changing what others store there.
    for (uint64_t piece = 0; piece < end - start; piece += huge_page_bytes)
        __atomic_fetch_add(whole + piece, 0, __ATOMIC_RELAXED);
    // One call for all: every call drains the page lists of all processors first, which costs
    // more than its 2 MiB (mm/khugepaged.c, madvise_collapse).
    ::madvise(whole, end - start, MADV_COLLAPSE);
}

} // namespace pageferry
