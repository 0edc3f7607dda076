/*
 * What: HELLO, SECRET_SET, RESET, and the keys of a session.
 */
#include "blocks.h"
#include "codec.h"
#include "copy.h"
#include "session.h"

static const char label_prefix[] = "pageferry v1 ";

static void derive(const uint8_t prk[PF_HASH_BYTES], const char *label, const void *suffix,
                   size_t suffix_bytes, uint8_t key[PF_KEY_BYTES])
{
    const struct pf_part info[] = {
        {label_prefix, sizeof(label_prefix) - 1},
        {label, strlen(label)},
        {suffix, suffix_bytes},
    };

    pf_hkdf_expand_key(prk, info, suffix_bytes > 0 ? 3 : 2, key);
}

/* key("record" || u8 direction || u8 class || le32 stream || le32 generation) */
static void record_key(struct pf_device *device, const uint8_t prk[PF_HASH_BYTES],
                       uint32_t direction, uint32_t record_class, uint32_t stream,
                       pf_gcm_key *expanded)
{
    uint8_t suffix[10] = {(uint8_t)direction, (uint8_t)record_class};
    uint8_t key[PF_KEY_BYTES];

    pf_store_le32(suffix + 2, stream);
    derive(prk, "record", suffix, sizeof(suffix), key);
    device->gcm->expand(key, expanded);
    pf_wipe(key, sizeof(key));
}

void pf_session_open(struct pf_device *device, uint8_t prk[PF_HASH_BYTES])
{
    struct pf_session *session = &device->session;
    uint8_t key[PF_KEY_BYTES];

    for (uint32_t stream = 0; stream < PF_VCPUS_MAX; stream++)
        record_key(device, prk, PF_DIRECTION_TO_DESTINATION, PF_CLASS_PAGES, stream,
                   &session->pages_keys[stream]);
    record_key(device, prk, PF_DIRECTION_TO_DESTINATION, PF_CLASS_TOKEN, 0, &session->token_key);
    for (uint32_t direction = 0; direction < 2; direction++) {
        record_key(device, prk, direction, PF_CLASS_MESSAGE, 0, &session->message_keys[direction]);
        record_key(device, prk, direction, PF_CLASS_LANE, 0, &session->lane_keys[direction]);
    }
    derive(prk, "digest page", NULL, 0, key);
    device->gcm->expand(key, &session->digest_page_key);
    derive(prk, "digest chunk", NULL, 0, session->digest_chunk_key);
    pf_wipe(key, sizeof(key));
    pf_wipe(prk, PF_HASH_BYTES);
    __atomic_store_n(&device->keys_present, 1, __ATOMIC_RELEASE);
}

void pf_session_wipe(struct pf_device *device)
{
    pf_wipe(&device->session, sizeof(device->session));
    pf_wipe(&device->handshake, sizeof(device->handshake));
    device->digest_active = 0;
    __atomic_store_n(&device->keys_present, 0, __ATOMIC_RELEASE);
}

void pf_session_wipe_failed(struct pf_device *device)
{
    if (!__atomic_load_n(&device->keys_present, __ATOMIC_ACQUIRE) ||
        !pf_gate_try_exclusive(&device->gate))
        return;
    /* Looked at again: a RESET and a new session may have come in between. */
    if (pf_state_of(device) == PF_STATE_FAILED)
        pf_session_wipe(device);
    pf_gate_leave_exclusive(&device->gate);
}

void pf_session_wipe_staging(struct pf_device *device)
{
    for (uint32_t i = 0; i < device->vcpus; i++) {
        struct pf_vcpu *vcpu = pf_vcpu_of(device, i);

        if (!vcpu->touched)
            continue;
        pf_wipe(&vcpu->gcm, sizeof(*vcpu) - offsetof(struct pf_vcpu, gcm));
        pf_wipe(vcpu->digest, sizeof(vcpu->digest));
        if (vcpu->touched & PF_TOUCHED_CODEC)
            pf_wipe(vcpu->codec_memory, PF_CODEC_MEMORY_BYTES);
        vcpu->touched = 0;
    }
}

uint32_t pf_command_hello(struct pf_call *call)
{
    struct pf_device *device = call->device;
    struct pf_session *session = &device->session;
    struct pf_hello hello = {
        .abi_version = PF_ABI_VERSION,
        .state = pf_state_of(device),
        .vcpu = call->vcpu->number,
        .vcpus = device->vcpus,
        .aes_variant = device->aes_variant,
        .codecs = PF_CODECS,
        .ram_limit = device->ram_limit,
        .epoch = pf_epoch_of(device),
    };

    if (call->output.bytes < sizeof(hello))
        return pf_refuse(call, PF_STATUS_OUTPUT_SIZE, 0, sizeof(hello));
    hello.records_sealed = session->sealed[call->vcpu->number].counter;
    memcpy(hello.session, session->id, sizeof(hello.session));
    pf_spin_lock(&device->lock);
    for (uint32_t i = 0; i < PF_VCPUS_MAX; i++)
        hello.records_opened += session->opened[i].total;
    hello.violation = hello.state == PF_STATE_FAILED ? device->failure.violation : 0;
    pf_spin_unlock(&device->lock);
#if defined(PF_TEST_COMMANDS) && !defined(PF_HOSTED)
    hello.image_flags = PF_IMAGE_F_TEST;
#endif
    pf_copy(call->output.data, &hello, sizeof(hello));
    call->written = sizeof(hello);
    return PF_STATUS_OK;
}

uint32_t pf_command_secret_set(struct pf_call *call)
{
    struct pf_handshake *handshake = &call->device->handshake;

    if (call->input.bytes < PF_SECRET_BYTES_MIN || call->input.bytes > PF_SECRET_BYTES_MAX)
        return pf_refuse_input(call, PF_FIELD_BYTES);
    pf_copy(handshake->secret, call->input.data, call->input.bytes);
    handshake->secret_bytes = call->input.bytes;
    __atomic_store_n(&call->device->state, PF_STATE_SECRET, __ATOMIC_RELEASE);
    return PF_STATUS_OK;
}

uint32_t pf_command_reset(struct pf_call *call)
{
    struct pf_device *device = call->device;

    pf_session_wipe(device);
    pf_session_wipe_staging(device);
    pf_blocks_clear(device);
    device->failure = (struct pf_failure){0};
    __atomic_store_n(&device->epoch, PF_EPOCH_FIRST, __ATOMIC_RELEASE);
    __atomic_store_n(&device->epoch_open, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&device->state, PF_STATE_FRESH, __ATOMIC_RELEASE);
    return PF_STATUS_OK;
}
