// Engine in-process: the helper's code on native threads of this process, for machines without a
// usable /dev/kvm. Guest RAM is reached through the block's mapping instead of a memory slot. What
// leaves KVM_RUN there leaves the helper's code here (trap.h), and ends the mirror as well.
#include <atomic>
#include <cerrno>
#include <linux/kvm.h>

#include "abi/ring.h"
#include "blocks.h"
#include "helper/device.h"
#include "kvm/error.h"
#include "mirror_state.h"
#include "private_memory.h"
#include "trap.h"
#include "vcpu_pool.h"

namespace pageferry
{

namespace
{

constexpr uint32_t physical_bits = 40;
// Bit 1 of a page fault's error code (Intel SDM 3A, 4.7).
constexpr uint64_t page_fault_write = 2;

class InProcessEngine final : public Engine, private VcpuRunner
{
public:
    InProcessEngine(const EngineOptions &options, Report report)
        : ram_limit_(round_ram_limit(options.ram_limit, pf_address_space(physical_bits).ram_limit)),
          window_(make_window(options.window_bytes)),
          arena_(pf_arena_bytes(options.vcpus, ram_limit_) / huge_page * huge_page + huge_page),
          vcpus_(options.vcpus),
          pool_(*this, options.vcpus, options.stall_timeout, std::move(report))
    {
        pf_boot boot = {};

        boot.abi_version = PF_ABI_VERSION;
        boot.vcpus = options.vcpus;
        boot.ring_entries = options.ring_entries;
        boot.aes_variant = options.aes_variant;
        boot.ram_limit = ram_limit_;
        boot.window_gpa = window_gpa();
        boot.window_virtual = reinterpret_cast<uint64_t>(window_->data());
        boot.window_bytes = options.window_bytes;
        boot.arena_virtual = reinterpret_cast<uint64_t>(arena_.data());
        boot.arena_bytes = arena_.bytes();
        install_traps();
        arena_.prefer_huge_pages(0, PF_ARENA_SHARED_BYTES + options.vcpus * PF_ARENA_VCPU_BYTES);
        fill_random(boot.seed, sizeof boot.seed);
        device_ = pf_device_create(&boot);
        wipe(&boot, sizeof boot);
        if (device_ == nullptr)
            throw InvalidError("the helper refused its boot block");
    }

    ~InProcessEngine() override
    {
        pool_.stop();
        if (device_ != nullptr)
            pf_device_destroy(device_);
        empty_window(*window_);
    }

    void start() override { pool_.start(); }
    void stop() override { pool_.stop(); }
    bool kick(uint32_t vcpu) override { return pool_.kick(vcpu); }

    std::optional<Block> set_block(const Block &block) override
    {
        std::optional<Block> before;

        pool_.while_quiet([&] {
            blocks_.check(block, ram_limit_);
            before = blocks_.find(block.id);
            pf_device_map_block(device_, block.id, block.memory->data() + block.memory_offset,
                                block.bytes);
            blocks_.set(block);
        });
        return before;
    }

    void remove_block(uint32_t id) override
    {
        check_block_id(id);
        pool_.while_quiet([&] {
            pf_device_map_block(device_, id, nullptr, 0);
            blocks_.remove(id);
        });
    }

    std::shared_ptr<Mapping> window() const override { return window_; }
    uint64_t window_gpa() const override { return pf_address_space(physical_bits).window_gpa; }
    uint64_t ram_limit() const override { return ram_limit_; }

private:
    static constexpr uint64_t huge_page = 2ull << 20;

    struct Vcpu {
        std::atomic<bool> leave{false};
    };

    struct Run {
        pf_device *device;
        uint32_t vcpu;
    };

    static void run_device(void *argument)
    {
        const auto *run = static_cast<const Run *>(argument);

        pf_device_run(run->device, run->vcpu);
    }

    Event run(uint32_t vcpu) override
    {
        Run run = {device_, vcpu};

        accept_faults();
        return to_event(run_trapped(run_device, &run, vcpus_[vcpu].leave));
    }

    // As engine kvm tells the same mishaps.
    static Event to_event(const TrapResult &result)
    {
        Event event;

        event.rip = result.rip;
        switch (result.kind) {
        case TrapKind::Returned:
            break;
        case TrapKind::Left:
            event.kind = EventKind::Stopped;
            break;
        case TrapKind::Bus:
            event.kind = EventKind::Exit;
            event.name = "SIGBUS";
            event.error_number = EFAULT;
            break;
        case TrapKind::Fault:
            if (result.address >= PF_UNMAPPED_BASE &&
                result.address - PF_UNMAPPED_BASE < PF_RAM_LIMIT_BYTES_MAX) {
                event.kind = EventKind::Exit;
                event.reason = KVM_EXIT_MMIO;
                event.name = "KVM_EXIT_MMIO";
                event.address = result.address - PF_UNMAPPED_BASE;
                event.is_write = (result.error_code & page_fault_write) != 0;
                break;
            }
            event.kind = EventKind::Fault;
            event.vector = result.vector;
            event.error_code = result.error_code;
            event.cr2 = result.address;
            event.rsp = result.rsp;
            break;
        }
        return event;
    }

    void interrupt(uint32_t vcpu, bool on) override { vcpus_[vcpu].leave = on; }

    uint64_t progress(uint32_t vcpu) override { return ring_progress(*window_, vcpu); }

    uint64_t ram_limit_;
    std::shared_ptr<Mapping> window_;
    PrivateMemory arena_;
    std::vector<Vcpu> vcpus_;
    pf_device *device_ = nullptr;
    Blocks blocks_;
    VcpuPool pool_;
};

} // namespace

std::unique_ptr<Engine> make_in_process_engine(const EngineOptions &options, Report report)
{
    check_options(options);
    return std::make_unique<InProcessEngine>(options, std::move(report));
}

} // namespace pageferry
