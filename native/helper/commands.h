/*
 * What: one command at work, and the handlers of the command groups.
 * Who: commands.c calls a handler on the vCPU's thread with the gate passed as its table says.
 * Rule: a handler writes to the output only on the way to PF_STATUS_OK, from private memory.
 */
#ifndef PAGEFERRY_HELPER_COMMANDS_H
#define PAGEFERRY_HELPER_COMMANDS_H

#include "state.h"

struct pf_call {
    struct pf_device *device;
    struct pf_vcpu *vcpu;
    struct pf_request request;   /* private copy */
    struct pf_buffer input;      /* window */
    struct pf_buffer output;     /* window */
    uint32_t written;            /* bytes of output */
    struct pf_response response; /* private; commands.c copies it out */
};

typedef uint32_t pf_handler(struct pf_call *call); /* enum pf_status */

pf_handler pf_command_hello;
pf_handler pf_command_secret_set;
pf_handler pf_command_reset;
pf_handler pf_command_handshake;
pf_handler pf_command_block_set;
pf_handler pf_command_block_remove;
pf_handler pf_command_export;
pf_handler pf_command_import;
pf_handler pf_command_seal_message;
pf_handler pf_command_open_message;
pf_handler pf_command_token_make;
pf_handler pf_command_token_check;
pf_handler pf_command_digest;
pf_handler pf_command_crypto_check;
pf_handler pf_command_test_fault;

/* Runs the chain's command; returns the bytes written for the used ring. */
struct pf_chain;
uint32_t pf_commands_run(struct pf_device *device, struct pf_vcpu *vcpu,
                         const struct pf_chain *chain);

static inline uint32_t pf_refuse(struct pf_call *call, uint32_t status, uint32_t detail,
                                 uint64_t value)
{
    call->response.detail = detail;
    call->response.value[0] = value;
    return status;
}

static inline uint32_t pf_refuse_input(struct pf_call *call, uint32_t field)
{
    return pf_refuse(call, PF_STATUS_ARGUMENT, 100 + field, 0);
}

/* Ends the session for good: first violation wins. The caller holds device->lock. */
uint32_t pf_violate(struct pf_call *call, uint32_t violation, uint64_t value);
/* The same for a caller that does not. */
uint32_t pf_violate_unlocked(struct pf_call *call, uint32_t violation, uint64_t value);
/* Fills in what every command of a failed device answers. */
uint32_t pf_failed(struct pf_call *call);

#endif
