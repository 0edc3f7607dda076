// The mirror's memory layout. See layout.h.
#include "layout.h"

namespace pageferry
{

namespace
{

constexpr uint64_t page = PF_PAGE_BYTES;
constexpr uint64_t huge_page = 2ull << 20;

// System pages: GDT, IDT, then a TSS page and a ring-0 stack page for each vCPU. In virtual
// space each ring-0 stack has an unmapped page below and above it.
constexpr uint64_t shared_system_pages = 2;
constexpr uint64_t system_tss_virtual = system_virtual + (1ull << 20);
constexpr uint64_t system_stack_virtual = system_virtual + (2ull << 20);

// One vCPU's ring-3 pages: the FS page, a guard page, the stack. The next vCPU's FS page lies
// above the stack and is writable, so a second guard follows.
constexpr uint64_t user_guard_offset = page;
constexpr uint64_t user_stack_offset = user_guard_offset + page;
constexpr uint64_t user_area_bytes = user_stack_offset + user_stack_bytes + page;

uint64_t round_up(uint64_t value, uint64_t unit)
{
    return (value + unit - 1) / unit * unit;
}

} // namespace

Layout::Layout(const struct pf_address_space &space, const pf_image_header &image, uint32_t vcpus,
               uint64_t ram_limit, uint64_t window_bytes)
    : space_(space), image_(image), vcpus_(vcpus), ram_limit_(ram_limit),
      window_bytes_(window_bytes)
{
    system_offset_ = round_up(image.memory_bytes, page);
    boot_offset_ = system_offset_ + (shared_system_pages + 2ull * vcpus) * page;
    uint64_t user_end = user_area_offset(vcpus);
    // 2 MiB alignment, in the file as in the guest, gives the arena large pages.
    arena_offset_ = round_up(user_end, huge_page);
    arena_bytes_ = round_up(pf_arena_bytes(vcpus, ram_limit), huge_page);
    tables_offset_ = arena_offset_ + arena_bytes_;
}

uint64_t Layout::tss_offset(uint32_t vcpu) const
{
    return system_offset_ + (shared_system_pages + 2ull * vcpu) * page;
}

uint64_t Layout::ring0_stack_offset(uint32_t vcpu) const
{
    return tss_offset(vcpu) + page;
}

uint64_t Layout::user_area_offset(uint32_t vcpu) const
{
    return boot_offset_ + page + vcpu * user_area_bytes;
}

uint64_t Layout::fs_offset(uint32_t vcpu) const
{
    return user_area_offset(vcpu);
}

uint64_t Layout::tss_virtual(uint32_t vcpu) const
{
    return system_tss_virtual + vcpu * page;
}

uint64_t Layout::ring0_stack_top(uint32_t vcpu) const
{
    return system_stack_virtual + vcpu * 2 * page + 2 * page;
}

uint64_t Layout::user_stack_top(uint32_t vcpu) const
{
    return physical(user_area_offset(vcpu) + user_stack_offset + user_stack_bytes);
}

uint64_t Layout::vector_virtual(uint32_t vector) const
{
    return PF_HELPER_VIRTUAL + image_.vectors_offset + vector * image_.vector_bytes;
}

std::vector<PageMapping> Layout::mappings() const
{
    std::vector<PageMapping> list;
    auto identity = [&](uint64_t address, uint64_t bytes, bool write, bool shared) {
        list.push_back({address, address, bytes, true, write, false, shared});
    };
    auto segment = [&](uint64_t start, uint64_t end, bool user, bool write, bool execute) {
        if (end > start) {
            list.push_back({PF_HELPER_VIRTUAL + start, physical(image_offset() + start),
                            end - start, user, write, execute, false});
        }
    };
    auto system = [&](uint64_t address, uint64_t offset) {
        list.push_back({address, physical(offset), page, false, true, false, false});
    };

    identity(0, ram_limit_, true, false);
    segment(0, image_.stub_offset, true, false, false);
    segment(image_.stub_offset, image_.text_offset, false, false, true);
    segment(image_.text_offset, image_.rodata_offset, true, false, true);
    segment(image_.rodata_offset, image_.data_offset, true, false, false);
    segment(image_.data_offset, image_.memory_bytes, true, true, false);

    system(gdt_virtual(), gdt_offset());
    system(idt_virtual(), idt_offset());
    identity(physical(boot_offset_), page, false, false);
    for (uint32_t vcpu = 0; vcpu < vcpus_; vcpu++) {
        uint64_t area = user_area_offset(vcpu);

        system(tss_virtual(vcpu), tss_offset(vcpu));
        system(ring0_stack_top(vcpu) - page, ring0_stack_offset(vcpu));
        identity(physical(area), page, true, false);
        identity(physical(area + user_stack_offset), user_stack_bytes, true, false);
    }
    identity(physical(arena_offset_), arena_bytes_, true, false);
    identity(space_.window_gpa, window_bytes_, true, true);
    return list;
}

} // namespace pageferry
