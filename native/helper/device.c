/*
 * What: the entry points of device.h: laying out the arena, serving a ring.
 */
#include "blocks.h"
#include "commands.h"
#include "copy.h"
#include "ring.h"
#include "session.h"

static bool boot_fits(const struct pf_boot *boot)
{
    const uint32_t entries = boot->ring_entries;

    return boot->abi_version == PF_ABI_VERSION && boot->vcpus >= 1 && boot->vcpus <= PF_VCPUS_MAX &&
           entries >= 1 && entries <= PF_RING_ENTRIES_MAX && (entries & (entries - 1)) == 0 &&
           boot->ram_limit > 0 && boot->ram_limit <= PF_RAM_LIMIT_BYTES_MAX &&
           boot->ram_limit % PF_PAGE_BYTES == 0 &&
           boot->window_bytes >= (uint64_t)boot->vcpus * PF_RING_STRIDE &&
           boot->window_bytes <= PF_WINDOW_BYTES_MAX &&
           boot->window_gpa <= UINT64_MAX - boot->window_bytes &&
           boot->window_virtual % PF_PAGE_BYTES == 0 && boot->window_virtual != 0 &&
           boot->arena_virtual % PF_PAGE_BYTES == 0 && boot->arena_virtual != 0 &&
           boot->arena_bytes >= pf_arena_bytes(boot->vcpus, boot->ram_limit);
}

/* Hands out the arena's bitmaps; pf_arena_bytes leaves 4 KiB for rounding up to words. */
static uint64_t *take_bitmap(uint8_t **arena, uint64_t bits)
{
    uint64_t *bitmap = (uint64_t *)(void *)*arena;

    *arena += (bits + 63) / 64 * 8;
    return bitmap;
}

struct pf_device *pf_device_create(const struct pf_boot *given)
{
    const struct pf_boot boot = *given;
    const uint64_t pages = boot.ram_limit >> PF_PAGE_SHIFT;
    struct pf_device *device = (struct pf_device *)boot.arena_virtual;
    bool assume_rdrand = false;
    uint8_t *bitmaps;

    if (!boot_fits(&boot))
        return NULL;
    device->gcm = pf_gcm_select(boot.aes_variant, &device->aes_variant);
    if (device->gcm == NULL)
        return NULL;
    device->vcpus = boot.vcpus;
    device->ring_entries = boot.ring_entries;
    device->ram_limit = boot.ram_limit;
    device->window_gpa = boot.window_gpa;
    device->window_bytes = boot.window_bytes;
    device->window = (uint8_t *)boot.window_virtual;
    device->vcpu_memory = (uint8_t *)boot.arena_virtual + PF_ARENA_SHARED_BYTES;
    bitmaps = device->vcpu_memory + boot.vcpus * PF_ARENA_VCPU_BYTES;
    device->in_epoch = take_bitmap(&bitmaps, pages);
    device->ever = take_bitmap(&bitmaps, pages);
    device->content = take_bitmap(&bitmaps, pages);
    device->chunks = take_bitmap(&bitmaps, (pages + 255) / 256);
    for (uint32_t i = 0; i < boot.vcpus; i++)
        pf_vcpu_of(device, i)->number = i;
    device->epoch = PF_EPOCH_FIRST;
#ifndef PF_HOSTED
    assume_rdrand = boot.aes_variant != PF_AES_AUTO; /* then CPUID must not be used */
#endif
    pf_random_create(&device->random, boot.seed, assume_rdrand);
    __atomic_store_n(&device->magic, PF_DEVICE_MAGIC, __ATOMIC_RELEASE);
    return device;
}

void pf_device_run(struct pf_device *device, uint32_t number)
{
    struct pf_vcpu *vcpu;
    struct pf_chain chain;

    if (number >= device->vcpus)
        return;
    vcpu = pf_vcpu_of(device, number);
    while (pf_ring_take(device, vcpu, &chain))
        pf_ring_give(device, vcpu, &chain, pf_commands_run(device, vcpu, &chain));
}

#ifdef PF_HOSTED
void pf_device_map_block(struct pf_device *device, uint32_t id, void *host, uint64_t bytes)
{
    struct pf_block *block;
    uint64_t needed;

    if (id >= PF_RAM_BLOCKS_MAX)
        return;
    block = &device->blocks[id];
    needed = block->pages << PF_PAGE_SHIFT;
    device->mappings[id] = (struct pf_mapping){host, host == NULL ? 0 : bytes};
    if (host == NULL || bytes < needed)
        block->memory = (uint8_t *)(PF_UNMAPPED_BASE + (block->first_page << PF_PAGE_SHIFT));
    else
        block->memory = host;
}

void pf_device_destroy(struct pf_device *device)
{
    pf_session_wipe(device);
    pf_session_wipe_staging(device);
    pf_wipe(&device->random, sizeof(device->random));
    device->magic = 0;
}
#endif
