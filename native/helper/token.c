/*
 * What: TOKEN_MAKE and TOKEN_CHECK: the counted barrier between two epochs (DESIGN 7).
 * Making has the gate to itself, so no record of the epoch can still be under way. Checking does
 * not need it: under device->lock it sees every record either done or claimed (import.c).
 */
#include "blocks.h"
#include "commands.h"
#include "copy.h"
#include "pages.h"
#include "record.h"

static void fill(struct pf_device *device, struct pf_token *token, uint32_t flags)
{
    *token = (struct pf_token){
        .streams = device->vcpus,
        .flags = flags,
        .epoch = device->epoch,
    };
    pf_blocks_layout(device, token->layout);
    for (uint32_t i = 0; i < device->vcpus; i++)
        token->counts[i] = device->session.sealed[i].counter;
}

uint32_t pf_command_token_make(struct pf_call *call)
{
    struct pf_device *device = call->device;
    struct pf_session *session = &device->session;
    struct pf_record_header *header = &call->vcpu->record.header;
    const bool start = (call->request.flags & PF_TOKEN_F_START) != 0;
    const uint32_t flags = start ? PF_RECORD_F_START : 0;
    const uint32_t bytes = PF_RECORD_HEADER_BYTES + sizeof(struct pf_token) + PF_RECORD_TAG_BYTES;
    struct pf_token token;
    uint64_t missing;

    if (call->request.arg[0] != device->epoch)
        return pf_refuse(call, PF_STATUS_EPOCH, 0, device->epoch);
    if (call->output.bytes < bytes)
        return pf_refuse(call, PF_STATUS_OUTPUT_SIZE, 0, bytes);
    if (start && pf_blocks_missing(device, &missing) != PF_NO_PAGE)
        return pf_refuse(call, PF_STATUS_INCOMPLETE, 0, missing);
    if (session->token_sealed >= PF_RECORDS_PER_KEY_MAX)
        return PF_STATUS_COUNTER;
    fill(device, &token, flags);
    memcpy(call->vcpu->plain, &token, sizeof(token));
    session->token_sealed++; /* before use, and never back */
    pf_record_begin(call, PF_KIND_TOKEN, PF_DIRECTION_TO_DESTINATION, session->token_sealed);
    header->epoch = device->epoch;
    header->sealed_bytes = sizeof(token);
    header->plain_bytes = sizeof(token);
    header->flags = flags;
    pf_record_put(call, &session->token_key);

    pf_blocks_begin_epoch(device);
    __atomic_store_n(&device->epoch, device->epoch + 1, __ATOMIC_RELEASE);
    if (start)
        __atomic_store_n(&device->state, PF_STATE_STARTED, __ATOMIC_RELEASE);
    return PF_STATUS_OK;
}

/* What a token says about itself, whatever has arrived. */
static bool consistent(struct pf_call *call, const struct pf_token *token)
{
    const struct pf_record_header *header = &call->vcpu->record.header;
    uint64_t beyond = 0;

    for (uint32_t i = token->streams; i < PF_VCPUS_MAX; i++)
        beyond |= token->counts[i];
    return token->streams == call->device->session.peer_streams && beyond == 0 &&
           token->flags == header->flags && token->epoch == header->epoch;
}

/* With the lock held. OK: exactly the counted records are done, and none is under way. */
static uint32_t compare_counts(struct pf_call *call, const struct pf_token *token)
{
    struct pf_device *device = call->device;
    uint64_t missing = 0;

    for (uint32_t i = 0; i < token->streams; i++) {
        const struct pf_stream_window *window = &device->session.opened[i];

        if (window->highest > token->counts[i])
            return pf_violate(call, PF_VIOLATION_TOKEN, window->highest);
        missing += token->counts[i] - window->total;
    }
    if (missing == 0)
        return PF_STATUS_OK;
    call->response.value[3] = missing;
    return PF_STATUS_EARLY;
}

/* With the lock held. */
static uint32_t accept(struct pf_call *call, const struct pf_token *token)
{
    struct pf_device *device = call->device;
    struct pf_session *session = &device->session;
    const uint64_t counter = call->vcpu->record.header.counter;
    uint8_t layout[PF_HASH_BYTES];
    uint64_t page, missing;
    uint32_t status;

    if (pf_state_of(device) == PF_STATE_FAILED)
        return pf_violate(call, 0, 0); /* the first one stays */
    if (counter <= session->token_opened)
        return PF_STATUS_DUPLICATE;
    if (counter > session->token_opened + 1)
        return PF_STATUS_EARLY; /* the token before it is missing */
    if (pf_state_of(device) == PF_STATE_STARTED)
        return pf_violate(call, PF_VIOLATION_AFTER_START, counter);
    if (!consistent(call, token) || token->epoch != device->epoch)
        return pf_violate(call, PF_VIOLATION_TOKEN, token->epoch);
    status = compare_counts(call, token);
    if (status != PF_STATUS_OK)
        return status;
    pf_blocks_layout(device, layout);
    if (!pf_equal_secret(layout, token->layout, sizeof(layout)))
        return pf_violate(call, PF_VIOLATION_LAYOUT, token->epoch);
    if (token->flags & PF_RECORD_F_START) {
        page = pf_blocks_missing(device, &missing);
        if (page != PF_NO_PAGE)
            return pf_violate(call, PF_VIOLATION_INCOMPLETE, page);
        __atomic_store_n(&device->state, PF_STATE_STARTED, __ATOMIC_RELEASE);
    }
    session->token_opened = counter;
    pf_blocks_begin_epoch(device);
    __atomic_store_n(&device->epoch, device->epoch + 1, __ATOMIC_RELEASE);
    return PF_STATUS_OK;
}

uint32_t pf_command_token_check(struct pf_call *call)
{
    struct pf_device *device = call->device;
    struct pf_vcpu *vcpu = call->vcpu;
    struct pf_token token;
    uint32_t status;

    status = pf_record_read(call, 1u << PF_KIND_TOKEN, PF_DIRECTION_TO_DESTINATION);
    if (status != PF_STATUS_OK)
        return status;
    if (!pf_record_open(call, &device->session.token_key, vcpu->plain))
        return PF_STATUS_TAG;
    memcpy(&token, vcpu->plain, sizeof(token));
    pf_spin_lock(&device->lock);
    status = accept(call, &token);
    pf_spin_unlock(&device->lock);
    if (status == PF_STATUS_VIOLATION)
        return status;
    call->response.value[0] = token.epoch;
    call->response.value[1] = token.flags & PF_RECORD_F_START ? PF_TOKEN_F_START : 0;
    call->response.value[2] = vcpu->record.header.counter;
    return status;
}
