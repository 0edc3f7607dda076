/*
 * What: what a mirror VM consists of before its first KVM_RUN: the private slot's contents and the
 * vCPUs' registers (Intel SDM 3A, chapters 3, 4 and 6: descriptors, paging, IDT and TSS).
 * Who: called by the kvm engine while it is constructed.
 */
#ifndef PAGEFERRY_ENGINE_MIRROR_STATE_H
#define PAGEFERRY_ENGINE_MIRROR_STATE_H

#include <cstdint>

#include "abi/boot.h"
#include "image.h"
#include "kvm/vcpu.h"
#include "layout.h"
#include "page_table.h"

namespace pageferry
{

// Image, GDT, IDT, one TSS per vCPU, boot block, page tables. `memory` is the private slot, zero.
void write_mirror_memory(uint8_t *memory, const Layout &layout, const HelperImage &image,
                         const PageTables &tables, const pf_boot &boot);

// 64-bit ring 3 at the image's entry, vector state as the CPU has it.
void set_first_state(kvm::Vcpu &vcpu, const kvm::Cpuid &cpuid, const Layout &layout, uint64_t root,
                     uint32_t index);

// The used index of the vCPU's ring: changes whenever a request has been finished.
uint64_t ring_progress(const Mapping &window, uint32_t vcpu);

} // namespace pageferry

#endif
