/*
 * What: DIGEST, the keyed digest of RAM; its definition is in abi/digest.h.
 * Each vCPU sums up the chunks it was given; a bitmap refuses a chunk twice, since two equal MACs
 * would cancel out. The page tags never leave the helper: GMAC under a repeated nonce (a page
 * hashed again later) would otherwise give its key away.
 */
#include "../abi/digest.h"
#include "blocks.h"
#include "commands.h"
#include "copy.h"
#include "pages.h"

/* The chunk at hand: its tags are collected until a page of another chunk comes. */
struct chunk {
    uint64_t number;
    bool any; /* a page of it is not zero */
};

static uint32_t begin(struct pf_call *call)
{
    struct pf_device *device = call->device;

    for (uint32_t i = 0; i < device->vcpus; i++)
        memset(pf_vcpu_of(device, i)->digest, 0, PF_HASH_BYTES);
    for (uint32_t i = 0; i < device->block_count; i++) {
        const struct pf_block *block = &device->blocks[device->block_order[i]];
        const uint64_t first = block->first_page / PF_DIGEST_CHUNK_PAGES;
        const uint64_t last = (block->first_page + block->pages - 1) / PF_DIGEST_CHUNK_PAGES;

        pf_bits_clear(device->chunks, first, last - first + 1);
    }
    device->digest_active = 1;
    return PF_STATUS_OK;
}

/*
 * Claims the chunks of all data runs, or lets go of them again: returns false with the chunk that
 * was taken. Runs ascend, so a chunk shared by two of them is the last of one.
 */
static bool claim_chunks(struct pf_call *call, uint32_t runs, bool claim, uint64_t *taken)
{
    uint64_t next = 0; /* first chunk not looked at */

    for (uint32_t i = 0; i < runs; i++) {
        struct pf_run run = pf_run_unpack(call->vcpu->runs_in[i]);
        uint64_t first = run.first / PF_DIGEST_CHUNK_PAGES;
        const uint64_t end = (run.first + run.count - 1) / PF_DIGEST_CHUNK_PAGES + 1;

        if (run.zero)
            continue;
        first = first < next ? next : first;
        if (first >= end)
            continue;
        next = end;
        if (!claim) {
            pf_bits_clear(call->device->chunks, first, end - first);
        } else if (!pf_bits_claim(call->device->chunks, first, end - first, taken)) {
            (void)claim_chunks(call, i, false, taken);
            return false;
        }
    }
    return true;
}

static void add_chunk(struct pf_call *call, struct chunk *chunk)
{
    struct pf_vcpu *vcpu = call->vcpu;
    const struct pf_part part = {vcpu->chunk_tags, sizeof(vcpu->chunk_tags)};
    uint8_t mac[PF_HASH_BYTES];

    if (!chunk->any) /* a chunk of zeros counts for nothing, listed or not */
        return;
    pf_store_le64(vcpu->chunk_tags, chunk->number);
    pf_hmac(call->device->session.digest_chunk_key, &part, 1, mac);
    for (uint32_t i = 0; i < PF_HASH_BYTES; i++)
        vcpu->digest[i] ^= mac[i];
    memset(vcpu->chunk_tags, 0, sizeof(vcpu->chunk_tags));
    chunk->any = false;
}

static void add_page(struct pf_call *call, struct chunk *chunk, uint64_t page,
                     const uint8_t *memory)
{
    struct pf_vcpu *vcpu = call->vcpu;
    uint8_t *tag;

    if (page / PF_DIGEST_CHUNK_PAGES != chunk->number) {
        add_chunk(call, chunk);
        chunk->number = page / PF_DIGEST_CHUNK_PAGES;
    }
    if (pf_page_is_zero(memory))
        return;
    if (memory == NULL) { /* page 0 of the mirror: libIPSec_MB takes it for a missing argument */
        pf_copy(vcpu->plain, memory, PF_PAGE_BYTES);
        memory = vcpu->plain;
    }
    tag = vcpu->chunk_tags + 8 + page % PF_DIGEST_CHUNK_PAGES * 16;
    pf_gmac(call->device->gcm, &call->device->session.digest_page_key, page, memory, PF_PAGE_BYTES,
            tag);
    chunk->any = true;
}

static uint32_t add(struct pf_call *call)
{
    struct pf_device *device = call->device;
    struct pf_vcpu *vcpu = call->vcpu;
    const uint32_t runs = call->input.bytes / 8;
    struct pf_run_totals totals;
    struct chunk chunk = {0};
    uint64_t page;

    if (runs == 0 || call->input.bytes % 8 != 0 || call->input.bytes > PF_RECORD_LIST_BYTES_MAX)
        return pf_refuse_input(call, PF_FIELD_BYTES);
    pf_copy(vcpu->runs_in, call->input.data, call->input.bytes);
    if (!pf_runs_check(vcpu->runs_in, runs, &totals))
        return pf_refuse_input(call, PF_FIELD_LIST_BYTES);
    page = pf_blocks_check(device, vcpu->runs_in, runs);
    if (page != PF_NO_PAGE)
        return pf_refuse(call, PF_STATUS_BLOCK, 0, page);
    if (!claim_chunks(call, runs, true, &page))
        return pf_refuse(call, PF_STATUS_PAGE_TWICE, 0, page * PF_DIGEST_CHUNK_PAGES);

    vcpu->touched |= PF_TOUCHED_STAGING;
    memset(vcpu->chunk_tags, 0, sizeof(vcpu->chunk_tags));
    for (uint32_t i = 0; i < runs; i++) {
        struct pf_run run = pf_run_unpack(vcpu->runs_in[i]);

        while (!run.zero && run.count > 0) {
            uint8_t *memory;
            const uint64_t pages = pf_blocks_segment(device, run.first, run.count, &memory);

            for (uint64_t j = 0; j < pages; j++)
                add_page(call, &chunk, run.first + j, memory + j * PF_PAGE_BYTES);
            run.first += pages;
            run.count -= pages;
        }
    }
    add_chunk(call, &chunk);
    return PF_STATUS_OK;
}

static uint32_t finish(struct pf_call *call)
{
    static const char label[] = "final";
    struct pf_device *device = call->device;
    uint8_t sum[PF_HASH_BYTES] = {0}, layout[PF_HASH_BYTES], digest[PF_HASH_BYTES];
    const struct pf_part parts[] = {
        {label, sizeof(label) - 1}, {sum, sizeof(sum)}, {layout, sizeof(layout)}};

    if (call->output.bytes < sizeof(digest))
        return pf_refuse(call, PF_STATUS_OUTPUT_SIZE, 0, sizeof(digest));
    for (uint32_t i = 0; i < device->vcpus; i++) {
        for (uint32_t j = 0; j < PF_HASH_BYTES; j++)
            sum[j] ^= pf_vcpu_of(device, i)->digest[j];
    }
    pf_blocks_layout(device, layout);
    pf_hmac(device->session.digest_chunk_key, parts, 3, digest);
    pf_copy(call->output.data, digest, sizeof(digest));
    call->written = sizeof(digest);
    call->response.value[0] = sizeof(digest);
    device->digest_active = 0;
    return PF_STATUS_OK;
}

uint32_t pf_command_digest(struct pf_call *call)
{
    const uint64_t step = call->request.arg[0];

    if (step < PF_DIGEST_BEGIN || step > PF_DIGEST_FINISH)
        return pf_refuse(call, PF_STATUS_ARGUMENT, 0, 0);
    if (step != PF_DIGEST_ADD && call->vcpu->number != 0)
        return PF_STATUS_VCPU;
    if (step != PF_DIGEST_BEGIN && !call->device->digest_active)
        return pf_refuse(call, PF_STATUS_STATE, pf_state_of(call->device), 0);
    switch (step) {
    case PF_DIGEST_BEGIN:
        return begin(call);
    case PF_DIGEST_ADD:
        return add(call);
    default:
        return finish(call);
    }
}
