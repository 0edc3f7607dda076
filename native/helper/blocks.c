/*
 * What: BLOCK_SET and BLOCK_REMOVE, and look-ups in the block table.
 * Bits of the page bitmaps are set inside blocks only, and cleared when a block goes: a mirror
 * with a 512 GiB address space then touches, and clears, only as much bitmap as it has RAM.
 */
#include "blocks.h"
#include "commands.h"
#include "copy.h"
#include "pages.h"

uint64_t pf_blocks_segment(const struct pf_device *device, uint64_t page, uint64_t count,
                           uint8_t **memory)
{
    for (uint32_t i = 0; i < device->block_count; i++) {
        const struct pf_block *block = &device->blocks[device->block_order[i]];
        uint64_t offset = page - block->first_page;

        if (page < block->first_page)
            break;
        if (offset < block->pages) {
            *memory = block->memory + (offset << PF_PAGE_SHIFT);
            return count < block->pages - offset ? count : block->pages - offset;
        }
    }
    return 0;
}

uint64_t pf_blocks_check(const struct pf_device *device, const uint64_t *runs, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct pf_run run = pf_run_unpack(runs[i]);

        while (run.count > 0) { /* a run may go on in the next block: at most 64 turns */
            uint8_t *memory;
            uint64_t pages = pf_blocks_segment(device, run.first, run.count, &memory);

            if (pages == 0)
                return run.first;
            run.first += pages;
            run.count -= pages;
        }
    }
    return PF_NO_PAGE;
}

uint64_t pf_blocks_missing(const struct pf_device *device, uint64_t *missing)
{
    uint64_t first = PF_NO_PAGE;

    *missing = 0;
    for (uint32_t i = 0; i < device->block_count; i++) {
        const struct pf_block *block = &device->blocks[device->block_order[i]];
        uint64_t clear;
        uint64_t page = pf_bits_find_clear(device->ever, block->first_page, block->pages, &clear);

        if (first == PF_NO_PAGE)
            first = page;
        *missing += clear;
    }
    return first;
}

void pf_blocks_layout(const struct pf_device *device, uint8_t layout[PF_HASH_BYTES])
{
    uint8_t text[4 + 24 * PF_RAM_BLOCKS_MAX] = {0};
    const struct pf_part part = {text, 4 + 24 * (size_t)device->block_count};
    uint8_t *at = text + 4;

    pf_store_le32(text, device->block_count);
    for (uint32_t i = 0; i < device->block_count; i++, at += 24) {
        const struct pf_block *block = &device->blocks[device->block_order[i]];

        pf_store_le32(at, device->block_order[i]);
        pf_store_le64(at + 8, block->first_page << PF_PAGE_SHIFT);
        pf_store_le64(at + 16, block->pages << PF_PAGE_SHIFT);
    }
    pf_sha256(&part, 1, layout);
}

void pf_blocks_begin_epoch(struct pf_device *device)
{
    for (uint32_t i = 0; i < device->block_count; i++) {
        const struct pf_block *block = &device->blocks[device->block_order[i]];

        pf_bits_clear(device->in_epoch, block->first_page, block->pages);
    }
    __atomic_store_n(&device->epoch_open, 0, __ATOMIC_RELEASE);
}

static void forget_pages(struct pf_device *device, uint64_t first, uint64_t count)
{
    pf_bits_clear(device->in_epoch, first, count);
    pf_bits_clear(device->ever, first, count);
    pf_bits_clear(device->content, first, count);
}

/* Sorted anew: there are at most 64, and they change once in a while. */
static void order_blocks(struct pf_device *device)
{
    uint32_t count = 0;

    for (uint32_t id = 0; id < PF_RAM_BLOCKS_MAX; id++) {
        uint32_t at = count;

        if (device->blocks[id].pages == 0)
            continue;
        while (at > 0 && device->blocks[device->block_order[at - 1]].first_page >
                             device->blocks[id].first_page) {
            device->block_order[at] = device->block_order[at - 1];
            at--;
        }
        device->block_order[at] = (uint8_t)id;
        count++;
    }
    device->block_count = count;
}

static bool overlaps(const struct pf_device *device, uint32_t id, uint64_t first, uint64_t pages)
{
    for (uint32_t i = 0; i < device->block_count; i++) {
        const struct pf_block *other = &device->blocks[device->block_order[i]];

        if (device->block_order[i] != id && first < other->first_page + other->pages &&
            other->first_page < first + pages)
            return true;
    }
    return false;
}

static uint8_t *block_memory(const struct pf_device *device, uint32_t id, uint64_t first,
                             uint64_t bytes, bool *mapped)
{
#ifdef PF_HOSTED
    (void)first;
    *mapped = device->mappings[id].memory != NULL && device->mappings[id].bytes >= bytes;
    return device->mappings[id].memory;
#else
    (void)device;
    (void)id;
    (void)bytes;
    *mapped = true;
    return (uint8_t *)first; /* virtual = ram_addr_t; 0 is a page like any other */
#endif
}

uint32_t pf_command_block_set(struct pf_call *call)
{
    struct pf_device *device = call->device;
    const uint64_t id = call->request.arg[0], first = call->request.arg[1];
    const uint64_t bytes = call->request.arg[2];
    const uint64_t first_page = first >> PF_PAGE_SHIFT, pages = bytes >> PF_PAGE_SHIFT;
    struct pf_block *block;
    uint64_t kept = 0;
    uint8_t *memory;
    bool mapped;

    if (id >= PF_RAM_BLOCKS_MAX)
        return pf_refuse(call, PF_STATUS_ARGUMENT, 0, 0);
    block = &device->blocks[id];
    if (first % PF_PAGE_BYTES != 0 || (block->pages > 0 && block->first_page != first_page))
        return pf_refuse(call, PF_STATUS_ARGUMENT, 1, 0);
    if (bytes == 0 || bytes % PF_PAGE_BYTES != 0)
        return pf_refuse(call, PF_STATUS_ARGUMENT, 2, 0);
    if (__atomic_load_n(&device->epoch_open, __ATOMIC_ACQUIRE))
        return PF_STATUS_EPOCH_OPEN;
    memory = block_memory(device, (uint32_t)id, first, bytes, &mapped);
    if (first > device->ram_limit || bytes > device->ram_limit - first || !mapped ||
        overlaps(device, (uint32_t)id, first_page, pages))
        return PF_STATUS_CAPACITY;

    if (block->pages > 0) { /* resized: the pages that stay keep their history */
        kept = block->pages < pages ? block->pages : pages;
        forget_pages(device, first_page + kept, block->pages - kept);
    }
    /* A blank block's pages stay holes until something arrives for them. */
    if ((call->request.flags & PF_BLOCK_F_BLANK) == 0)
        pf_bits_set(device->content, first_page, pages);
    *block = (struct pf_block){first_page, pages, memory};
    order_blocks(device);
    device->digest_active = 0; /* over another layout */
    return PF_STATUS_OK;
}

uint32_t pf_command_block_remove(struct pf_call *call)
{
    struct pf_device *device = call->device;
    const uint64_t id = call->request.arg[0];
    struct pf_block *block;

    if (id >= PF_RAM_BLOCKS_MAX || device->blocks[id].pages == 0)
        return pf_refuse(call, PF_STATUS_ARGUMENT, 0, 0);
    if (__atomic_load_n(&device->epoch_open, __ATOMIC_ACQUIRE))
        return PF_STATUS_EPOCH_OPEN;
    block = &device->blocks[id];
    forget_pages(device, block->first_page, block->pages);
    *block = (struct pf_block){0};
    order_blocks(device);
    device->digest_active = 0;
    return PF_STATUS_OK;
}

void pf_blocks_clear(struct pf_device *device)
{
    for (uint32_t i = 0; i < device->block_count; i++) {
        const struct pf_block *block = &device->blocks[device->block_order[i]];

        forget_pages(device, block->first_page, block->pages);
    }
    memset(device->blocks, 0, sizeof(device->blocks));
    device->block_count = 0;
}
