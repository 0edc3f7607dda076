/*
 * What: the one interface of both engines. An engine runs the helper on `vcpus` native threads
 * and shares a window with it; the rings lie at the window's start, PF_RING_STRIDE apart.
 * Who: created, started, told about blocks and stopped from one thread (the caller's); the
 * report function is called on the vCPU threads.
 */
#ifndef PAGEFERRY_ENGINE_ENGINE_H
#define PAGEFERRY_ENGINE_ENGINE_H

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

#include "../abi/boot.h"
#include "../kvm/mapping.h"
#include "../memory/guest_memory.h"

namespace pageferry
{

// How a run of a vCPU ended. Anything but Halt ends the mirror: no vCPU runs again.
enum class EventKind {
    Halt,
    Fault,   // an exception in the helper
    Exit,    // KVM came back with something other than HLT
    Stall,   // neither halt nor progress on the ring for stall_timeout
    Stopped, // by stop(); never reported
};

struct Event {
    EventKind kind = EventKind::Halt;
    // Fault
    uint64_t vector = 0;
    uint64_t error_code = 0;
    uint64_t cr2 = 0;
    uint64_t rsp = 0;
    // Fault and Exit: where the helper was; 0 when unknown.
    uint64_t rip = 0;
    // Exit
    uint32_t reason = 0; // KVM_EXIT_*
    std::string name;    // "KVM_EXIT_MMIO"; with error_number the failed call, "KVM_RUN"
    uint64_t address = 0;
    uint64_t suberror = 0;
    bool is_write = false;
    // Exit: errno of the call `name` where there was no KVM_EXIT.
    int error_number = 0;
};

// One line for a log or an error message.
std::string describe(const Event &event);

// The first run of a vCPU did not end in a halt.
class StartError : public std::runtime_error
{
public:
    StartError(uint32_t vcpu, const Event &event);

    uint32_t vcpu() const { return vcpu_; }
    const Event &event() const { return event_; }

private:
    uint32_t vcpu_;
    Event event_;
};

struct EngineOptions {
    uint32_t vcpus = 1;
    uint32_t ring_entries = PF_RING_ENTRIES_MAX;
    uint64_t window_bytes = 0;
    // Rounded up to 1 GiB and down to what the engine has; see Engine::ram_limit.
    uint64_t ram_limit = PF_RAM_LIMIT_BYTES_MAX;
    std::chrono::milliseconds stall_timeout = std::chrono::seconds(10);
    uint32_t aes_variant = PF_AES_AUTO;
    // Engine kvm only; read during construction.
    const uint8_t *image = nullptr;
    size_t image_bytes = 0;
};

// Checks the options that both engines share. Throws InvalidError.
void check_options(const EngineOptions &options);

// `wanted` in whole GiB, at most `most`: the granule of the largest pages.
uint64_t round_ram_limit(uint64_t wanted, uint64_t most);

struct Block {
    uint32_t id = 0;
    std::shared_ptr<GuestMemory> memory;
    uint64_t memory_offset = 0;
    uint64_t ram_address = 0;
    uint64_t bytes = 0;
};

// Called on the vCPU's thread after each run; `handled` counts the kicks that were given before
// that run began (all of them are answered by it).
using Report = std::function<void(uint32_t vcpu, const Event &event, uint64_t handled)>;

// Its end stops it, closes all fds, wipes and frees the private memory and empties the window,
// whose mapping stays for as long as somebody shares it.
class Engine
{
public:
    virtual ~Engine() = default;

    // Runs vCPU 0 to its first halt, then the others to theirs. Throws StartError.
    virtual void start() = 0;
    // Wakes the vCPU. Never lost: a kick during a run leads to another run. False when the
    // engine is dead or stopped, and nothing will be reported. Returns at once.
    virtual bool kick(uint32_t vcpu) = 0;
    // Adds a block or replaces the one with that id, which is returned. Waits for running vCPUs
    // to halt, at most one second (SystemError with EBUSY). The helper learns of it by
    // PF_COMMAND_BLOCK_SET. When it throws, nothing has changed.
    virtual std::optional<Block> set_block(const Block &block) = 0;
    // No effect when there is no such block.
    virtual void remove_block(uint32_t id) = 0;
    // Ends all threads; nothing is reported after it. Idempotent. Not on a vCPU thread.
    virtual void stop() = 0;

    virtual std::shared_ptr<Mapping> window() const = 0;
    virtual uint64_t window_gpa() const = 0;
    virtual uint64_t ram_limit() const = 0;
};

std::unique_ptr<Engine> make_kvm_engine(const EngineOptions &options, Report report);
std::unique_ptr<Engine> make_in_process_engine(const EngineOptions &options, Report report);

} // namespace pageferry

#endif
