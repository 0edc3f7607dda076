// The mirror's first state. See mirror_state.h.
#include "mirror_state.h"

#include <cstring>

#include "abi/ring.h"

namespace pageferry
{

namespace
{

// GDT: null, ring-0 code and data, ring-3 data and code, then a 16-byte TSS per vCPU.
constexpr uint16_t ring0_code = 0x08;
constexpr uint16_t ring0_data = 0x10;
constexpr uint16_t ring3_data = 0x18 | 3;
constexpr uint16_t ring3_code = 0x20 | 3;
constexpr uint16_t first_tss = 0x28;
constexpr uint32_t tss_descriptor_bytes = 16;
constexpr uint16_t tss_limit = 103;

constexpr uint64_t gdt_entries[] = {
    0,
    0x00af9b000000ffff, // 64-bit code, DPL 0, accessed
    0x00cf93000000ffff, // data, DPL 0
    0x00cff3000000ffff, // data, DPL 3
    0x00affb000000ffff, // 64-bit code, DPL 3
};

constexpr uint64_t cr0_value = 0x80010033; // PG, WP, NE, ET, MP, PE
constexpr uint64_t cr4_pae = 1u << 5;
constexpr uint64_t cr4_osfxsr = 1u << 9;
constexpr uint64_t cr4_osxmmexcpt = 1u << 10;
constexpr uint64_t cr4_osxsave = 1u << 18;
constexpr uint64_t efer_value = (1u << 8) | (1u << 10) | (1u << 11); // LME, LMA, NXE
constexpr uint64_t rflags_reserved = 2;

void put(uint8_t *at, const void *from, size_t bytes)
{
    std::memcpy(at, from, bytes);
}

uint16_t tss_selector(uint32_t vcpu)
{
    return static_cast<uint16_t>(first_tss + vcpu * tss_descriptor_bytes);
}

void write_tables(uint8_t *memory, const Layout &layout)
{
    // 32 interrupt gates into the stub: type 14, DPL 0, present.
    for (uint32_t vector = 0; vector < 32; vector++) {
        uint64_t handler = layout.vector_virtual(vector);
        uint64_t gate[2] = {
            (handler & 0xffff) | (static_cast<uint64_t>(ring0_code) << 16) | (0x8eull << 40) |
                ((handler >> 16 & 0xffff) << 48),
            handler >> 32,
        };
        put(memory + layout.idt_offset() + vector * sizeof gate, gate, sizeof gate);
    }
    put(memory + layout.gdt_offset(), gdt_entries, sizeof gdt_entries);
}

void write_tss(uint8_t *memory, const Layout &layout, uint32_t vcpu)
{
    uint64_t base = layout.tss_virtual(vcpu);
    // 64-bit TSS, busy (type 11): KVM takes TR as loaded (Intel SDM 3A, 8.2.2).
    uint64_t descriptor[2] = {
        tss_limit | ((base & 0xffffff) << 16) | (0x8bull << 40) | ((base >> 24 & 0xff) << 56),
        base >> 32,
    };
    uint64_t rsp0 = layout.ring0_stack_top(vcpu);
    uint16_t no_io_map = tss_limit + 1;
    uint8_t *tss = memory + layout.tss_offset(vcpu);

    put(memory + layout.gdt_offset() + tss_selector(vcpu), descriptor, sizeof descriptor);
    put(tss + 4, &rsp0, sizeof rsp0);
    put(tss + 102, &no_io_map, sizeof no_io_map);
}

kvm_segment segment(uint16_t selector, uint8_t type, uint8_t dpl, bool code)
{
    kvm_segment value = {};

    value.limit = 0xffffffff;
    value.selector = selector;
    value.type = type;
    value.present = 1;
    value.dpl = dpl;
    value.s = 1;
    value.g = 1;
    value.l = code ? 1 : 0;
    value.db = code ? 0 : 1;
    return value;
}

} // namespace

void write_mirror_memory(uint8_t *memory, const Layout &layout, const HelperImage &image,
                         const PageTables &tables, const pf_boot &boot)
{
    put(memory + layout.image_offset(), image.bytes, image.header.file_bytes);
    write_tables(memory, layout);
    for (uint32_t vcpu = 0; vcpu < boot.vcpus; vcpu++) {
        write_tss(memory, layout, vcpu);
        // The stack protector's word (%fs:0x28) and what it is made of stay inside the mirror.
        put(memory + layout.fs_offset(vcpu) + 0x28, boot.seed, sizeof(uint64_t));
    }
    put(memory + layout.boot_offset(), &boot, sizeof boot);
    put(memory + layout.tables_offset(), tables.entries.data(),
        tables.entries.size() * sizeof(uint64_t));
}

void set_first_state(kvm::Vcpu &vcpu, const kvm::Cpuid &cpuid, const Layout &layout, uint64_t root,
                     uint32_t index)
{
    vcpu.set_cpuid(cpuid);
    kvm_sregs special = vcpu.special_registers();
    uint64_t vector_state = cpuid.vector_state_mask();

    special.cs = segment(ring3_code, 11, 3, true);
    special.ss = segment(ring3_data, 3, 3, false);
    special.ds = special.es = special.gs = special.fs = special.ss;
    // A null selector keeps the base, as 64-bit systems have it.
    special.fs.selector = 0;
    special.gs.selector = 0;
    special.fs.base = layout.physical(layout.fs_offset(index));
    special.tr = segment(tss_selector(index), 11, 0, false);
    special.tr.s = 0;
    special.tr.g = 0;
    special.tr.db = 0;
    special.tr.base = layout.tss_virtual(index);
    special.tr.limit = tss_limit;
    special.gdt.base = layout.gdt_virtual();
    special.gdt.limit = PF_PAGE_BYTES - 1;
    special.idt.base = layout.idt_virtual();
    special.idt.limit = 32 * 16 - 1;
    special.cr0 = cr0_value;
    special.cr3 = root;
    special.cr4 = cr4_pae | cr4_osfxsr | cr4_osxmmexcpt | (vector_state != 0 ? cr4_osxsave : 0);
    special.efer = efer_value;
    vcpu.set_special_registers(special);
    // Ordinary KVM starts with XCR0 = 1 (x87 only), and AVX would fault.
    if (vector_state != 0)
        vcpu.set_xcr0(vector_state);

    kvm_regs registers = {};
    registers.rip = layout.entry_virtual();
    registers.rsp = layout.user_stack_top(index);
    registers.rflags = rflags_reserved;
    registers.rdi = layout.physical(layout.boot_offset());
    registers.rsi = index;
    vcpu.set_registers(registers);
}

uint64_t ring_progress(const Mapping &window, uint32_t vcpu)
{
    const auto *ring = window.data() + static_cast<uint64_t>(vcpu) * PF_RING_STRIDE;
    const auto *used = reinterpret_cast<const pf_used *>(ring + PF_RING_USED_OFFSET);

    return __atomic_load_n(&used->index, __ATOMIC_RELAXED);
}

} // namespace pageferry
