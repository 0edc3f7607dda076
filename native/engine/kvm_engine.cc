// Engine kvm: the mirror VM (DESIGN 2 and 3). Private slot, window slot and one slot per RAM
// block; vCPUs start in ring 3 at the image's entry; never dirty logging, irqchip or device.
#include <linux/kvm.h>

#include "abi/ring.h"
#include "blocks.h"
#include "kvm/error.h"
#include "kvm/system.h"
#include "kvm/vcpu.h"
#include "kvm/vm.h"
#include "layout.h"
#include "mirror_state.h"
#include "private_memory.h"
#include "vcpu_pool.h"

namespace pageferry
{

namespace
{

// Memory slots: the two of the mirror, then one per RAM block.
constexpr uint32_t private_slot = 0;
constexpr uint32_t window_slot = 1;
constexpr uint32_t first_block_slot = 2;

class KvmEngine final : public Engine, private VcpuRunner
{
public:
    KvmEngine(const EngineOptions &options, Report report)
        : cpuid_(system_.supported_cpuid()), space_(pf_address_space(cpuid_.physical_bits())),
          ram_limit_(round_ram_limit(options.ram_limit, space_.ram_limit)),
          image_(parse_image(options.image, options.image_bytes)),
          layout_(space_, image_.header, options.vcpus, ram_limit_, options.window_bytes),
          tables_(build_page_tables(layout_.mappings(), layout_.physical(layout_.tables_offset()),
                                    cpuid_.gibibyte_pages(), 0)),
          window_(make_window(options.window_bytes)),
          private_(layout_.bytes_before_tables() + tables_.entries.size() * sizeof(uint64_t)),
          vm_(system_), pool_(*this, options.vcpus, options.stall_timeout, std::move(report))
    {
        private_.prefer_huge_pages(layout_.arena_offset(),
                                   PF_ARENA_SHARED_BYTES + options.vcpus * PF_ARENA_VCPU_BYTES);
        pf_boot boot = boot_block(options);
        write_mirror_memory(private_.data(), layout_, image_, tables_, boot);
        wipe(&boot, sizeof boot);
        vm_.set_slot({private_slot, space_.private_gpa, private_.bytes(), private_.data()});
        vm_.set_slot({window_slot, space_.window_gpa, window_->size(), window_->data()});
        for (uint32_t vcpu = 0; vcpu < options.vcpus; vcpu++) {
            vcpus_.push_back(std::make_unique<kvm::Vcpu>(system_, vm_, vcpu));
            set_first_state(*vcpus_.back(), cpuid_, layout_, tables_.root, vcpu);
        }
    }

    // The members go from the last to the first: vCPUs and VM, then the memory they use.
    ~KvmEngine() override
    {
        pool_.stop();
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
            // A slot cannot change its size or memory (api.rst, 4.35): delete and add.
            if (before)
                vm_.remove_slot(first_block_slot + block.id);
            try {
                add_slot(block);
            } catch (const SystemError &) {
                if (before)
                    add_slot(*before);
                throw;
            }
            blocks_.set(block);
        });
        return before;
    }

    void remove_block(uint32_t id) override
    {
        check_block_id(id);
        pool_.while_quiet([&] {
            vm_.remove_slot(first_block_slot + id);
            blocks_.remove(id);
        });
    }

    std::shared_ptr<Mapping> window() const override { return window_; }
    uint64_t window_gpa() const override { return space_.window_gpa; }
    uint64_t ram_limit() const override { return ram_limit_; }

private:
    void add_slot(const Block &block)
    {
        vm_.set_slot({first_block_slot + block.id, block.ram_address, block.bytes,
                      block.memory->data() + block.memory_offset});
    }

    pf_boot boot_block(const EngineOptions &options) const
    {
        pf_boot boot = {};

        boot.abi_version = PF_ABI_VERSION;
        boot.vcpus = options.vcpus;
        boot.ring_entries = options.ring_entries;
        boot.aes_variant = options.aes_variant;
        boot.ram_limit = ram_limit_;
        boot.window_gpa = space_.window_gpa;
        boot.window_virtual = space_.window_gpa;
        boot.window_bytes = options.window_bytes;
        boot.arena_virtual = layout_.physical(layout_.arena_offset());
        boot.arena_bytes = layout_.arena_bytes();
        fill_random(boot.seed, sizeof boot.seed);
        return boot;
    }

    Event run(uint32_t vcpu) override
    {
        kvm::Exit exit = vcpus_[vcpu]->run();
        Event event;

        if (exit.kind == kvm::ExitKind::Halt) {
            pf_fault fault = read_fault(vcpu);
            if (fault.magic != PF_FAULT_MAGIC)
                return event;
            event.kind = EventKind::Fault;
            event.vector = fault.vector;
            event.error_code = fault.error_code;
            event.rip = fault.rip;
            event.cr2 = fault.cr2;
            event.rsp = fault.rsp;
            return event;
        }
        if (exit.kind == kvm::ExitKind::Interrupted) {
            event.kind = EventKind::Stopped;
            return event;
        }
        event.kind = EventKind::Exit;
        event.reason = exit.reason;
        event.name = exit.error_number != 0 ? "KVM_RUN" : kvm::exit_text(exit.reason);
        event.address = exit.address;
        event.suberror = exit.suberror;
        event.is_write = exit.is_write;
        event.error_number = exit.error_number;
        event.rip = instruction_pointer(vcpu);
        return event;
    }

    void interrupt(uint32_t vcpu, bool on) override { vcpus_[vcpu]->interrupt_next_run(on); }

    uint64_t progress(uint32_t vcpu) override { return ring_progress(*window_, vcpu); }

    // The helper could still be writing it only if it ran, and it has halted: one plain copy.
    pf_fault read_fault(uint32_t vcpu) const
    {
        pf_fault fault;

        __builtin_memcpy(&fault, private_.data() + layout_.ring0_stack_offset(vcpu), sizeof fault);
        return fault;
    }

    uint64_t instruction_pointer(uint32_t vcpu) const
    {
        try {
            return vcpus_[vcpu]->registers().rip;
        } catch (const SystemError &) {
            return 0; // "0 when unknown" (engine.h): the exit itself is what gets reported
        }
    }

    kvm::System system_;
    kvm::Cpuid cpuid_;
    struct pf_address_space space_;
    uint64_t ram_limit_;
    HelperImage image_;
    Layout layout_;
    PageTables tables_;
    std::shared_ptr<Mapping> window_;
    PrivateMemory private_;
    Blocks blocks_;
    kvm::Vm vm_;
    std::vector<std::unique_ptr<kvm::Vcpu>> vcpus_;
    VcpuPool pool_;
};

} // namespace

std::unique_ptr<Engine> make_kvm_engine(const EngineOptions &options, Report report)
{
    check_options(options);
    return std::make_unique<KvmEngine>(options, std::move(report));
}

} // namespace pageferry
