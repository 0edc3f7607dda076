/*
 * What: one VM fd: memory slots, dirty log, vCPU fds.
 * Who: any thread; the kernel serializes. The mirror never asks for dirty logging; the demo
 * guest, which shares this class, does.
 */
#ifndef PAGEFERRY_KVM_VM_H
#define PAGEFERRY_KVM_VM_H

#include <cstdint>
#include <linux/kvm.h>
#include <string>

#include "fd.h"
#include "system.h"

namespace pageferry::kvm
{

struct Slot {
    uint32_t id;
    uint64_t guest_physical;
    uint64_t bytes; // page multiple
    void *memory;   // page-aligned; must outlive the slot
    bool log_dirty_pages = false;
};

class Vm
{
public:
    explicit Vm(const System &system);

    int fd() const { return fd_.get(); }
    // Adds the slot, or changes its flags when only those differ.
    void set_slot(const Slot &slot);
    // No effect when the slot is not there.
    void remove_slot(uint32_t id);
    // KVM_GET_DIRTY_LOG into one bit per page of the slot, 64-bit words. Clears the log, unless
    // manual protection is enabled.
    void dirty_log(uint32_t id, uint64_t *bitmap);
    // KVM_ENABLE_CAP with one argument.
    void enable_capability(uint32_t number, uint64_t argument);
    // A new vCPU's fd, CLOEXEC.
    Fd create_vcpu(uint32_t index);

private:
    Fd fd_;
};

} // namespace pageferry::kvm

#endif
