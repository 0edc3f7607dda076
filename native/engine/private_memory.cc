// Memory of the mirror that is not guest RAM. See private_memory.h.
#include "private_memory.h"

#include <algorithm>
#include <cerrno>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "../abi/limits.h"
#include "../kvm/error.h"

namespace pageferry
{

namespace
{

constexpr size_t pages_per_piece = 512;
// A window up to here is allocated whole at once; all of it is in use soon anyway.
constexpr uint64_t window_collapse_bytes_max = 64ull << 20;

// Only pages that exist: touching the rest would allocate them, up to the whole arena.
void wipe_resident(uint8_t *data, uint64_t bytes)
{
    unsigned char resident[pages_per_piece];
    constexpr uint64_t piece_bytes = pages_per_piece * PF_PAGE_BYTES;

    for (uint64_t done = 0; done < bytes; done += piece_bytes) {
        uint64_t piece = std::min(piece_bytes, bytes - done);
        uint8_t *start = data + done;
        if (::mincore(start, piece, resident) < 0)
            continue;
        for (uint64_t offset = 0; offset < piece; offset += PF_PAGE_BYTES) {
            if ((resident[offset / PF_PAGE_BYTES] & 1) != 0)
                ::explicit_bzero(start + offset, PF_PAGE_BYTES);
        }
    }
}

} // namespace

PrivateMemory::PrivateMemory(uint64_t bytes)
    : mapping_(Mapping::map("map the mirror's private memory", bytes, huge_page_bytes,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0))
{
    // Advice: a kernel that does not take it leaves a mirror that works.
    ::madvise(data(), bytes, MADV_DONTDUMP);
    ::madvise(data(), bytes, MADV_DONTFORK);
    ::madvise(data(), bytes, MADV_NOHUGEPAGE);
}

PrivateMemory::~PrivateMemory()
{
    wipe_resident(data(), bytes());
}

void PrivateMemory::prefer_huge_pages(uint64_t offset, uint64_t bytes)
{
    ::madvise(data() + offset, bytes, MADV_HUGEPAGE);
}

std::shared_ptr<Mapping> make_window(uint64_t bytes)
{
    auto window = std::make_shared<Mapping>(
        Mapping::map("map the window", bytes, huge_page_bytes, MAP_SHARED | MAP_ANONYMOUS, -1, 0));

    ::madvise(window->data(), bytes, MADV_DONTDUMP);
    ::madvise(window->data(), bytes, MADV_HUGEPAGE);
    if (bytes <= window_collapse_bytes_max)
        collapse_pages(window->data(), bytes);
    return window;
}

void empty_window(const Mapping &window)
{
    // Freed pages are cleared before anybody gets them. Not given back: cleared here.
    if (::madvise(window.data(), window.size(), MADV_REMOVE) < 0)
        ::explicit_bzero(window.data(), window.size());
}

void wipe(void *data, size_t bytes)
{
    ::explicit_bzero(data, bytes);
}

void fill_random(void *out, size_t bytes)
{
    auto *at = static_cast<uint8_t *>(out);

    while (bytes > 0) {
        ssize_t got = ::getrandom(at, bytes, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            throw SystemError("draw random bytes", "getrandom", errno);
        at += got;
        bytes -= static_cast<size_t>(got);
    }
}

} // namespace pageferry
