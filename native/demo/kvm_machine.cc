// The kvm backend: a VM of one vCPU whose guest runs the workload in ring 3. See machine.h.
// What the guest needs (GDT, IDT, TSS, stacks, image, page tables) lies in its RAM below the
// workload's table and migrates with it; install() writes it once, at the source.
#include <cstring>

#include "../kvm/error.h"
#include "../kvm/system.h"
#include "../kvm/vcpu.h"
#include "../kvm/vm.h"
#include "guest/build/guest_image.h"
#include "machine.h"
#include "vcpu_state.h"

namespace pageferry::demo
{

namespace
{

constexpr uint64_t gdt_base = PF_DEMO_DESCRIPTORS;
constexpr uint64_t idt_base = PF_DEMO_DESCRIPTORS + 0x1000;
constexpr uint64_t tss_base = PF_DEMO_DESCRIPTORS + 0x2000;
constexpr uint64_t ring0_stack_top = PF_DEMO_STACKS + 0x1000;
constexpr uint64_t ring3_stack_top = PF_DEMO_STACKS + 0x7000;
constexpr uint64_t image_base = PF_DEMO_IMAGE; // as in guest/guest.ld
constexpr uint64_t tables_base = PF_DEMO_PAGE_TABLES;
constexpr uint64_t gibibyte = 1ull << 30;
constexpr uint64_t large_page = 2ull << 20;
constexpr uint64_t ring3_entry_flags = 0x2;

// Present, writable, user (Intel SDM 3A, 4.5); a page of 2 MiB.
constexpr uint64_t table_bits = 7;
constexpr uint64_t large_bits = table_bits | 0x80;

// Offsets into the GDT; the TSS takes two entries.
constexpr uint16_t code0 = 0x08, data0 = 0x10, data3 = 0x18 | 3, code3 = 0x20 | 3, task = 0x28;

kvm_segment segment(uint16_t selector, uint8_t type, uint8_t ring, bool code)
{
    kvm_segment out = {};

    out.limit = 0xffffffff;
    out.selector = selector;
    out.type = type;
    out.present = 1;
    out.dpl = ring;
    out.db = code ? 0 : 1;
    out.s = 1;
    out.l = code ? 1 : 0;
    out.g = 1;
    return out;
}

class KvmMachine final : public Machine
{
    static_assert(image_base + sizeof pf_guest_image <= tables_base, "the image fits");
    static_assert(ring3_stack_top <= image_base, "the stacks fit");

public:
    explicit KvmMachine(std::shared_ptr<GuestMemory> memory)
        : memory_(std::move(memory)), vm_(system_)
    {
        if (system_.capability(KVM_CAP_IMMEDIATE_EXIT) <= 0)
            throw InvalidError("this KVM has no KVM_CAP_IMMEDIATE_EXIT");
        set_slot(false);
        vcpu_ = std::make_unique<kvm::Vcpu>(system_, vm_, 0);
        vcpu_->set_cpuid(system_.supported_cpuid());
    }

    Fixed install() override
    {
        write_tables();
        write_descriptors();
        std::memcpy(memory_->data() + image_base, pf_guest_image, sizeof pf_guest_image);

        kvm_sregs special = vcpu_->special_registers();
        special.cr0 = 0x80050033; // PG, AM, WP, NE, ET, MP, PE
        special.cr3 = tables_base;
        special.cr4 = 0x620;  // PAE, OSFXSR, OSXMMEXCPT
        special.efer = 0xd01; // SCE, LME, LMA, NX
        special.cs = segment(code3, 11, 3, true);
        special.ss = special.ds = special.es = special.fs = special.gs =
            segment(data3, 3, 3, false);
        special.tr = {};
        special.tr.base = tss_base;
        special.tr.limit = 0x67;
        special.tr.selector = task;
        special.tr.type = 11;
        special.tr.present = 1;
        special.ldt = {};
        special.ldt.unusable = 1;
        special.gdt.base = gdt_base;
        special.gdt.limit = 0x37;
        special.idt.base = idt_base;
        special.idt.limit = 32 * 16 - 1;
        vcpu_->set_special_registers(special);

        kvm_regs registers = {};
        std::memcpy(&registers.rip, pf_guest_image, sizeof registers.rip);
        registers.rsp = ring3_stack_top - 16;
        registers.rdi = memory_->bytes();
        registers.rflags = ring3_entry_flags;
        vcpu_->set_registers(registers);
        // To the halt before the first tick.
        while (!run()) {
        }
        return {image_base + sizeof pf_guest_image, tables_end()};
    }

    bool step(const pf_demo_input &input) override
    {
        if (halted_) {
            // As pf_guest_halt of guest/start.S takes them.
            kvm_regs registers = vcpu_->registers();
            registers.rax = input.now_ns;
            registers.rdx = input.clock;
            registers.rcx = input.mark;
            registers.rsi = input.check;
            vcpu_->set_registers(registers);
        }
        return run();
    }

    bool is_between_ticks() const override { return halted_; }

    // The owner repeats it until the step has returned, and signals the thread.
    void interrupt() override { vcpu_->interrupt_next_run(true); }
    void clear_interrupt() override { vcpu_->interrupt_next_run(false); }

    void start_dirty_log() override { set_slot(true); }

    void collect_dirty(std::vector<uint64_t> &bits) override
    {
        std::vector<uint64_t> log(bits.size());

        vm_.dirty_log(0, log.data());
        for (size_t i = 0; i < log.size(); i++)
            bits[i] |= log[i];
    }

    void stop_dirty_log() override { set_slot(false); }

    std::vector<uint8_t> save() const override { return save_vcpu(system_, *vcpu_, halted_); }

    void load(const uint8_t *state, size_t bytes) override
    {
        halted_ = load_vcpu(system_, *vcpu_, state, bytes);
    }

private:
    void set_slot(bool log) { vm_.set_slot({0, 0, memory_->bytes(), memory_->data(), log}); }

    // True: the guest halted, its tick has ended.
    bool run()
    {
        halted_ = false;
        kvm::Exit exit = vcpu_->run();
        if (exit.kind == kvm::ExitKind::Interrupted)
            return false;
        if (exit.kind == kvm::ExitKind::Halt) {
            halted_ = true;
            return true;
        }
        const char *name = kvm::exit_name(exit.reason);
        throw InvalidError(std::string("the vCPU left with ") + (name ? name : "an exit") + " at " +
                           std::to_string(exit.address) + ", suberror " +
                           std::to_string(exit.suberror) + ", errno " +
                           std::to_string(exit.error_number) + ", rip " +
                           std::to_string(vcpu_->registers().rip));
    }

    uint64_t tables_end() const
    {
        uint64_t directories = (memory_->bytes() + gibibyte - 1) / gibibyte;

        return tables_base + (2 + directories) * PF_DEMO_PAGE;
    }

    // Identity, 2 MiB pages. RAM that ends inside one is not mapped beyond by the slot.
    void write_tables()
    {
        uint64_t bytes = memory_->bytes();
        auto *root = reinterpret_cast<uint64_t *>(memory_->data() + tables_base);
        uint64_t *pointers = root + 512;
        uint64_t *directories = pointers + 512;

        root[0] = (tables_base + 0x1000) | table_bits;
        for (uint64_t at = 0; at * gibibyte < bytes; at++)
            pointers[at] = (tables_base + 0x2000 + at * PF_DEMO_PAGE) | table_bits;
        for (uint64_t at = 0; at * large_page < bytes; at++)
            directories[at] = at * large_page | large_bits;
    }

    void write_descriptors()
    {
        auto *gdt = reinterpret_cast<uint64_t *>(memory_->data() + gdt_base);
        auto *idt = reinterpret_cast<uint64_t *>(memory_->data() + idt_base);
        uint64_t gate[2]; // vector 13, every other one

        std::memcpy(gate, pf_guest_image + 8, sizeof gate);
        gdt[code0 / 8] = 0x00af9b000000ffff;
        gdt[data0 / 8] = 0x00cf93000000ffff;
        gdt[data3 / 8] = 0x00cff3000000ffff;
        gdt[code3 / 8] = 0x00affb000000ffff;
        gdt[task / 8] = 0x00008b0000000067 | tss_base << 16;
        gdt[task / 8 + 1] = 0;
        for (uint64_t vector = 0; vector < 32; vector++) {
            uint64_t to = vector == 13 ? gate[0] : gate[1];
            // 64-bit interrupt gate (Intel SDM 3A, 6.14.1); the image lies below 4 GiB.
            idt[2 * vector] = (to & 0xffff) | static_cast<uint64_t>(code0) << 16 | 0x8e00ull << 32 |
                              (to >> 16 & 0xffff) << 48;
            idt[2 * vector + 1] = 0;
        }
        uint64_t stack = ring0_stack_top;
        std::memcpy(memory_->data() + tss_base + 4, &stack, sizeof stack);
        uint16_t io_map = 0x68;
        std::memcpy(memory_->data() + tss_base + 102, &io_map, sizeof io_map);
    }

    std::shared_ptr<GuestMemory> memory_;
    kvm::System system_;
    kvm::Vm vm_;
    std::unique_ptr<kvm::Vcpu> vcpu_;
    bool halted_ = false;
};

} // namespace

std::unique_ptr<Machine> make_kvm_machine(std::shared_ptr<GuestMemory> memory)
{
    return std::make_unique<KvmMachine>(std::move(memory));
}

} // namespace pageferry::demo
