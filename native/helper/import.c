/*
 * What: IMPORT: verify, claim, check, decode, write, in that order (DESIGN 7).
 *
 * Several vCPUs import at once. Opening, decoding and writing work on private memory and on pages
 * nobody else has; what they share is claimed: the counter in the stream's window and the epoch
 * under device->lock for some tens of instructions, the pages by atomic bits. From claim to done
 * an epoch token finds the record unfinished and answers EARLY, so the epoch cannot end under a
 * record. Nothing waits while holding the lock, so nothing can deadlock (lock.h). A violation on
 * one vCPU sets FAILED under the same lock: no other vCPU claims a record afterwards, and one
 * that has claimed looks again before it writes.
 */
#include "blocks.h"
#include "codec.h"
#include "copy.h"
#include "pages.h"
#include "record.h"

static void tell(struct pf_call *call)
{
    const struct pf_record_header *header = &call->vcpu->record.header;

    call->response.value[0] = header->counter;
    call->response.value[1] = header->data_pages;
    call->response.value[2] = header->pages - header->data_pages;
    call->response.value[3] = header->stream;
    call->response.value[4] = header->epoch;
}

/* With the lock held. OK: the record is ours to import, and nobody else's any more. */
static uint32_t claim_locked(struct pf_call *call)
{
    struct pf_device *device = call->device;
    const struct pf_record_header *header = &call->vcpu->record.header;
    struct pf_stream_window *window = &device->session.opened[header->stream];
    const uint32_t state = pf_state_of(device);

    if (state == PF_STATE_FAILED)
        return pf_violate(call, 0, 0); /* the first one stays */
    switch (pf_stream_look(window, header->counter)) {
    case PF_CLAIM_DUPLICATE:
        tell(call);
        return PF_STATUS_DUPLICATE;
    case PF_CLAIM_TOO_FAR:
        return pf_violate(call, PF_VIOLATION_WINDOW, header->counter);
    case PF_CLAIM_NEW:
        break;
    }
    if (state == PF_STATE_STARTED)
        return pf_violate(call, PF_VIOLATION_AFTER_START, header->counter);
    if (header->epoch != device->epoch)
        return pf_violate(call, PF_VIOLATION_EPOCH, header->epoch);
    pf_stream_claim(window, header->counter);
    __atomic_store_n(&device->epoch_open, 1, __ATOMIC_RELEASE);
    return PF_STATUS_OK;
}

static uint32_t check_list(struct pf_call *call)
{
    struct pf_device *device = call->device;
    struct pf_vcpu *vcpu = call->vcpu;
    const struct pf_record_header *header = &vcpu->record.header;
    const uint32_t runs = header->list_bytes / 8;
    struct pf_run_totals totals;
    uint64_t page;

    if (!pf_runs_check(vcpu->record.list.runs, runs, &totals) || totals.pages != header->pages ||
        totals.data_pages != header->data_pages)
        return pf_violate_unlocked(call, PF_VIOLATION_LIST, header->counter);
    page = pf_blocks_check(device, vcpu->record.list.runs, runs);
    if (page != PF_NO_PAGE)
        return pf_violate_unlocked(call, PF_VIOLATION_BLOCK, page);
    if (!pf_runs_claim(device->in_epoch, vcpu->record.list.runs, runs, &page))
        return pf_violate_unlocked(call, PF_VIOLATION_PAGE_TWICE, page);
    return PF_STATUS_OK;
}

/* The padding prefix is well formed and nothing but zeros follows the encoded bytes. */
static bool unpad(const struct pf_record_header *header, const uint8_t *text,
                  struct pf_padding *padding)
{
    uint8_t any = 0;

    memcpy(padding, text, sizeof(*padding));
    if (padding->encoded_bytes > header->sealed_bytes - sizeof(*padding) ||
        (padding->codec != PF_CODEC_NONE && padding->codec != header->codec))
        return false;
    for (uint32_t i = 0; i < sizeof(padding->reserved); i++)
        any |= padding->reserved[i];
    for (uint32_t i = sizeof(*padding) + padding->encoded_bytes; i < header->sealed_bytes; i++)
        any |= text[i];
    return any == 0;
}

/* Where the pages' contents are, or NULL when the text is not what the header says. */
static const uint8_t *decode(struct pf_vcpu *vcpu, const uint8_t *text)
{
    const struct pf_record_header *header = &vcpu->record.header;
    struct pf_padding content = {header->sealed_bytes, header->codec, {0}};

    if (header->flags & PF_RECORD_F_PADDED) {
        if (!unpad(header, text, &content))
            return NULL;
        text += sizeof(content);
    }
    if (content.codec == PF_CODEC_NONE)
        return content.encoded_bytes == header->plain_bytes ? text : NULL;
    if (header->plain_bytes == 0 ||
        !pf_codec_decode(vcpu, content.codec, text, content.encoded_bytes, header->plain_bytes))
        return NULL;
    return vcpu->plain + PF_TEXT_OFFSET;
}

/*
 * Pages without a content bit are zero already and stay untouched: they may be holes of a sparse
 * file, which a look would fill.
 */
static void write_zeros(struct pf_device *device, struct pf_run run)
{
    const uint64_t end = run.first + run.count;
    uint64_t at = run.first;

    while (at < end) {
        const uint64_t word = at / 64 * 64;
        uint64_t set = pf_bits_take_word(device->content, &at, end);

        for (; set != 0; set &= set - 1) {
            uint8_t *memory;

            if (pf_blocks_segment(device, word + (uint64_t)__builtin_ctzll(set), 1, &memory))
                memset(memory, 0, PF_PAGE_BYTES);
        }
    }
}

static void write_pages(struct pf_call *call, const uint8_t *content)
{
    struct pf_device *device = call->device;
    struct pf_vcpu *vcpu = call->vcpu;

    for (uint32_t i = 0; i < vcpu->record.header.list_bytes / 8; i++) {
        struct pf_run run = pf_run_unpack(vcpu->record.list.runs[i]);

        pf_bits_set(device->ever, run.first, run.count);
        if (run.zero) {
            write_zeros(device, run);
            continue;
        }
        pf_bits_set(device->content, run.first, run.count);
        while (run.count > 0) {
            uint8_t *memory;
            uint64_t pages = pf_blocks_segment(device, run.first, run.count, &memory);

            pf_copy(memory, content, pages * PF_PAGE_BYTES);
            content += pages * PF_PAGE_BYTES;
            run.first += pages;
            run.count -= pages;
        }
    }
}

uint32_t pf_command_import(struct pf_call *call)
{
    struct pf_device *device = call->device;
    struct pf_vcpu *vcpu = call->vcpu;
    const struct pf_record_header *header = &vcpu->record.header;
    const uint8_t *content;
    uint8_t *text;
    uint32_t status;

    status = pf_record_read(call, 1u << PF_KIND_PAGES, PF_DIRECTION_TO_DESTINATION);
    if (status != PF_STATUS_OK)
        return status;
    text = vcpu->encoded + PF_TEXT_OFFSET;
    if (header->flags & PF_RECORD_F_PADDED)
        text -= sizeof(struct pf_padding);
    if (!pf_record_open(call, &device->session.pages_keys[header->stream], text))
        return PF_STATUS_TAG;

    pf_spin_lock(&device->lock);
    status = claim_locked(call);
    pf_spin_unlock(&device->lock);
    if (status != PF_STATUS_OK)
        return status;
    status = check_list(call);
    if (status != PF_STATUS_OK)
        return status;
    content = decode(vcpu, text);
    if (content == NULL)
        return pf_violate_unlocked(call, PF_VIOLATION_CONTENT, header->counter);
    if (pf_state_of(device) == PF_STATE_FAILED)
        return pf_failed(call);
    write_pages(call, content);

    pf_spin_lock(&device->lock);
    pf_stream_done(&device->session.opened[header->stream], header->counter);
    pf_spin_unlock(&device->lock);
    tell(call);
    return PF_STATUS_OK;
}
