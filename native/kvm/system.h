/*
 * What: /dev/kvm: API version, capabilities, the CPUID that KVM supports.
 * Who: any thread; holds one fd. See Linux Documentation/virt/kvm/api.rst, "System ioctls".
 */
#ifndef PAGEFERRY_KVM_SYSTEM_H
#define PAGEFERRY_KVM_SYSTEM_H

#include <cstdint>
#include <linux/kvm.h>
#include <vector>

#include "fd.h"

namespace pageferry::kvm
{

// KVM_GET_SUPPORTED_CPUID's entries, and the few answers the engines ask of them.
class Cpuid
{
public:
    explicit Cpuid(std::vector<kvm_cpuid_entry2> entries) : entries_(std::move(entries)) {}

    const std::vector<kvm_cpuid_entry2> &entries() const { return entries_; }
    const kvm_cpuid_entry2 *find(uint32_t function, uint32_t index = 0) const;

    // CPUID 0x80000008 EAX[7:0]; 36 where the leaf is missing (Intel SDM 3A, 4.1.4).
    uint32_t physical_bits() const;
    // CPUID 0x80000001 EDX[26].
    bool gibibyte_pages() const;
    // XCR0 bits of CPUID 0xD that hold vector state (x87, SSE, AVX, AVX-512); 0 without XSAVE.
    // AMX (bits 17, 18) needs a permission that the process has not asked for, PKRU (bit 9) and
    // the rest are of no use to a helper.
    uint64_t vector_state_mask() const;

private:
    std::vector<kvm_cpuid_entry2> entries_;
};

class System
{
public:
    // Opens /dev/kvm and checks the API version (12, stable since Linux 2.6.22).
    System();

    int fd() const { return fd_.get(); }
    // KVM_CHECK_EXTENSION: 0 when missing, else a positive number with a meaning of its own.
    int capability(int number) const;
    Cpuid supported_cpuid() const;
    size_t vcpu_mapping_bytes() const;
    // The new VM's fd, CLOEXEC.
    Fd create_vm() const;

private:
    Fd fd_;
};

} // namespace pageferry::kvm

#endif
