// /dev/kvm. See system.h.
#include "system.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/ioctl.h>

#include "cpuid_list.h"
#include "error.h"

namespace pageferry::kvm
{

namespace
{

constexpr int api_version = 12;
// KVM_MAX_CPUID_ENTRIES (arch/x86/include/asm/kvm_host.h): no kernel reports more.
constexpr uint32_t cpuid_entries_max = 256;

constexpr uint64_t xcr0_x87 = 1u << 0;
constexpr uint64_t xcr0_sse = 1u << 1;
constexpr uint64_t xcr0_avx = 1u << 2;
constexpr uint64_t xcr0_avx512 = 7u << 5;

} // namespace

const kvm_cpuid_entry2 *Cpuid::find(uint32_t function, uint32_t index) const
{
    for (const auto &entry : entries_) {
        if (entry.function == function && entry.index == index)
            return &entry;
    }
    return nullptr;
}

uint32_t Cpuid::physical_bits() const
{
    const auto *entry = find(0x80000008);

    // A width below 32 is no x86-64 CPU's; above 52 the architecture ends.
    if (entry == nullptr || (entry->eax & 0xff) < 32)
        return 36;
    return (entry->eax & 0xff) > 52 ? 52 : entry->eax & 0xff;
}

bool Cpuid::gibibyte_pages() const
{
    const auto *entry = find(0x80000001);

    return entry != nullptr && (entry->edx >> 26 & 1) != 0;
}

uint64_t Cpuid::vector_state_mask() const
{
    const auto *entry = find(0xd);

    if (entry == nullptr)
        return 0;
    uint64_t supported = entry->eax | static_cast<uint64_t>(entry->edx) << 32;
    uint64_t mask = xcr0_x87 | xcr0_sse;
    if ((supported & mask) != mask)
        return 0;
    // XSETBV faults on AVX-512 without AVX, and on a part of AVX-512's three (Intel SDM 1, 13.3).
    if ((supported & xcr0_avx) != 0) {
        mask |= xcr0_avx;
        if ((supported & xcr0_avx512) == xcr0_avx512)
            mask |= xcr0_avx512;
    }
    return mask;
}

System::System()
{
    int number = ::open("/dev/kvm", O_RDWR | O_CLOEXEC);

    if (number < 0)
        throw SystemError("open /dev/kvm", "open", errno);
    fd_ = Fd(number);
    int version = ::ioctl(fd_.get(), KVM_GET_API_VERSION, 0);
    if (version < 0)
        throw SystemError("read the KVM API version", "KVM_GET_API_VERSION", errno);
    if (version != api_version)
        throw InvalidError("KVM API version " + std::to_string(version) + " is not 12");
}

int System::capability(int number) const
{
    int value = ::ioctl(fd_.get(), KVM_CHECK_EXTENSION, number);

    return value < 0 ? 0 : value;
}

Cpuid System::supported_cpuid() const
{
    std::vector<uint64_t> list = make_cpuid_list(cpuid_entries_max);

    if (::ioctl(fd_.get(), get_supported_cpuid, list.data()) < 0)
        throw SystemError("read the CPUID that KVM supports", "KVM_GET_SUPPORTED_CPUID", errno);
    return Cpuid(read_cpuid_list(list));
}

size_t System::vcpu_mapping_bytes() const
{
    int bytes = ::ioctl(fd_.get(), KVM_GET_VCPU_MMAP_SIZE, 0);

    if (bytes < 0)
        throw SystemError("size the vCPU mapping", "KVM_GET_VCPU_MMAP_SIZE", errno);
    if (static_cast<size_t>(bytes) < sizeof(kvm_run))
        throw InvalidError("the kernel's struct kvm_run is shorter than this build's");
    return static_cast<size_t>(bytes);
}

Fd System::create_vm() const
{
    int number;

    // EINTR: the MMU notifier's registration waits interruptibly (virt/kvm/kvm_main.c).
    do {
        number = ::ioctl(fd_.get(), KVM_CREATE_VM, 0);
    } while (number < 0 && errno == EINTR);
    if (number < 0)
        throw SystemError("create a VM", "KVM_CREATE_VM", errno);
    // anon_inode_getfd in kvm_dev_ioctl_create_vm sets O_CLOEXEC already; this costs one call.
    ::fcntl(number, F_SETFD, FD_CLOEXEC);
    return Fd(number);
}

} // namespace pageferry::kvm
