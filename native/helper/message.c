/*
 * What: SEAL_MESSAGE and OPEN_MESSAGE: control messages and device state, strictly in order, and
 * lane messages, in any order but never twice (abi/record.h). Both on vCPU 0 only.
 */
#include "copy.h"
#include "record.h"

#define MESSAGE_KINDS (1u << PF_KIND_CONTROL | 1u << PF_KIND_DEVICE_STATE | 1u << PF_KIND_LANE)

uint32_t pf_command_seal_message(struct pf_call *call)
{
    struct pf_session *session = &call->device->session;
    struct pf_record_header *header = &call->vcpu->record.header;
    const uint64_t kind = call->request.arg[0];
    const uint64_t bytes =
        PF_RECORD_HEADER_BYTES + (uint64_t)call->input.bytes + PF_RECORD_TAG_BYTES;
    const bool lane = kind == PF_KIND_LANE;
    uint64_t *counter = lane ? &session->lane_sealed : &session->message_sealed;

    if (kind > 31 || (MESSAGE_KINDS >> kind & 1) == 0)
        return pf_refuse(call, PF_STATUS_ARGUMENT, 0, 0);
    if (call->input.bytes > PF_MESSAGE_BYTES_MAX)
        return pf_refuse_input(call, PF_FIELD_BYTES);
    if (call->output.bytes < bytes)
        return pf_refuse(call, PF_STATUS_OUTPUT_SIZE, 0, bytes);
    if (*counter >= PF_RECORDS_PER_KEY_MAX)
        return PF_STATUS_COUNTER;
    call->vcpu->touched |= PF_TOUCHED_STAGING;
    pf_copy(call->vcpu->plain, call->input.data, call->input.bytes);
    *counter += 1; /* before use, and never back */
    pf_record_begin(call, (uint32_t)kind, session->sends, *counter);
    header->sealed_bytes = call->input.bytes;
    header->plain_bytes = call->input.bytes;
    pf_record_put(call, lane ? &session->lane_keys[session->sends]
                             : &session->message_keys[session->sends]);
    return PF_STATUS_OK;
}

/* What the record's place in the order says; value3 tells the counter expected next. */
static uint32_t order(struct pf_call *call, bool lane)
{
    struct pf_session *session = &call->device->session;
    const uint64_t counter = call->vcpu->record.header.counter;
    const uint64_t next = session->message_opened + 1;

    if (lane) /* accepted by the caller, once it is known to fit the output */
        return PF_STATUS_OK;
    call->response.value[3] = next;
    if (counter < next)
        return PF_STATUS_DUPLICATE;
    return counter > next ? PF_STATUS_EARLY : PF_STATUS_OK;
}

uint32_t pf_command_open_message(struct pf_call *call)
{
    struct pf_session *session = &call->device->session;
    struct pf_vcpu *vcpu = call->vcpu;
    const struct pf_record_header *header = &vcpu->record.header;
    const uint32_t receives = session->sends ^ 1;
    uint32_t status = pf_record_read(call, MESSAGE_KINDS, receives);
    bool lane;

    if (status != PF_STATUS_OK)
        return status;
    lane = header->kind == PF_KIND_LANE;
    if (!pf_record_open(call,
                        lane ? &session->lane_keys[receives] : &session->message_keys[receives],
                        vcpu->plain))
        return PF_STATUS_TAG;
    call->response.value[0] = header->sealed_bytes;
    call->response.value[1] = header->counter;
    call->response.value[2] = header->kind;
    status = order(call, lane);
    if (status != PF_STATUS_OK)
        return status;
    if (call->output.bytes < header->sealed_bytes)
        return pf_refuse(call, PF_STATUS_OUTPUT_SIZE, 0, header->sealed_bytes);
    if (!lane) {
        session->message_opened = header->counter;
        call->response.value[3] = header->counter + 1;
    } else if (!pf_replay_accept(&session->lanes, header->counter)) {
        return PF_STATUS_DUPLICATE;
    } else {
        call->response.value[3] = session->lanes.highest + 1;
    }
    pf_copy(call->output.data, vcpu->plain, header->sealed_bytes);
    call->written = header->sealed_bytes;
    return PF_STATUS_OK;
}
