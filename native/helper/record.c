/*
 * What: see record.h. Field checks name the field (enum pf_record_field) in header order; the
 * sums are taken in 64 bits over numbers that have been limited first.
 */
#include "codec.h"
#include "copy.h"
#include "record.h"

#define KIND(kind) (1u << (kind))

static uint32_t check_pages(const struct pf_record_header *h)
{
    const bool padded = (h->flags & PF_RECORD_F_PADDED) != 0;

    if (h->codec > 31 || (PF_CODECS >> h->codec & 1) == 0)
        return PF_FIELD_CODEC;
    if (h->list_bytes == 0 || h->list_bytes % 8 != 0 || h->list_bytes > PF_RECORD_LIST_BYTES_MAX)
        return PF_FIELD_LIST_BYTES;
    if (h->pages == 0 || h->pages > PF_RECORD_PAGES_MAX)
        return PF_FIELD_PAGES;
    if (h->data_pages > PF_RECORD_DATA_PAGES_MAX || h->data_pages > h->pages)
        return PF_FIELD_DATA_PAGES;
    if (h->sealed_bytes > PF_RECORD_SEALED_BYTES_MAX)
        return PF_FIELD_SEALED_BYTES;
    if (h->plain_bytes != h->data_pages * PF_PAGE_BYTES)
        return PF_FIELD_PLAIN_BYTES;
    if ((h->flags & ~PF_RECORD_F_PADDED) != 0)
        return PF_FIELD_FLAGS;
    if (padded) {
        if (h->sealed_bytes == 0 || h->sealed_bytes % PF_PAD_GRANULE_BYTES_MIN != 0)
            return PF_FIELD_SEALED_BYTES;
    } else if (h->codec == PF_CODEC_NONE || h->data_pages == 0) {
        if (h->codec != PF_CODEC_NONE)
            return PF_FIELD_CODEC;
        if (h->sealed_bytes != h->plain_bytes)
            return PF_FIELD_SEALED_BYTES;
    } else if (h->sealed_bytes == 0 || h->sealed_bytes > h->plain_bytes) {
        return PF_FIELD_SEALED_BYTES; /* stored, not inflated (DESIGN 5) */
    }
    return 0;
}

static uint32_t check_message(const struct pf_record_header *h)
{
    const bool token = h->kind == PF_KIND_TOKEN;
    const uint32_t limit = token ? sizeof(struct pf_token) : PF_MESSAGE_BYTES_MAX;

    if (h->codec != PF_CODEC_NONE)
        return PF_FIELD_CODEC;
    if (!token && h->epoch != 0)
        return PF_FIELD_EPOCH;
    if (h->list_bytes != 0)
        return PF_FIELD_LIST_BYTES;
    if (h->pages != 0)
        return PF_FIELD_PAGES;
    if (h->data_pages != 0)
        return PF_FIELD_DATA_PAGES;
    if (h->sealed_bytes > limit || (token && h->sealed_bytes != limit))
        return PF_FIELD_SEALED_BYTES;
    if (h->plain_bytes != h->sealed_bytes)
        return PF_FIELD_PLAIN_BYTES;
    if ((h->flags & ~(token ? PF_RECORD_F_START : 0)) != 0)
        return PF_FIELD_FLAGS;
    return 0;
}

static uint32_t check_fields(const struct pf_record_header *h, uint32_t kinds, uint64_t bytes)
{
    uint32_t field;

    if (h->magic != PF_RECORD_MAGIC)
        return PF_FIELD_MAGIC;
    if (h->version != PF_RECORD_VERSION)
        return PF_FIELD_VERSION;
    if (h->kind > 31 || (kinds >> h->kind & 1) == 0)
        return PF_FIELD_KIND;
    if (h->direction > PF_DIRECTION_TO_SOURCE)
        return PF_FIELD_DIRECTION;
    if (h->counter == 0 || h->counter > PF_RECORDS_PER_KEY_MAX)
        return PF_FIELD_COUNTER;
    field = h->kind == PF_KIND_PAGES ? check_pages(h) : check_message(h);
    if (field != 0)
        return field;
    if (h->reserved != 0)
        return PF_FIELD_RESERVED;
    return bytes == pf_record_bytes(h) ? 0 : PF_FIELD_BYTES;
}

static uint32_t foreign_field(struct pf_call *call, uint32_t direction)
{
    const struct pf_record_header *h = &call->vcpu->record.header;
    const struct pf_session *session = &call->device->session;
    const uint32_t streams = h->kind == PF_KIND_PAGES ? session->peer_streams : 1;

    if (h->direction != direction)
        return PF_FIELD_DIRECTION;
    if (memcmp(h->session, session->id, sizeof(h->session)) != 0)
        return PF_FIELD_SESSION;
    if (h->stream >= streams)
        return PF_FIELD_STREAM;
    return h->generation != 0 ? PF_FIELD_GENERATION : 0;
}

uint32_t pf_record_bytes(const struct pf_record_header *header)
{
    return PF_RECORD_HEADER_BYTES + header->list_bytes + header->sealed_bytes + PF_RECORD_TAG_BYTES;
}

uint32_t pf_record_read(struct pf_call *call, uint32_t kinds, uint32_t direction)
{
    struct pf_vcpu *vcpu = call->vcpu;
    const struct pf_record_header *header = &vcpu->record.header;
    uint32_t field;

    if (call->input.bytes < PF_RECORD_HEADER_BYTES + PF_RECORD_TAG_BYTES)
        return pf_refuse(call, PF_STATUS_RECORD, PF_FIELD_BYTES, 0);
    vcpu->touched |= PF_TOUCHED_STAGING;
    pf_copy(vcpu->record.bytes, call->input.data, PF_RECORD_HEADER_BYTES);
    field = check_fields(header, kinds, call->input.bytes);
    if (field != 0)
        return pf_refuse(call, PF_STATUS_RECORD, field, 0);
    field = foreign_field(call, direction);
    if (field != 0)
        return pf_refuse(call, PF_STATUS_SESSION, field, 0);
    pf_copy(vcpu->record.bytes + PF_RECORD_HEADER_BYTES, call->input.data + PF_RECORD_HEADER_BYTES,
            header->list_bytes);
    return PF_STATUS_OK;
}

bool pf_record_open(struct pf_call *call, const pf_gcm_key *key, uint8_t *text)
{
    struct pf_vcpu *vcpu = call->vcpu;
    const struct pf_gcm *gcm = call->device->gcm;
    const struct pf_record_header *header = &vcpu->record.header;
    const uint32_t aad_bytes = PF_RECORD_HEADER_BYTES + header->list_bytes;
    const uint8_t *from = call->input.data + aad_bytes;
    uint8_t iv[PF_GCM_IV_BYTES], computed[16], tag[16];
    bool authentic;

    pf_gcm_iv(iv, header->counter);
    gcm->begin(key, &vcpu->gcm, iv, vcpu->record.bytes, aad_bytes);
    for (uint32_t at = 0; at < header->sealed_bytes; at += PF_PIECE_BYTES) {
        uint32_t bytes = header->sealed_bytes - at;

        if (bytes > PF_PIECE_BYTES)
            bytes = PF_PIECE_BYTES;
        pf_copy(text + at, from + at, bytes);
        gcm->decrypt(key, &vcpu->gcm, text + at, text + at, bytes);
    }
    gcm->finish_decrypt(key, &vcpu->gcm, computed, sizeof(computed));
    pf_copy(tag, from + header->sealed_bytes, sizeof(tag));
    authentic = pf_equal_secret(computed, tag, sizeof(tag));
    if (!authentic)
        pf_wipe(text, header->sealed_bytes);
    pf_wipe(computed, sizeof(computed)); /* what a forger would like to know */
    pf_wipe(&vcpu->gcm, sizeof(vcpu->gcm));
    return authentic;
}

void pf_record_begin(struct pf_call *call, uint32_t kind, uint32_t direction, uint64_t counter)
{
    struct pf_record_header *header = &call->vcpu->record.header;

    *header = (struct pf_record_header){
        .magic = PF_RECORD_MAGIC,
        .version = PF_RECORD_VERSION,
        .kind = (uint8_t)kind,
        .direction = (uint8_t)direction,
        .counter = counter,
    };
    memcpy(header->session, call->device->session.id, sizeof(header->session));
}

void pf_record_put(struct pf_call *call, const pf_gcm_key *key)
{
    struct pf_vcpu *vcpu = call->vcpu;
    const struct pf_record_header *header = &vcpu->record.header;
    uint8_t tag[PF_RECORD_TAG_BYTES];
    uint8_t *out = call->output.data;

    pf_gcm_seal(call->device->gcm, key, header->counter, header, PF_RECORD_HEADER_BYTES,
                vcpu->plain, header->sealed_bytes, tag);
    pf_copy(out, header, PF_RECORD_HEADER_BYTES);
    pf_copy(out + PF_RECORD_HEADER_BYTES, vcpu->plain, header->sealed_bytes);
    pf_copy(out + PF_RECORD_HEADER_BYTES + header->sealed_bytes, tag, sizeof(tag));
    call->written = pf_record_bytes(header);
    call->response.value[0] = call->written;
    call->response.value[1] = header->counter;
}
