/*
 * What: where everything lies in a mirror: the private slot's parts, and the virtual addresses
 * of all of it (DESIGN 3, pf_address_space in native/abi/boot.h). Pure arithmetic.
 *
 *   private slot (guest-physical)                    virtual
 *     image                                          PF_HELPER_VIRTUAL, permissions per segment
 *     GDT, IDT, one TSS and ring-0 stack per vCPU    system_virtual, supervisor only
 *     boot block                                     identity, ring 3, read-only
 *     per vCPU: FS page, guard, 64 KiB stack         identity, ring 3; guards unmapped
 *     arena                                          identity, ring 3
 *     page tables                                    nowhere
 *   window slot                                      identity, ring 3
 *   guest RAM                                        identity, ring 3
 */
#ifndef PAGEFERRY_ENGINE_LAYOUT_H
#define PAGEFERRY_ENGINE_LAYOUT_H

#include <cstdint>
#include <vector>

#include "../abi/boot.h"
#include "image.h"
#include "page_table.h"

namespace pageferry
{

// 1 GiB above the image: clear of image_bytes_max, and in the top 2 GiB as the image is.
constexpr uint64_t system_virtual = PF_HELPER_VIRTUAL + (1ull << 30);
constexpr uint64_t user_stack_bytes = 64ull << 10;

class Layout
{
public:
    // ram_limit: a multiple of 1 GiB, at most space.ram_limit. window_bytes: a page multiple.
    Layout(const struct pf_address_space &space, const pf_image_header &image, uint32_t vcpus,
           uint64_t ram_limit, uint64_t window_bytes);

    // All mappings; the tables themselves are made with tables_physical().
    std::vector<PageMapping> mappings() const;

    // Offsets in the private slot.
    uint64_t image_offset() const { return 0; }
    uint64_t gdt_offset() const { return system_offset_; }
    uint64_t idt_offset() const { return system_offset_ + PF_PAGE_BYTES; }
    uint64_t tss_offset(uint32_t vcpu) const;
    uint64_t ring0_stack_offset(uint32_t vcpu) const;
    uint64_t boot_offset() const { return boot_offset_; }
    uint64_t fs_offset(uint32_t vcpu) const;
    uint64_t arena_offset() const { return arena_offset_; }
    uint64_t arena_bytes() const { return arena_bytes_; }
    uint64_t tables_offset() const { return tables_offset_; }
    // Without the page tables: the slot's size is this plus theirs.
    uint64_t bytes_before_tables() const { return tables_offset_; }

    uint64_t physical(uint64_t offset) const { return space_.private_gpa + offset; }
    // Virtual addresses.
    uint64_t gdt_virtual() const { return system_virtual; }
    uint64_t idt_virtual() const { return system_virtual + PF_PAGE_BYTES; }
    uint64_t tss_virtual(uint32_t vcpu) const;
    uint64_t ring0_stack_top(uint32_t vcpu) const;
    uint64_t user_stack_top(uint32_t vcpu) const;
    uint64_t entry_virtual() const { return PF_HELPER_VIRTUAL + image_.entry_offset; }
    uint64_t vector_virtual(uint32_t vector) const;

private:
    uint64_t user_area_offset(uint32_t vcpu) const;

    struct pf_address_space space_;
    pf_image_header image_;
    uint32_t vcpus_;
    uint64_t ram_limit_;
    uint64_t window_bytes_;
    uint64_t system_offset_;
    uint64_t boot_offset_;
    uint64_t arena_offset_;
    uint64_t arena_bytes_;
    uint64_t tables_offset_;
};

} // namespace pageferry

#endif
