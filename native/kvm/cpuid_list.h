/*
 * What: struct kvm_cpuid2 as the kernel lays it out: 8 bytes, then the entries.
 * Why not the header's: newer <linux/kvm.h> declares the entries by __DECLARE_FLEX_ARRAY, whose
 * empty struct takes a byte in C++; that moves the entries and changes the ioctl numbers, which
 * carry the size.
 */
#ifndef PAGEFERRY_KVM_CPUID_LIST_H
#define PAGEFERRY_KVM_CPUID_LIST_H

#include <cstdint>
#include <cstring>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <vector>

namespace pageferry::kvm
{

constexpr size_t cpuid_header_bytes = 8; // u32 nent, u32 padding
constexpr unsigned long get_supported_cpuid =
    _IOC(_IOC_READ | _IOC_WRITE, KVMIO, 0x05, cpuid_header_bytes);
constexpr unsigned long set_cpuid2 = _IOC(_IOC_WRITE, KVMIO, 0x90, cpuid_header_bytes);

static_assert(sizeof(kvm_cpuid_entry2) == 40, "an entry is 40 bytes");

// A buffer with room for `entries`, its count set.
inline std::vector<uint64_t> make_cpuid_list(uint32_t entries)
{
    std::vector<uint64_t> list((cpuid_header_bytes + entries * sizeof(kvm_cpuid_entry2)) / 8);

    std::memcpy(list.data(), &entries, sizeof entries);
    return list;
}

// The kernel's answer: its count is never above the one it was given.
inline std::vector<kvm_cpuid_entry2> read_cpuid_list(const std::vector<uint64_t> &list)
{
    uint32_t count;

    std::memcpy(&count, list.data(), sizeof count);
    std::vector<kvm_cpuid_entry2> entries(count);
    std::memcpy(entries.data(), list.data() + 1, count * sizeof(kvm_cpuid_entry2));
    return entries;
}

} // namespace pageferry::kvm

#endif
