// A VM's fd. See vm.h.
#include "vm.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/ioctl.h>

#include "error.h"

namespace pageferry::kvm
{

Vm::Vm(const System &system) : fd_(system.create_vm()) {}

void Vm::set_slot(const Slot &slot)
{
    kvm_userspace_memory_region region = {};

    region.slot = slot.id;
    region.flags = slot.log_dirty_pages ? KVM_MEM_LOG_DIRTY_PAGES : 0;
    region.guest_phys_addr = slot.guest_physical;
    region.memory_size = slot.bytes;
    region.userspace_addr = reinterpret_cast<uintptr_t>(slot.memory);
    if (::ioctl(fd_.get(), KVM_SET_USER_MEMORY_REGION, &region) < 0) {
        throw SystemError("set memory slot " + std::to_string(slot.id),
                          "KVM_SET_USER_MEMORY_REGION", errno);
    }
}

void Vm::remove_slot(uint32_t id)
{
    kvm_userspace_memory_region region = {};

    // Size 0 deletes; EINVAL: there is no such slot (kvm_set_memory_region, kvm_main.c).
    region.slot = id;
    if (::ioctl(fd_.get(), KVM_SET_USER_MEMORY_REGION, &region) < 0 && errno != EINVAL) {
        throw SystemError("remove memory slot " + std::to_string(id), "KVM_SET_USER_MEMORY_REGION",
                          errno);
    }
}

void Vm::dirty_log(uint32_t id, uint64_t *bitmap)
{
    kvm_dirty_log log = {};

    log.slot = id;
    log.dirty_bitmap = bitmap;
    if (::ioctl(fd_.get(), KVM_GET_DIRTY_LOG, &log) < 0) {
        throw SystemError("read the dirty log of slot " + std::to_string(id), "KVM_GET_DIRTY_LOG",
                          errno);
    }
}

void Vm::enable_capability(uint32_t number, uint64_t argument)
{
    kvm_enable_cap capability = {};

    capability.cap = number;
    capability.args[0] = argument;
    if (::ioctl(fd_.get(), KVM_ENABLE_CAP, &capability) < 0) {
        throw SystemError("enable KVM capability " + std::to_string(number), "KVM_ENABLE_CAP",
                          errno);
    }
}

Fd Vm::create_vcpu(uint32_t index)
{
    int number = ::ioctl(fd_.get(), KVM_CREATE_VCPU, static_cast<unsigned long>(index));

    if (number < 0) {
        throw SystemError("create vCPU " + std::to_string(index), "KVM_CREATE_VCPU", errno);
    }
    ::fcntl(number, F_SETFD, FD_CLOEXEC);
    return Fd(number);
}

} // namespace pageferry::kvm
