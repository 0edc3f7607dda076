// The vCPU's state as bytes. See vcpu_state.h.
#include "vcpu_state.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sys/ioctl.h>

#include "../kvm/error.h"

namespace pageferry::demo
{

namespace
{

constexpr uint32_t state_version = 2;

// What a 64-bit program can see or use (Intel SDM 4, table 2-2): TSC, SYSENTER's three, PAT,
// SYSCALL's four, KERNEL_GS_BASE, TSC_AUX. EFER, FS and GS are among the special registers.
constexpr uint32_t msr_numbers[] = {0x10,       0x174,      0x175,      0x176,
                                    0x277,      0xc0000081, 0xc0000082, 0xc0000083,
                                    0xc0000084, 0xc0000102, 0xc0000103};
constexpr size_t msrs_max = sizeof msr_numbers / sizeof *msr_numbers;

struct VcpuState {
    uint32_t version;
    uint32_t halted;
    uint32_t msr_count;
    uint32_t xsave_bytes; // what follows: kvm_xsave, or kvm_fpu where KVM gives no other
    kvm_regs regs;
    kvm_sregs sregs;
    kvm_xcrs xcrs;
    kvm_vcpu_events events;
    kvm_mp_state mp_state;
    kvm_debugregs debugregs;
    kvm_msr_entry msrs[msrs_max];
};

// struct kvm_msrs with its array of one, and its ioctls: see kvm/cpuid_list.h for why our own.
constexpr size_t msrs_header_bytes = 8;
constexpr unsigned long get_msrs = _IOC(_IOC_READ | _IOC_WRITE, KVMIO, 0x88, msrs_header_bytes);
constexpr unsigned long set_msrs = _IOC(_IOC_WRITE, KVMIO, 0x89, msrs_header_bytes);

struct OneMsr {
    uint32_t count;
    uint32_t pad;
    kvm_msr_entry entry;
};

struct State {
    VcpuState fixed;
    std::vector<uint8_t> xsave;
};

void call(const kvm::Vcpu &vcpu, const char *name, unsigned long request, void *argument)
{
    if (::ioctl(vcpu.fd(), request, argument) < 0)
        throw SystemError("move the vCPU's state", name, errno);
}

size_t xsave_bytes(const kvm::System &system)
{
    // More than kvm_xsave where there is AMX: then KVM_GET_XSAVE is refused (api.rst, 4.134).
    int bytes = system.capability(KVM_CAP_XSAVE2);

    return bytes > static_cast<int>(sizeof(kvm_xsave)) ? static_cast<size_t>(bytes)
                                                       : sizeof(kvm_xsave);
}

// Those that this KVM has and knows how to read.
uint32_t read_msrs(const kvm::Vcpu &vcpu, kvm_msr_entry *out)
{
    uint32_t count = 0;

    for (uint32_t number : msr_numbers) {
        OneMsr one = {};
        one.count = 1;
        one.entry.index = number;
        // The answer is how many were read: api.rst, 4.18.
        int result = ::ioctl(vcpu.fd(), get_msrs, &one);
        if (result < 0)
            throw SystemError("move the vCPU's state", "KVM_GET_MSRS", errno);
        if (result == 1)
            out[count++] = one.entry;
    }
    return count;
}

void write_msrs(const kvm::Vcpu &vcpu, const kvm_msr_entry *msrs, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        OneMsr one = {};
        one.count = 1;
        one.entry.index = msrs[i].index;
        one.entry.data = msrs[i].data;
        int result = ::ioctl(vcpu.fd(), set_msrs, &one);
        if (result < 0)
            throw SystemError("move the vCPU's state", "KVM_SET_MSRS", errno);
        if (result != 1)
            throw InvalidError("this KVM does not take the value of MSR " +
                               std::to_string(msrs[i].index));
    }
}

State read_state(const kvm::System &system, const kvm::Vcpu &vcpu)
{
    State state;
    VcpuState &fixed = state.fixed;

    std::memset(&fixed, 0, sizeof fixed);
    state.xsave.resize(xsave_bytes(system));
    // First: it may bring pending events to where the others find them (Linux api.rst).
    call(vcpu, "KVM_GET_MP_STATE", KVM_GET_MP_STATE, &fixed.mp_state);
    fixed.regs = vcpu.registers();
    fixed.sregs = vcpu.special_registers();
    // Some nested KVMs announce XSAVE and refuse it; the guest's code uses general registers only.
    unsigned long request = state.xsave.size() > sizeof(kvm_xsave) ? KVM_GET_XSAVE2 : KVM_GET_XSAVE;
    if (::ioctl(vcpu.fd(), request, state.xsave.data()) < 0) {
        if (errno != EINVAL)
            throw SystemError("move the vCPU's state", "KVM_GET_XSAVE", errno);
        state.xsave.assign(sizeof(kvm_fpu), 0);
        call(vcpu, "KVM_GET_FPU", KVM_GET_FPU, state.xsave.data());
    }
    call(vcpu, "KVM_GET_XCRS", KVM_GET_XCRS, &fixed.xcrs);
    call(vcpu, "KVM_GET_VCPU_EVENTS", KVM_GET_VCPU_EVENTS, &fixed.events);
    call(vcpu, "KVM_GET_DEBUGREGS", KVM_GET_DEBUGREGS, &fixed.debugregs);
    fixed.msr_count = read_msrs(vcpu, fixed.msrs);
    fixed.version = state_version;
    fixed.xsave_bytes = static_cast<uint32_t>(state.xsave.size());
    return state;
}

void write_state(const kvm::System &system, kvm::Vcpu &vcpu, State &state)
{
    VcpuState &fixed = state.fixed;

    vcpu.set_special_registers(fixed.sregs);
    call(vcpu, "KVM_SET_XCRS", KVM_SET_XCRS, &fixed.xcrs);
    if (fixed.xsave_bytes == sizeof(kvm_fpu)) {
        call(vcpu, "KVM_SET_FPU", KVM_SET_FPU, state.xsave.data());
    } else {
        // KVM reads as much as this machine's vector state has, whatever came.
        state.xsave.resize(xsave_bytes(system));
        call(vcpu, "KVM_SET_XSAVE", KVM_SET_XSAVE, state.xsave.data());
    }
    vcpu.set_registers(fixed.regs);
    write_msrs(vcpu, fixed.msrs, fixed.msr_count);
    call(vcpu, "KVM_SET_DEBUGREGS", KVM_SET_DEBUGREGS, &fixed.debugregs);
    call(vcpu, "KVM_SET_VCPU_EVENTS", KVM_SET_VCPU_EVENTS, &fixed.events);
    call(vcpu, "KVM_SET_MP_STATE", KVM_SET_MP_STATE, &fixed.mp_state);
}

State parse(const kvm::System &system, const uint8_t *data, size_t bytes)
{
    State state;
    VcpuState &fixed = state.fixed;

    if (bytes < sizeof fixed)
        throw InvalidError("the vCPU's state is cut short");
    std::memcpy(&fixed, data, sizeof fixed);
    if (fixed.version != state_version || fixed.halted > 1 || fixed.msr_count > msrs_max)
        throw InvalidError("this is no state of a vCPU, or of another version");
    for (uint32_t i = 0; i < fixed.msr_count; i++) {
        const uint32_t *end = msr_numbers + msrs_max;
        if (std::find(msr_numbers, end, fixed.msrs[i].index) == end)
            throw InvalidError("the vCPU's state holds an MSR that no state holds");
    }
    size_t most = xsave_bytes(system);
    bool known = fixed.xsave_bytes == sizeof(kvm_fpu) ||
                 (fixed.xsave_bytes >= sizeof(kvm_xsave) && fixed.xsave_bytes <= most);
    if (!known || bytes - sizeof fixed != fixed.xsave_bytes)
        throw InvalidError("the vCPU's vector state does not fit this machine");
    state.xsave.assign(data + sizeof fixed, data + bytes);
    return state;
}

} // namespace

std::vector<uint8_t> save_vcpu(const kvm::System &system, const kvm::Vcpu &vcpu, bool halted)
{
    State state = read_state(system, vcpu);

    state.fixed.halted = halted ? 1 : 0;
    std::vector<uint8_t> out(sizeof state.fixed + state.xsave.size());
    std::memcpy(out.data(), &state.fixed, sizeof state.fixed);
    std::memcpy(out.data() + sizeof state.fixed, state.xsave.data(), state.xsave.size());
    return out;
}

bool load_vcpu(const kvm::System &system, kvm::Vcpu &vcpu, const uint8_t *data, size_t bytes)
{
    State state = parse(system, data, bytes);
    State before = read_state(system, vcpu);

    try {
        write_state(system, vcpu, state);
    } catch (...) {
        // What KVM refuses it may have taken in part: the vCPU was valid, so it takes this.
        write_state(system, vcpu, before);
        throw;
    }
    return state.fixed.halted != 0;
}

} // namespace pageferry::demo
