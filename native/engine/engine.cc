// What both engines share besides their threads: option checks and event texts. See engine.h.
#include "engine.h"

#include <cinttypes>
#include <cstdio>
#include <cstring>

#include "../abi/ring.h"
#include "../kvm/error.h"

namespace pageferry
{

std::string describe(const Event &event)
{
    char text[256];

    switch (event.kind) {
    case EventKind::Halt:
        return "halted";
    case EventKind::Fault:
        std::snprintf(text, sizeof text,
                      "the helper faulted: vector %" PRIu64 ", error code %#" PRIx64
                      ", rip %#" PRIx64 ", cr2 %#" PRIx64,
                      event.vector, event.error_code, event.rip, event.cr2);
        return text;
    case EventKind::Exit:
        if (event.error_number != 0) {
            char reason[128];
            std::snprintf(text, sizeof text, "%s failed: %s, rip %#" PRIx64, event.name.c_str(),
                          strerror_r(event.error_number, reason, sizeof reason), event.rip);
        } else {
            std::snprintf(text, sizeof text,
                          "the mirror left with %s: address %#" PRIx64 ", suberror %" PRIu64
                          ", rip %#" PRIx64,
                          event.name.c_str(), event.address, event.suberror, event.rip);
        }
        return text;
    case EventKind::Stall:
        return "the vCPU neither halted nor finished a request in time";
    case EventKind::Stopped:
        break;
    }
    return "stopped";
}

StartError::StartError(uint32_t vcpu, const Event &event)
    : std::runtime_error("vCPU " + std::to_string(vcpu) + " did not start: " + describe(event)),
      vcpu_(vcpu), event_(event)
{
}

uint64_t round_ram_limit(uint64_t wanted, uint64_t most)
{
    constexpr uint64_t gibibyte = 1ull << 30;

    // Compared before rounding: the sum must not wrap.
    return wanted >= most ? most : (wanted + gibibyte - 1) / gibibyte * gibibyte;
}

void check_options(const EngineOptions &options)
{
    auto require = [](bool condition, const char *what) {
        if (!condition)
            throw InvalidError(what);
    };
    uint32_t entries = options.ring_entries;

    require(options.vcpus >= 1 && options.vcpus <= PF_VCPUS_MAX, "vcpus must be 1 to 16");
    require(entries >= 1 && entries <= PF_RING_ENTRIES_MAX && (entries & (entries - 1)) == 0,
            "ringEntries must be a power of two, at most 256");
    require(options.window_bytes % PF_PAGE_BYTES == 0, "windowBytes must be a multiple of 4096");
    require(options.window_bytes >= static_cast<uint64_t>(options.vcpus) * PF_RING_STRIDE &&
                options.window_bytes <= PF_WINDOW_BYTES_MAX,
            "windowBytes must hold the rings and be at most 1 GiB");
    require(options.ram_limit >= 1, "ramLimitBytes must be positive");
    require(options.stall_timeout.count() >= 1, "stallTimeoutMs must be positive");
    require(options.aes_variant <= PF_AES_AVX512, "unknown AES variant");
}

} // namespace pageferry
