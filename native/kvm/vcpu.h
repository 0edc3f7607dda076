/*
 * What: one vCPU fd with its kvm_run page: registers in and out, KVM_RUN, the exit as a value.
 * Who: one thread runs it and reads its exits; `interrupt_next_run` may be called from any thread,
 * followed by a signal to the running thread (see engine/interrupt.h): the flag makes the next
 * KVM_RUN return at once (KVM_CAP_IMMEDIATE_EXIT), the signal ends the current one.
 */
#ifndef PAGEFERRY_KVM_VCPU_H
#define PAGEFERRY_KVM_VCPU_H

#include <cstdint>
#include <linux/kvm.h>

#include "fd.h"
#include "mapping.h"
#include "system.h"
#include "vm.h"

namespace pageferry::kvm
{

enum class ExitKind {
    Halt,
    Interrupted,   // a signal or interrupt_next_run
    Mmio,          // address, bytes, is_write
    Port,          // address = port, bytes, is_write
    InternalError, // suberror
    FailEntry,     // suberror = the hardware's reason
    Shutdown,      // triple fault
    MemoryFault,   // address; KVM_RUN answered EFAULT
    RunFailed,     // error_number of KVM_RUN
    Unsupported,   // reason
};

struct Exit {
    ExitKind kind = ExitKind::Unsupported;
    uint32_t reason = 0; // KVM_EXIT_*
    uint64_t address = 0;
    uint64_t suberror = 0;
    uint32_t bytes = 0;
    bool is_write = false;
    int error_number = 0;
};

// "KVM_EXIT_HLT" and so on; nullptr when unknown.
const char *exit_name(uint32_t reason);
// The same, or "KVM_EXIT_<number>".
std::string exit_text(uint32_t reason);

class Vcpu
{
public:
    Vcpu(const System &system, Vm &vm, uint32_t index);

    int fd() const { return fd_.get(); }
    // The shared page, for what Exit does not carry (port and MMIO data).
    kvm_run *shared() const { return reinterpret_cast<kvm_run *>(run_.data()); }

    void set_cpuid(const Cpuid &cpuid);
    kvm_regs registers() const;
    void set_registers(const kvm_regs &registers);
    kvm_sregs special_registers() const;
    void set_special_registers(const kvm_sregs &registers);
    // XSETBV(0, value).
    void set_xcr0(uint64_t value);

    Exit run();
    void interrupt_next_run(bool interrupt);

private:
    void call(const char *operation, const char *name, unsigned long request, void *argument) const;

    uint32_t index_;
    Fd fd_;
    Mapping run_;
};

} // namespace pageferry::kvm

#endif
