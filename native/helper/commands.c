/*
 * What: from chain to handler and back. The table says for every command on which vCPU and in
 * which states it runs, and how it passes the gate (lock.h).
 */
#include "commands.h"
#include "copy.h"
#include "ring.h"
#include "session.h"

enum gate_use {
    GATE_SHARED,
    GATE_EXCLUSIVE,
};

#define IN(state) (1u << (state))
#define IN_SESSION (IN(PF_STATE_SOURCE) | IN(PF_STATE_DESTINATION) | IN(PF_STATE_STARTED))
#define IN_ANY 0xffu
#define ANY_VCPU 0u
#define VCPU_0 1u

struct entry {
    pf_handler *handler;
    uint32_t vcpu;
    uint32_t states;
    uint32_t flags; /* of the request that mean something */
    enum gate_use gate;
};

static const struct entry table[] = {
    [PF_COMMAND_HELLO] = {pf_command_hello, ANY_VCPU, IN_ANY, 0, GATE_SHARED},
    [PF_COMMAND_BLOCK_SET] = {pf_command_block_set, VCPU_0, IN_ANY & ~IN(PF_STATE_STARTED),
                              PF_BLOCK_F_BLANK, GATE_EXCLUSIVE},
    [PF_COMMAND_BLOCK_REMOVE] = {pf_command_block_remove, VCPU_0, IN_ANY & ~IN(PF_STATE_STARTED), 0,
                                 GATE_EXCLUSIVE},
    [PF_COMMAND_SECRET_SET] = {pf_command_secret_set, VCPU_0, IN(PF_STATE_FRESH), 0,
                               GATE_EXCLUSIVE},
    [PF_COMMAND_HANDSHAKE] = {pf_command_handshake, VCPU_0,
                              IN(PF_STATE_SECRET) | IN(PF_STATE_HANDSHAKE), 0, GATE_EXCLUSIVE},
    [PF_COMMAND_EXPORT] = {pf_command_export, ANY_VCPU, IN(PF_STATE_SOURCE), 0, GATE_SHARED},
    [PF_COMMAND_IMPORT] = {pf_command_import, ANY_VCPU,
                           IN(PF_STATE_DESTINATION) | IN(PF_STATE_STARTED), 0, GATE_SHARED},
    [PF_COMMAND_SEAL_MESSAGE] = {pf_command_seal_message, VCPU_0, IN_SESSION, 0, GATE_SHARED},
    [PF_COMMAND_OPEN_MESSAGE] = {pf_command_open_message, VCPU_0, IN_SESSION, 0, GATE_SHARED},
    [PF_COMMAND_TOKEN_MAKE] = {pf_command_token_make, VCPU_0, IN(PF_STATE_SOURCE), PF_TOKEN_F_START,
                               GATE_EXCLUSIVE},
    [PF_COMMAND_TOKEN_CHECK] = {pf_command_token_check, VCPU_0,
                                IN(PF_STATE_DESTINATION) | IN(PF_STATE_STARTED), 0, GATE_SHARED},
    [PF_COMMAND_DIGEST] = {pf_command_digest, ANY_VCPU, IN_SESSION, 0, GATE_SHARED},
    [PF_COMMAND_RESET] = {pf_command_reset, VCPU_0, IN_ANY, 0, GATE_EXCLUSIVE},
    [PF_COMMAND_CRYPTO_CHECK] = {pf_command_crypto_check, ANY_VCPU, IN(PF_STATE_FRESH), 0,
                                 GATE_SHARED},
#if defined(PF_TEST_COMMANDS) && !defined(PF_HOSTED)
    [PF_COMMAND_TEST_FAULT] = {pf_command_test_fault, ANY_VCPU, IN_ANY, 0, GATE_SHARED},
#endif
};

/* ARGUMENT's detail for what is not one of arg0..arg5. */
#define DETAIL_FLAGS 6u
#define DETAIL_RESERVED 7u

uint32_t pf_failed(struct pf_call *call)
{
    struct pf_device *device = call->device;

    pf_spin_lock(&device->lock);
    call->response.detail = device->failure.violation;
    call->response.value[0] = device->failure.value;
    pf_spin_unlock(&device->lock);
    return PF_STATUS_VIOLATION;
}

uint32_t pf_violate(struct pf_call *call, uint32_t violation, uint64_t value)
{
    struct pf_device *device = call->device;

    if (pf_state_of(device) != PF_STATE_FAILED) {
        device->failure = (struct pf_failure){violation, value};
        __atomic_store_n(&device->state, PF_STATE_FAILED, __ATOMIC_RELEASE);
    }
    call->response.detail = device->failure.violation;
    call->response.value[0] = device->failure.value;
    return PF_STATUS_VIOLATION;
}

uint32_t pf_violate_unlocked(struct pf_call *call, uint32_t violation, uint64_t value)
{
    uint32_t status;

    pf_spin_lock(&call->device->lock);
    status = pf_violate(call, violation, value);
    pf_spin_unlock(&call->device->lock);
    return status;
}

static uint32_t check(struct pf_call *call, const struct entry *entry)
{
    const struct pf_request *request = &call->request;
    uint32_t state = pf_state_of(call->device);

    if (state == PF_STATE_FAILED && request->command != PF_COMMAND_HELLO &&
        request->command != PF_COMMAND_RESET)
        return pf_failed(call);
    if (request->reserved != 0)
        return pf_refuse(call, PF_STATUS_ARGUMENT, DETAIL_RESERVED, 0);
    if ((request->flags & ~entry->flags) != 0)
        return pf_refuse(call, PF_STATUS_ARGUMENT, DETAIL_FLAGS, 0);
    if (entry->vcpu == VCPU_0 && call->vcpu->number != 0)
        return PF_STATUS_VCPU;
    if ((entry->states & IN(state)) == 0)
        return pf_refuse(call, PF_STATUS_STATE, state, 0);
    return PF_STATUS_OK;
}

static uint32_t dispatch(struct pf_call *call)
{
    struct pf_device *device = call->device;
    const struct entry *entry = NULL;
    bool exclusive;
    uint32_t status;

    if (call->request.command < sizeof(table) / sizeof(table[0]))
        entry = &table[call->request.command];
    if (entry == NULL || entry->handler == NULL)
        return PF_STATUS_COMMAND;
    /* The digest's first and last step need the gate alone, the others do not. */
    exclusive = entry->gate == GATE_EXCLUSIVE || (call->request.command == PF_COMMAND_DIGEST &&
                                                  call->request.arg[0] != PF_DIGEST_ADD);
    exclusive = exclusive && call->vcpu->number == 0; /* elsewhere it is refused anyway */
    if (!exclusive)
        pf_gate_enter(&device->gate);
    else if (!pf_gate_try_exclusive(&device->gate))
        return PF_STATUS_BUSY;
    status = check(call, entry);
    if (status == PF_STATUS_OK)
        status = entry->handler(call);
    if (exclusive)
        pf_gate_leave_exclusive(&device->gate);
    else
        pf_gate_leave(&device->gate);
    /* A vCPU that fails the device cannot wipe keys others are using: the last one out does. */
    if (pf_state_of(device) == PF_STATE_FAILED)
        pf_session_wipe_failed(device);
    return status;
}

uint32_t pf_commands_run(struct pf_device *device, struct pf_vcpu *vcpu,
                         const struct pf_chain *chain)
{
    struct pf_call call = {
        .device = device,
        .vcpu = vcpu,
        .input = chain->input,
        .output = chain->output,
    };

    if (chain->response.bytes == 0)
        return 0;
    if (chain->well_formed) {
        pf_copy(&call.request, chain->request.data, sizeof(call.request));
        call.response.status = dispatch(&call);
    } else {
        call.response.status = PF_STATUS_CHAIN;
    }
    if (call.response.status != PF_STATUS_OK)
        call.written = 0;
    pf_copy(chain->response.data, &call.response, sizeof(call.response));
    return (uint32_t)sizeof(call.response) + call.written;
}
