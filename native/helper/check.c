/*
 * What: CRYPTO_CHECK: the primitives on caller-given values, for known-answer tests. Only in
 * state FRESH, when the helper holds no secret.
 */
#include "commands.h"
#include "copy.h"

#define HKDF_OUTPUT_MAX (255u * PF_HASH_BYTES) /* RFC 5869, 2.3 */
#define IV_BYTES_MAX 1024u

/* The input is copied to vcpu->plain, results are made in vcpu->encoded. */
static bool take_input(struct pf_call *call, uint64_t bytes)
{
    if (bytes != call->input.bytes || bytes > sizeof(call->vcpu->plain))
        return false;
    call->vcpu->touched |= PF_TOUCHED_STAGING;
    pf_copy(call->vcpu->plain, call->input.data, bytes);
    return true;
}

static uint32_t put_output(struct pf_call *call, const void *from, uint32_t bytes)
{
    pf_copy(call->output.data, from, bytes);
    call->written = bytes;
    call->response.value[0] = bytes;
    return PF_STATUS_OK;
}

static uint32_t gcm(struct pf_call *call, bool open)
{
    const struct pf_gcm *gcm = call->device->gcm;
    const uint64_t *arg = call->request.arg;
    const uint64_t iv = arg[1], aad = arg[2], text = arg[3], tag = arg[4];
    const uint8_t *at = call->vcpu->plain;
    uint8_t *out = call->vcpu->encoded, computed[16];
    pf_gcm_context context;
    pf_gcm_key key;

    if (iv == 0 || iv > IV_BYTES_MAX)
        return pf_refuse(call, PF_STATUS_ARGUMENT, 1, 0);
    if (aad > PF_MESSAGE_BYTES_MAX)
        return pf_refuse(call, PF_STATUS_ARGUMENT, 2, 0);
    if (text > PF_MESSAGE_BYTES_MAX)
        return pf_refuse(call, PF_STATUS_ARGUMENT, 3, 0);
    if (tag < 4 || tag > 16)
        return pf_refuse(call, PF_STATUS_ARGUMENT, 4, 0);
    if (call->output.bytes < text + (open ? 0 : tag))
        return pf_refuse(call, PF_STATUS_OUTPUT_SIZE, 0, text + (open ? 0 : tag));
    if (!take_input(call, 32 + iv + aad + text + (open ? tag : 0)))
        return pf_refuse_input(call, PF_FIELD_BYTES);

    gcm->expand(at, &key);
    gcm->begin_any_iv(&key, &context, at + 32, iv, at + 32 + iv, aad);
    at += 32 + iv + aad;
    if (text > 0)
        (open ? gcm->decrypt : gcm->encrypt)(&key, &context, out, at, text);
    (open ? gcm->finish_decrypt : gcm->finish_encrypt)(&key, &context, computed, tag);
    if (open && !pf_equal_secret(computed, at + text, tag))
        return PF_STATUS_TAG;
    if (!open)
        memcpy(out + text, computed, tag);
    return put_output(call, out, (uint32_t)(text + (open ? 0 : tag)));
}

static uint32_t hkdf(struct pf_call *call)
{
    const uint64_t *arg = call->request.arg;
    const uint64_t salt = arg[1], material = arg[2], info = arg[3], bytes = arg[4];
    const uint8_t *at = call->vcpu->plain;
    struct pf_part part;

    for (uint32_t i = 1; i <= 3; i++) {
        if (arg[i] > PF_SECRET_BYTES_MAX)
            return pf_refuse(call, PF_STATUS_ARGUMENT, i, 0);
    }
    if (bytes == 0 || bytes > HKDF_OUTPUT_MAX)
        return pf_refuse(call, PF_STATUS_ARGUMENT, 4, 0);
    if (call->output.bytes < bytes)
        return pf_refuse(call, PF_STATUS_OUTPUT_SIZE, 0, bytes);
    if (!take_input(call, salt + material + info))
        return pf_refuse_input(call, PF_FIELD_BYTES);
    part = (struct pf_part){at + salt, material};
    pf_hkdf(at, salt, &part, 1, at + salt + material, info, call->vcpu->encoded, bytes);
    return put_output(call, call->vcpu->encoded, (uint32_t)bytes);
}

static uint32_t x25519(struct pf_call *call)
{
    uint8_t out[32];

    if (call->output.bytes < sizeof(out))
        return pf_refuse(call, PF_STATUS_OUTPUT_SIZE, 0, sizeof(out));
    if (!take_input(call, 64))
        return pf_refuse_input(call, PF_FIELD_BYTES);
    if (!pf_x25519(out, call->vcpu->plain, call->vcpu->plain + 32))
        return PF_STATUS_POINT;
    return put_output(call, out, sizeof(out));
}

uint32_t pf_command_crypto_check(struct pf_call *call)
{
    switch (call->request.arg[0]) {
    case PF_CRYPTO_GCM_SEAL:
        return gcm(call, false);
    case PF_CRYPTO_GCM_OPEN:
        return gcm(call, true);
    case PF_CRYPTO_HKDF:
        return hkdf(call);
    case PF_CRYPTO_X25519:
        return x25519(call);
    default:
        return pf_refuse(call, PF_STATUS_ARGUMENT, 0, 0);
    }
}
