/*
 * What: how the host starts the helper in a mirror VM: the image's header, the boot block, the
 * address space and the fault page.
 * Who: written by native/engine (host) before the first KVM_RUN, read by native/helper.
 */
#ifndef PAGEFERRY_ABI_BOOT_H
#define PAGEFERRY_ABI_BOOT_H

#include <stdint.h>
#include "limits.h"

#define PF_IMAGE_MAGIC 0x31474d4946524650ull /* "PFRFIMG1" */
#define PF_HELPER_VIRTUAL 0xffffffff80000000ull

/*
 * At offset 0 of the flat image. Offsets are bytes from there; all boundaries are page-aligned:
 *   [0, stub_offset)             this header, read-only for ring 3
 *   [stub_offset, text_offset)   ring-0 stub, supervisor, read and execute
 *   [text_offset, rodata_offset) ring 3, read and execute
 *   [rodata_offset, data_offset) ring 3, read-only
 *   [data_offset, memory_bytes)  ring 3, read and write; file_bytes.. is zero (bss)
 */
struct pf_image_header {
    uint64_t magic;
    uint32_t abi_version;
    uint32_t header_bytes;
    uint32_t entry_offset;   /* ring 3; rdi = struct pf_boot *, esi = vCPU number */
    uint32_t halt_offset;    /* the helper's one HLT */
    uint32_t vectors_offset; /* exception n enters at vectors_offset + n * vector_bytes */
    uint32_t vector_bytes;
    uint32_t stub_offset;
    uint32_t text_offset;
    uint32_t rodata_offset;
    uint32_t data_offset;
    uint32_t file_bytes;
    uint32_t memory_bytes;
    uint32_t flags; /* PF_IMAGE_F_TEST */
    uint32_t reserved;
};

/* The image answers PF_COMMAND_TEST_FAULT; only tests load it. */
#define PF_IMAGE_F_TEST 1u

/*
 * The address space of a mirror, from the CPU's physical address width (CPUID 0x80000008).
 * Guest RAM: guest-physical = virtual = ram_addr_t in [0, ram_limit). Above it, identity-mapped
 * too: the private slot (image, stacks, tables, arena) and the shared window slot. The image is
 * mapped a second time at PF_HELPER_VIRTUAL, with the permissions of its segments; its identity
 * mapping is absent.
 */
struct pf_address_space {
    uint64_t ram_limit;
    uint64_t private_gpa;
    uint64_t window_gpa;
};

static inline struct pf_address_space pf_address_space(uint32_t physical_bits)
{
    /* ram_limit = 2^(bits - 1), at most 512 GiB; private at 1 x, window at 1.5 x that. */
    uint32_t bits = physical_bits > 40 ? 39 : physical_bits - 1;
    struct pf_address_space space;

    space.ram_limit = 1ull << bits;
    space.private_gpa = space.ram_limit;
    space.window_gpa = space.ram_limit + (space.ram_limit >> 1);
    return space;
}

enum pf_aes_variant {
    PF_AES_AUTO = 0, /* the helper looks: CPUID and XGETBV */
    PF_AES_SSE = 1,
    PF_AES_AVX = 2,
    PF_AES_AVX2 = 3,
    PF_AES_AVX512 = 4,
};

struct pf_boot {
    uint32_t abi_version;
    uint32_t vcpus;
    uint32_t ring_entries;
    uint32_t aes_variant;    /* enum pf_aes_variant */
    uint64_t ram_limit;      /* pages at or above it are refused */
    uint64_t window_gpa;     /* what descriptor addresses are relative to */
    uint64_t window_virtual; /* where the helper sees the window */
    uint64_t window_bytes;
    uint64_t arena_virtual; /* private memory, page-aligned, zero at the start */
    uint64_t arena_bytes;   /* at least pf_arena_bytes(vcpus, ram_limit) */
    uint8_t seed[32];       /* host randomness, mixed in, never trusted alone */
};

/* Per vCPU, on the ring-0 stack page, at its lowest address; written by the stub only. */
#define PF_FAULT_MAGIC 0x544c554146524650ull /* "PFRFAULT" */
struct pf_fault {
    uint64_t magic; /* PF_FAULT_MAGIC once a fault has happened */
    uint64_t vector;
    uint64_t error_code;
    uint64_t rip;
    uint64_t cr2;
    uint64_t rsp;
};

/* Working memory of one vCPU in the arena: staging, codec state, scratch. */
#define PF_ARENA_VCPU_BYTES (16ull << 20)
/* Device state shared by the vCPUs: sessions, block table, stream windows. */
#define PF_ARENA_SHARED_BYTES (4ull << 20)
/* Three bitmaps with a bit per page (this epoch, ever, with content), one per 1 MiB chunk. */
static inline uint64_t pf_arena_bytes(uint32_t vcpus, uint64_t ram_limit)
{
    uint64_t bitmap = (ram_limit >> PF_PAGE_SHIFT) / 8;

    return PF_ARENA_SHARED_BYTES + vcpus * PF_ARENA_VCPU_BYTES + 3 * bitmap + bitmap / 256 + 4096;
}

_Static_assert(sizeof(struct pf_image_header) == 64, "image header");

#endif
