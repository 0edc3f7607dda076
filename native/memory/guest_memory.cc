// Guest RAM as one shared mapping of a file. See guest_memory.h.
#include "guest_memory.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <fstream>
#include <linux/magic.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "../abi/limits.h"
#include "../kvm/error.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 // Linux 5.14
#endif

namespace pageferry
{

namespace
{

constexpr uint64_t page_mask = PF_PAGE_BYTES - 1;
// One call holds the mmap lock for its whole piece: 64 MiB is some 20 ms with 4 KiB pages.
constexpr uint64_t prefault_piece_bytes = 64ull << 20;

uint64_t free_huge_pages()
{
    unsigned long long pages = 0;
    FILE *file = std::fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "re");

    if (file == nullptr)
        return 0;
    if (std::fscanf(file, "%llu", &pages) != 1)
        pages = 0;
    std::fclose(file);
    return pages;
}

// True when shared memory that is advised gets transparent huge pages. The file marks the
// setting in force with brackets: "always within_size [advise] never deny force".
bool shared_memory_takes_advice()
{
    char line[128] = "";
    FILE *file = std::fopen("/sys/kernel/mm/transparent_hugepage/shmem_enabled", "re");

    if (file == nullptr)
        return false;
    std::string setting = std::fgets(line, sizeof line, file) == nullptr ? "" : line;
    std::fclose(file);
    return setting.find("[never]") == std::string::npos &&
           setting.find("[deny]") == std::string::npos && !setting.empty();
}

Fd create_memfd(const std::string &name, uint64_t bytes, unsigned int flags)
{
    Fd fd(::memfd_create(name.c_str(), MFD_CLOEXEC | flags));

    if (!fd)
        throw SystemError("create guest memory", "memfd_create", errno);
    if (::ftruncate(fd.get(), static_cast<off_t>(bytes)) < 0)
        throw SystemError("size guest memory", "ftruncate", errno);
    return fd;
}

// Pieces of address space aligned to 1 GiB let KVM use the largest pages the backing has.
uint64_t alignment_for(uint64_t bytes)
{
    constexpr uint64_t gibibyte = 1ull << 30;

    return bytes >= gibibyte ? gibibyte : huge_page_bytes;
}

} // namespace

std::shared_ptr<GuestMemory> GuestMemory::create(const std::string &name, uint64_t bytes,
                                                 HugePages huge_pages)
{
    std::shared_ptr<GuestMemory> memory(new GuestMemory());
    bool whole = bytes % huge_page_bytes == 0;

    if (huge_pages != HugePages::Never && whole && free_huge_pages() >= bytes / huge_page_bytes) {
        try {
            // MAP_SHARED of hugetlbfs reserves the pages here, so that no later access can
            // fail for want of one (Documentation/mm/hugetlbfs_reserv.rst).
            Fd fd = create_memfd(name, bytes, MFD_HUGETLB | MFD_HUGE_2MB);
            memory->map(fd.get(), 0, bytes, alignment_for(bytes));
            memory->fd_ = std::move(fd);
            memory->backing_ = Backing::Huge;
            return memory;
        } catch (const SystemError &) {
            // Somebody else took the pages since we looked; small ones do as well.
        }
    }
    if (huge_pages == HugePages::Require) {
        throw InvalidError("not enough free 2 MiB pages for " + std::to_string(bytes) +
                           " bytes; see /proc/sys/vm/nr_hugepages");
    }

    memory->may_collapse_ = huge_pages == HugePages::Auto;
    memory->fd_ = create_memfd(name, bytes, 0);
    memory->map(memory->fd_.get(), 0, bytes, alignment_for(bytes));
    if (huge_pages == HugePages::Auto && ::madvise(memory->data(), bytes, MADV_HUGEPAGE) == 0 &&
        shared_memory_takes_advice())
        memory->backing_ = Backing::Transparent;
    return memory;
}

std::shared_ptr<GuestMemory> GuestMemory::open(Fd fd, uint64_t offset, uint64_t bytes)
{
    struct stat status;
    struct statfs system;

    if (::fstat(fd.get(), &status) < 0)
        throw SystemError("look at guest memory", "fstat", errno);
    if (::fstatfs(fd.get(), &system) < 0)
        throw SystemError("look at guest memory", "fstatfs", errno);
    auto file_bytes = static_cast<uint64_t>(status.st_size);
    if (offset > file_bytes || bytes > file_bytes - offset) {
        throw InvalidError("the file holds " + std::to_string(file_bytes) +
                           " bytes, less than offset and size ask for");
    }
    // Not st_blksize alone: network file systems report megabytes there.
    bool huge = static_cast<uint32_t>(system.f_type) == HUGETLBFS_MAGIC;
    auto page = static_cast<uint64_t>(system.f_bsize);
    // The kernel would round the size up, beyond the addresses reserved for the mapping.
    if (huge && (offset | bytes) % page != 0) {
        throw InvalidError("offset and size must be multiples of the file's page size, " +
                           std::to_string(page) + " bytes");
    }
    std::shared_ptr<GuestMemory> memory(new GuestMemory());
    memory->map(fd.get(), offset, bytes,
                huge ? std::max(page, alignment_for(bytes)) : alignment_for(bytes));
    memory->fd_ = std::move(fd);
    memory->file_offset_ = offset;
    if (huge)
        memory->backing_ = Backing::Huge;
    return memory;
}

void GuestMemory::map(int fd, uint64_t offset, uint64_t bytes, uint64_t alignment)
{
    mapping_ = Mapping::map("map guest memory", bytes, alignment, MAP_SHARED, fd, offset);
    // Advice: guest memory has no business in a core dump of this process.
    ::madvise(data(), bytes, MADV_DONTDUMP);
}

void GuestMemory::prefault(uint64_t offset, uint64_t bytes) const
{
    if (may_collapse_ && backing_ != Backing::Huge)
        collapse_pages(data() + offset, bytes);
    for (uint64_t done = 0; done < bytes; done += prefault_piece_bytes) {
        uint64_t piece = std::min(prefault_piece_bytes, bytes - done);
        uint8_t *start = data() + offset + done;
        int result;

        do {
            result = ::madvise(start, piece, MADV_POPULATE_WRITE);
        } while (result < 0 && errno == EINTR);
        if (result == 0)
            continue;
        if (errno != EINVAL)
            throw SystemError("allocate guest memory", "madvise", errno);
        // Before Linux 5.14.
        for (uint64_t page = 0; page < piece; page += PF_PAGE_BYTES)
            __atomic_fetch_add(start + page, 0, __ATOMIC_RELAXED);
    }
}

void GuestMemory::read(uint64_t offset, uint8_t *out, uint64_t bytes) const
{
    while (bytes > 0) {
        ssize_t got = ::pread(fd_.get(), out, bytes, static_cast<off_t>(file_offset_ + offset));

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            throw SystemError("read guest memory", "pread", got < 0 ? errno : EFAULT);
        offset += static_cast<uint64_t>(got);
        out += got;
        bytes -= static_cast<uint64_t>(got);
    }
}

uint64_t GuestMemory::huge_bytes() const
{
    if (backing_ == Backing::Huge)
        return bytes();
    std::ifstream file("/proc/self/smaps");
    std::string line;
    auto start = reinterpret_cast<uint64_t>(data());
    uint64_t end = start + bytes();
    bool inside = false;
    uint64_t kibibytes = 0;

    if (!file)
        throw SystemError("look at the mappings", "open", errno);
    // A line "start-end perms ..." begins a mapping, lines "Name: value" tell about it. The
    // kernel may have joined nothing to ours (its file is ours alone), but may have cut it.
    while (std::getline(file, line)) {
        unsigned long long from, to, value;
        if (std::sscanf(line.c_str(), "%llx-%llx ", &from, &to) == 2)
            inside = from >= start && to <= end;
        else if (inside && (std::sscanf(line.c_str(), "ShmemPmdMapped: %llu", &value) == 1 ||
                            std::sscanf(line.c_str(), "FilePmdMapped: %llu", &value) == 1))
            kibibytes += value;
    }
    return kibibytes << 10;
}

uint64_t GuestMemory::allocated_bytes() const
{
    struct stat status;

    if (::fstat(fd_.get(), &status) < 0)
        throw SystemError("look at guest memory", "fstat", errno);
    return static_cast<uint64_t>(status.st_blocks) * 512; // stat(2): blocks of 512 bytes
}

std::vector<Run> GuestMemory::filled_pieces(uint64_t offset, uint64_t bytes, size_t most) const
{
    std::vector<Run> runs;

    extents(offset, bytes, [&](uint64_t at, uint64_t length, bool has_data) {
        uint64_t first = (at - offset + huge_page_bytes - 1) / huge_page_bytes;
        uint64_t end = (at - offset + length) / huge_page_bytes;
        if (has_data && first < end && runs.size() < most)
            runs.push_back({first, end - first});
    });
    return runs;
}

bool GuestMemory::has_data(uint64_t offset) const
{
    off_t data = ::lseek(fd_.get(), static_cast<off_t>(file_offset_ + offset), SEEK_DATA);

    if (data < 0)
        return errno != ENXIO;
    return static_cast<uint64_t>(data) < file_offset_ + offset + PF_PAGE_BYTES;
}

void GuestMemory::extents(uint64_t offset, uint64_t bytes,
                          const std::function<void(uint64_t, uint64_t, bool)> &found) const
{
    uint64_t at = offset;
    uint64_t end = offset + bytes;

    while (at < end) {
        off_t data = ::lseek(fd_.get(), static_cast<off_t>(file_offset_ + at), SEEK_DATA);
        // ENXIO: nothing but a hole up to the end of the file. EINVAL: no extents here (some
        // file systems), so everything may be data.
        if (data < 0 && errno == ENXIO) {
            found(at, end - at, false);
            return;
        }
        if (data < 0) {
            found(at, end - at, true);
            return;
        }
        uint64_t data_start = static_cast<uint64_t>(data) - file_offset_;
        data_start = std::min(std::max(data_start & ~page_mask, at), end);
        if (data_start > at)
            found(at, data_start - at, false);
        if (data_start == end)
            return;
        off_t hole = ::lseek(fd_.get(), static_cast<off_t>(file_offset_ + data_start), SEEK_HOLE);
        uint64_t data_end = hole < 0 ? end : static_cast<uint64_t>(hole) - file_offset_;
        data_end = std::min((data_end + page_mask) & ~page_mask, end);
        // A hole punched between the two calls gives an empty extent; one page is progress.
        if (data_end <= data_start)
            data_end = std::min(data_start + PF_PAGE_BYTES, end);
        found(data_start, data_end - data_start, true);
        at = data_end;
    }
}

} // namespace pageferry
