/*
 * What: one owned memory mapping.
 * Who: the holder unmaps it by going away; movable, never copied.
 */
#ifndef PAGEFERRY_KVM_MAPPING_H
#define PAGEFERRY_KVM_MAPPING_H

#include <cstddef>
#include <cstdint>
#include <string>

namespace pageferry
{

class Mapping
{
public:
    Mapping() = default;
    Mapping(Mapping &&other) noexcept;
    Mapping &operator=(Mapping &&other) noexcept;
    Mapping(const Mapping &) = delete;
    Mapping &operator=(const Mapping &) = delete;
    ~Mapping();

    // mmap with read and write access. `bytes` is a page multiple; `alignment` a power of two of
    // at least a page: KVM uses large pages only where host and guest addresses agree modulo
    // their size. Throws SystemError naming `operation`.
    static Mapping map(const std::string &operation, size_t bytes, size_t alignment, int flags,
                       int fd, uint64_t offset);

    // A mapping of exactly this offset and length, as vcpu fds want it.
    static Mapping map_fd(const std::string &operation, int fd, size_t bytes);

    uint8_t *data() const { return data_; }
    size_t size() const { return bytes_; }
    explicit operator bool() const { return data_ != nullptr; }
    void reset();

private:
    Mapping(uint8_t *data, size_t bytes) : data_(data), bytes_(bytes) {}

    uint8_t *data_ = nullptr;
    size_t bytes_ = 0;
};

// What a page of 2 MiB covers.
constexpr uint64_t huge_page_bytes = 2ull << 20;

// Puts 2 MiB pages behind the whole pieces of 2 MiB in [data, data + bytes), whatever the machine's
// setting for shared memory says: MADV_COLLAPSE needs no more than one small page in each
// (docs/decisions/0005). It is advice: a kernel that does not know it, or finds no free 2 MiB page,
// leaves small pages, which do as well. What is there already stays, also while somebody writes it.
void collapse_pages(uint8_t *data, size_t bytes);

} // namespace pageferry

#endif
