// What the machine offers. See probe.h.
#include "probe.h"

#include <cpuid.h>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <sys/mman.h>
#include <unistd.h>

#include "../abi/limits.h"
#include "../kvm/error.h"
#include "../kvm/mapping.h"
#include "../kvm/system.h"
#include "../kvm/vcpu.h"
#include "../kvm/vm.h"
#include "errors.h"

namespace pageferry::binding
{

namespace
{

constexpr uint16_t trial_port = 0x10;

// mov eax, 1; add eax, 1; out 0x10, al; hlt
constexpr uint8_t trial_code[] = {0xb8, 1, 0, 0, 0, 0x83, 0xc0, 1, 0xe6, trial_port, 0xf4};

struct Capability {
    const char *name;
    int number;
};

constexpr Capability capabilities[] = {
    {"immediateExit", KVM_CAP_IMMEDIATE_EXIT},
    {"userMemory", KVM_CAP_USER_MEMORY},
    {"syncMmu", KVM_CAP_SYNC_MMU},
    {"memorySlots", KVM_CAP_NR_MEMSLOTS},
    {"vcpus", KVM_CAP_NR_VCPUS},
    {"maxVcpus", KVM_CAP_MAX_VCPUS},
    {"manualDirtyLogProtect", KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2},
    {"xcrs", KVM_CAP_XCRS},
};

// A flat 32-bit segment.
kvm_segment segment(uint16_t selector, uint8_t type, uint8_t level)
{
    kvm_segment made{};

    made.limit = 0xffffffff;
    made.selector = static_cast<uint16_t>(selector | level);
    made.type = type;
    made.present = 1;
    made.dpl = level;
    made.db = 1;
    made.s = 1;
    made.g = 1;
    return made;
}

void set_level(kvm::Vcpu &vcpu, uint8_t level)
{
    kvm_sregs special = vcpu.special_registers();

    special.cr0 |= 1; // protected mode
    special.cs = segment(0x08, 11, level);
    special.ds = segment(0x10, 3, level);
    special.es = special.fs = special.gs = special.ss = special.ds;
    vcpu.set_special_registers(special);
}

// The port's exit proves ring 3 (with IOPL 3), the halt in ring 0 the rest.
void try_machine(const kvm::System &system, std::string &tried)
{
    Mapping memory = Mapping::map("map trial memory", PF_PAGE_BYTES, PF_PAGE_BYTES,
                                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    std::memcpy(memory.data(), trial_code, sizeof trial_code);
    kvm::Vm vm(system);
    tried = "vm";
    vm.set_slot({0, 0, PF_PAGE_BYTES, memory.data()});
    kvm::Vcpu vcpu(system, vm, 0);
    vcpu.set_cpuid(system.supported_cpuid());
    tried = "vcpu";
    set_level(vcpu, 3);
    kvm_regs registers{};
    registers.rflags = 0x3002;
    vcpu.set_registers(registers);
    kvm::Exit exit = vcpu.run();
    if (exit.kind != kvm::ExitKind::Port || exit.address != trial_port || !exit.is_write)
        return;
    tried = "ring3";
    set_level(vcpu, 0);
    registers = {};
    registers.rip = sizeof trial_code - 1;
    registers.rflags = 2;
    vcpu.set_registers(registers);
    if (vcpu.run().kind == kvm::ExitKind::Halt)
        tried = "halt";
}

Napi::Object probe_kvm(Napi::Env env)
{
    Napi::Object result = Napi::Object::New(env);
    Napi::Object found = Napi::Object::New(env);
    std::string tried = "nothing";
    int error_number = 0;
    int api_version = 0;

    try {
        kvm::System system;
        api_version = KVM_API_VERSION; // System accepts no other
        tried = "system";
        for (const Capability &each : capabilities)
            found.Set(each.name, Napi::Number::New(env, system.capability(each.number)));
        try_machine(system, tried);
    } catch (const SystemError &error) {
        error_number = error.error_number();
    } catch (const InvalidError &) {
        error_number = EPROTO; // an API version of its own
    }
    result.Set("present", Napi::Boolean::New(env, ::access("/dev/kvm", F_OK) == 0));
    result.Set("usable", Napi::Boolean::New(env, tried == "halt"));
    result.Set("errno", Napi::Number::New(env, error_number));
    result.Set("apiVersion", Napi::Number::New(env, api_version));
    result.Set("tried", Napi::String::New(env, tried));
    result.Set("capabilities", found);
    return result;
}

struct Leaf {
    unsigned int eax = 0, ebx = 0, ecx = 0, edx = 0;

    explicit Leaf(unsigned int number)
    {
        if (__get_cpuid_count(number, 0, &eax, &ebx, &ecx, &edx) == 0)
            eax = ebx = ecx = edx = 0;
    }
};

Napi::Object probe_cpu(Napi::Env env)
{
    Napi::Object flags = Napi::Object::New(env);
    Leaf basic(1), extended(7), more(0x80000001);
    auto set = [&](const char *name, unsigned int word, int bit) {
        flags.Set(name, Napi::Boolean::New(env, (word >> bit & 1) != 0));
    };

    set("ssse3", basic.ecx, 9);
    set("sse4_2", basic.ecx, 20);
    set("pclmulqdq", basic.ecx, 1);
    set("aes", basic.ecx, 25);
    set("xsave", basic.ecx, 26);
    set("avx", basic.ecx, 28);
    set("rdrand", basic.ecx, 30);
    set("hypervisor", basic.ecx, 31);
    set("avx2", extended.ebx, 5);
    set("bmi2", extended.ebx, 8);
    set("avx512f", extended.ebx, 16);
    set("avx512dq", extended.ebx, 17);
    set("rdseed", extended.ebx, 18);
    set("sha_ni", extended.ebx, 29);
    set("avx512bw", extended.ebx, 30);
    set("avx512vl", extended.ebx, 31);
    set("vaes", extended.ecx, 9);
    set("vpclmulqdq", extended.ecx, 10);
    set("pdpe1gb", more.edx, 26);
    return flags;
}

Napi::Object probe_huge_pages(Napi::Env env)
{
    Napi::Object result = Napi::Object::New(env);
    std::ifstream file("/proc/meminfo");
    std::string line;
    unsigned long long total = 0, free = 0, kibibytes = 0;

    while (std::getline(file, line)) {
        std::sscanf(line.c_str(), "HugePages_Total: %llu", &total);
        std::sscanf(line.c_str(), "HugePages_Free: %llu", &free);
        std::sscanf(line.c_str(), "Hugepagesize: %llu", &kibibytes);
    }
    result.Set("total", Napi::Number::New(env, static_cast<double>(total)));
    result.Set("free", Napi::Number::New(env, static_cast<double>(free)));
    result.Set("bytes", Napi::Number::New(env, static_cast<double>(kibibytes * 1024)));
    return result;
}

Napi::Value probe(const Napi::CallbackInfo &info)
{
    Napi::Env env = info.Env();
    return guarded(env, [&]() -> Napi::Value {
        Napi::Object result = Napi::Object::New(env);
        std::ifstream file("/sys/kernel/mm/transparent_hugepage/shmem_enabled");
        std::string setting;
        Leaf sizes(0x80000008);

        std::getline(file, setting);
        result.Set("kvm", probe_kvm(env));
        result.Set("cpu", probe_cpu(env));
        result.Set("physicalBits", Napi::Number::New(env, sizes.eax == 0 ? 36 : sizes.eax & 0xff));
        result.Set("hugePages", probe_huge_pages(env));
        result.Set("shmemHugePages", Napi::String::New(env, setting));
        return result;
    });
}

} // namespace

Napi::Object InitProbe(Napi::Env env, Napi::Object exports)
{
    exports.Set("probe", Napi::Function::New(env, probe, "probe"));
    return exports;
}

} // namespace pageferry::binding
