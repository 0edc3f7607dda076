// A vCPU's fd. See vcpu.h.
#include "vcpu.h"

#include <cerrno>
#include <string>
#include <sys/ioctl.h>
#include <vector>

#include "cpuid_list.h"
#include "error.h"

#ifndef KVM_EXIT_MEMORY_FAULT
#define KVM_EXIT_MEMORY_FAULT 39 // Linux 6.8; Debian 12's headers are 6.1
#endif

namespace pageferry::kvm
{

const char *exit_name(uint32_t reason)
{
    switch (reason) {
    case KVM_EXIT_UNKNOWN:
        return "KVM_EXIT_UNKNOWN";
    case KVM_EXIT_EXCEPTION:
        return "KVM_EXIT_EXCEPTION";
    case KVM_EXIT_IO:
        return "KVM_EXIT_IO";
    case KVM_EXIT_HYPERCALL:
        return "KVM_EXIT_HYPERCALL";
    case KVM_EXIT_DEBUG:
        return "KVM_EXIT_DEBUG";
    case KVM_EXIT_HLT:
        return "KVM_EXIT_HLT";
    case KVM_EXIT_MMIO:
        return "KVM_EXIT_MMIO";
    case KVM_EXIT_SHUTDOWN:
        return "KVM_EXIT_SHUTDOWN";
    case KVM_EXIT_FAIL_ENTRY:
        return "KVM_EXIT_FAIL_ENTRY";
    case KVM_EXIT_INTR:
        return "KVM_EXIT_INTR";
    case KVM_EXIT_INTERNAL_ERROR:
        return "KVM_EXIT_INTERNAL_ERROR";
    case KVM_EXIT_SYSTEM_EVENT:
        return "KVM_EXIT_SYSTEM_EVENT";
    case KVM_EXIT_MEMORY_FAULT:
        return "KVM_EXIT_MEMORY_FAULT";
    default:
        return nullptr;
    }
}

std::string exit_text(uint32_t reason)
{
    const char *name = exit_name(reason);

    return name != nullptr ? name : "KVM_EXIT_" + std::to_string(reason);
}

Vcpu::Vcpu(const System &system, Vm &vm, uint32_t index)
    : index_(index), fd_(vm.create_vcpu(index)),
      run_(Mapping::map_fd("map vCPU " + std::to_string(index), fd_.get(),
                           system.vcpu_mapping_bytes()))
{
}

void Vcpu::call(const char *operation, const char *name, unsigned long request,
                void *argument) const
{
    if (::ioctl(fd_.get(), request, argument) < 0) {
        throw SystemError(std::string(operation) + " of vCPU " + std::to_string(index_), name,
                          errno);
    }
}

void Vcpu::set_cpuid(const Cpuid &cpuid)
{
    const auto &entries = cpuid.entries();
    std::vector<uint64_t> list = make_cpuid_list(static_cast<uint32_t>(entries.size()));

    std::memcpy(list.data() + 1, entries.data(), entries.size() * sizeof(kvm_cpuid_entry2));
    call("set the CPUID", "KVM_SET_CPUID2", set_cpuid2, list.data());
}

kvm_regs Vcpu::registers() const
{
    kvm_regs registers = {};

    call("read the registers", "KVM_GET_REGS", KVM_GET_REGS, &registers);
    return registers;
}

void Vcpu::set_registers(const kvm_regs &registers)
{
    kvm_regs copy = registers;

    call("set the registers", "KVM_SET_REGS", KVM_SET_REGS, &copy);
}

kvm_sregs Vcpu::special_registers() const
{
    kvm_sregs registers = {};

    call("read the special registers", "KVM_GET_SREGS", KVM_GET_SREGS, &registers);
    return registers;
}

void Vcpu::set_special_registers(const kvm_sregs &registers)
{
    kvm_sregs copy = registers;

    call("set the special registers", "KVM_SET_SREGS", KVM_SET_SREGS, &copy);
}

void Vcpu::set_xcr0(uint64_t value)
{
    kvm_xcrs xcrs = {};

    xcrs.nr_xcrs = 1;
    xcrs.xcrs[0].xcr = 0;
    xcrs.xcrs[0].value = value;
    call("set XCR0", "KVM_SET_XCRS", KVM_SET_XCRS, &xcrs);
}

void Vcpu::interrupt_next_run(bool interrupt)
{
    // The kernel reads it in kvm_arch_vcpu_ioctl_run; the signal that follows orders the store.
    __atomic_store_n(&shared()->immediate_exit, interrupt ? 1 : 0, __ATOMIC_SEQ_CST);
}

Exit Vcpu::run()
{
    kvm_run *shared_page = shared();
    Exit exit;

    shared_page->exit_reason = KVM_EXIT_UNKNOWN;
    int result = ::ioctl(fd_.get(), KVM_RUN, 0);
    int error_number = result < 0 ? errno : 0;

    exit.reason = shared_page->exit_reason;
    if (error_number == EINTR || error_number == EAGAIN) {
        exit.kind = ExitKind::Interrupted;
        return exit;
    }
    if (error_number != 0) {
        exit.error_number = error_number;
        exit.kind = ExitKind::RunFailed;
        // Linux 6.8 on: EFAULT comes with the guest-physical address (api.rst, 7.36).
        if (error_number == EFAULT && exit.reason == KVM_EXIT_MEMORY_FAULT) {
            struct {
                uint64_t flags, gpa, size;
            } fault;
            static_assert(sizeof fault <= sizeof shared_page->padding, "inside the union");
            __builtin_memcpy(&fault, shared_page->padding, sizeof fault);
            exit.kind = ExitKind::MemoryFault;
            exit.address = fault.gpa;
        }
        return exit;
    }

    switch (exit.reason) {
    case KVM_EXIT_HLT:
        exit.kind = ExitKind::Halt;
        break;
    case KVM_EXIT_INTR:
        exit.kind = ExitKind::Interrupted;
        break;
    case KVM_EXIT_MMIO:
        exit.kind = ExitKind::Mmio;
        exit.address = shared_page->mmio.phys_addr;
        exit.bytes = shared_page->mmio.len;
        exit.is_write = shared_page->mmio.is_write != 0;
        break;
    case KVM_EXIT_IO:
        exit.kind = ExitKind::Port;
        exit.address = shared_page->io.port;
        exit.bytes = shared_page->io.size * shared_page->io.count;
        exit.is_write = shared_page->io.direction == KVM_EXIT_IO_OUT;
        break;
    case KVM_EXIT_INTERNAL_ERROR:
        exit.kind = ExitKind::InternalError;
        exit.suberror = shared_page->internal.suberror;
        break;
    case KVM_EXIT_FAIL_ENTRY:
        exit.kind = ExitKind::FailEntry;
        exit.suberror = shared_page->fail_entry.hardware_entry_failure_reason;
        break;
    case KVM_EXIT_SHUTDOWN:
        exit.kind = ExitKind::Shutdown;
        break;
    default:
        exit.kind = ExitKind::Unsupported;
        break;
    }
    return exit;
}

} // namespace pageferry::kvm
