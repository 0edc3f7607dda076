/*
 * What: the handshake of abi/handshake.h. vCPU 0, gate exclusive.
 * A message that does not fit changes nothing: whoever can inject one cannot end the handshake,
 * and every attempt is bound to the same transcript and a secret that cannot be guessed.
 */
#include "codec.h"
#include "copy.h"
#include "session.h"

static const char transcript_label[] = "pageferry v1 transcript";
static const char confirm_source[] = "pageferry v1 confirm source";
static const char confirm_destination[] = "pageferry v1 confirm destination";

/* A message that was received, in private memory. */
union message {
    struct pf_handshake_header header;
    struct pf_handshake_1 one;
    struct pf_handshake_2 two;
    struct pf_handshake_3 three;
};

struct derived {
    uint8_t prk[PF_HASH_BYTES];
    uint8_t transcript[PF_HASH_BYTES];
    uint8_t mac_destination[32];
    uint8_t mac_source[32];
};

static uint32_t malformed(struct pf_call *call, size_t offset)
{
    return pf_refuse(call, PF_STATUS_HANDSHAKE, (uint32_t)offset, 0);
}

/* Copies the peer's message behind the context and checks its header. */
static uint32_t read_message(struct pf_call *call, uint32_t number, union message *message,
                             size_t bytes, const uint8_t *session)
{
    const uint32_t context_bytes = (uint32_t)call->request.arg[1];
    const uint32_t given = call->input.bytes - context_bytes;
    const struct pf_handshake_header *header = &message->header;

    if (given != bytes)
        return malformed(call, given < bytes ? given : bytes);
    pf_copy(message, call->input.data + context_bytes, bytes);
    if (header->magic != PF_HANDSHAKE_MAGIC)
        return malformed(call, offsetof(struct pf_handshake_header, magic));
    if (header->version != PF_HANDSHAKE_VERSION)
        return malformed(call, offsetof(struct pf_handshake_header, version));
    if (header->message != number)
        return malformed(call, offsetof(struct pf_handshake_header, message));
    if (header->reserved[0] != 0 || header->reserved[1] != 0)
        return malformed(call, offsetof(struct pf_handshake_header, reserved));
    if (number == 3 ? header->vcpus != 0 : header->vcpus == 0 || header->vcpus > PF_VCPUS_MAX)
        return malformed(call, offsetof(struct pf_handshake_header, vcpus));
    if (number == 3 ? header->capabilities != 0 : (header->capabilities & 1u << PF_CODEC_NONE) == 0)
        return malformed(call, offsetof(struct pf_handshake_header, capabilities));
    if (session != NULL && memcmp(header->session, session, sizeof(header->session)) != 0)
        return malformed(call, offsetof(struct pf_handshake_header, session));
    return PF_STATUS_OK;
}

static void fill_header(struct pf_call *call, struct pf_handshake_header *header, uint8_t number)
{
    *header = (struct pf_handshake_header){
        .magic = PF_HANDSHAKE_MAGIC,
        .version = PF_HANDSHAKE_VERSION,
        .message = number,
        .vcpus = number == 3 ? 0 : call->device->vcpus,
        .capabilities = number == 3 ? 0 : PF_CODECS,
    };
    memcpy(header->session, call->device->session.id, sizeof(header->session));
}

/* Starts the transcript: label, context, message 1. */
static void transcript_begin(struct pf_call *call, const struct pf_handshake_1 *one,
                             br_sha256_context *transcript)
{
    uint8_t context[PF_CONTEXT_BYTES_MAX], length[4];
    const uint32_t bytes = (uint32_t)call->request.arg[1];

    pf_store_le32(length, bytes);
    pf_copy(context, call->input.data, bytes);
    br_sha256_init(transcript);
    br_sha256_update(transcript, transcript_label, sizeof(transcript_label) - 1);
    br_sha256_update(transcript, length, sizeof(length));
    br_sha256_update(transcript, context, bytes);
    br_sha256_update(transcript, one, sizeof(*one));
}

static bool derive(const struct pf_handshake *handshake, const uint8_t peer[32],
                   const struct pf_handshake_2 *two, struct derived *out)
{
    br_sha256_context transcript = handshake->transcript; /* kept, for another attempt */
    const struct pf_part info_destination = {confirm_destination, sizeof(confirm_destination) - 1};
    const struct pf_part info_source = {confirm_source, sizeof(confirm_source) - 1};
    const struct pf_part both[] = {{out->transcript, 32}, {out->mac_destination, 32}};
    uint8_t shared[32], key[PF_KEY_BYTES];
    const struct pf_part material[] = {{shared, 32}, {handshake->secret, handshake->secret_bytes}};
    const bool usable = pf_x25519(shared, handshake->private_key, peer);

    br_sha256_update(&transcript, two, offsetof(struct pf_handshake_2, mac));
    br_sha256_out(&transcript, out->transcript);
    pf_hkdf_extract(out->transcript, 32, material, 2, out->prk);
    pf_hkdf_expand_key(out->prk, &info_destination, 1, key);
    pf_hmac(key, both, 1, out->mac_destination);
    pf_hkdf_expand_key(out->prk, &info_source, 1, key);
    pf_hmac(key, both, 2, out->mac_source);
    pf_wipe(shared, sizeof(shared));
    pf_wipe(key, sizeof(key));
    return usable;
}

static uint32_t send(struct pf_call *call, const void *message, uint32_t bytes)
{
    pf_copy(call->output.data, message, bytes);
    call->written = bytes;
    call->response.value[0] = bytes;
    return PF_STATUS_OK;
}

static void enter(struct pf_device *device, uint32_t state)
{
    __atomic_store_n(&device->state, state, __ATOMIC_RELEASE);
}

static uint32_t initiate(struct pf_call *call)
{
    struct pf_device *device = call->device;
    struct pf_handshake *handshake = &device->handshake;
    struct pf_handshake_1 one;
    uint8_t random[16 + 32 + 32];

    if (!pf_random_draw(&device->random, random, sizeof(random)))
        return PF_STATUS_RANDOM;
    memcpy(device->session.id, random, 16);
    memcpy(handshake->private_key, random + 16, 32);
    fill_header(call, &one.header, 1);
    pf_x25519_public(one.public_key, handshake->private_key);
    memcpy(one.random, random + 48, 32);
    pf_wipe(random, sizeof(random));
    transcript_begin(call, &one, &handshake->transcript);
    handshake->role = PF_STATE_SOURCE;
    enter(device, PF_STATE_HANDSHAKE);
    return send(call, &one, sizeof(one));
}

static uint32_t respond(struct pf_call *call)
{
    struct pf_device *device = call->device;
    struct pf_handshake *handshake = &device->handshake;
    union message peer;
    struct pf_handshake_2 two;
    struct derived derived;
    uint8_t random[32 + 32];
    uint32_t status = read_message(call, 1, &peer, sizeof(peer.one), NULL);

    if (status != PF_STATUS_OK)
        return status;
    if (!pf_random_draw(&device->random, random, sizeof(random)))
        return PF_STATUS_RANDOM;
    memcpy(device->session.id, peer.header.session, sizeof(device->session.id));
    memcpy(handshake->private_key, random, 32);
    fill_header(call, &two.header, 2);
    pf_x25519_public(two.public_key, handshake->private_key);
    memcpy(two.random, random + 32, 32);
    pf_wipe(random, sizeof(random));
    transcript_begin(call, &peer.one, &handshake->transcript);
    if (!derive(handshake, peer.one.public_key, &two, &derived)) {
        pf_wipe(&derived, sizeof(derived));
        pf_wipe(handshake->private_key, sizeof(handshake->private_key));
        memset(device->session.id, 0, sizeof(device->session.id));
        return PF_STATUS_POINT;
    }
    memcpy(two.mac, derived.mac_destination, sizeof(two.mac));
    memcpy(handshake->confirmation, derived.mac_source, sizeof(handshake->confirmation));
    device->session.sends = PF_DIRECTION_TO_SOURCE;
    device->session.peer_streams = peer.header.vcpus;
    device->session.peer_codecs = peer.header.capabilities;
    /* The keys exist from here on; no command uses them before CONFIRM. */
    pf_session_open(device, derived.prk);
    pf_wipe(&derived, sizeof(derived));
    handshake->role = PF_STATE_DESTINATION;
    enter(device, PF_STATE_HANDSHAKE);
    return send(call, &two, sizeof(two));
}

static uint32_t finish(struct pf_call *call)
{
    struct pf_device *device = call->device;
    union message peer;
    struct pf_handshake_3 three;
    struct derived derived;
    uint32_t status = read_message(call, 2, &peer, sizeof(peer.two), device->session.id);

    if (status != PF_STATUS_OK)
        return status;
    if (!derive(&device->handshake, peer.two.public_key, &peer.two, &derived))
        status = PF_STATUS_POINT;
    else if (!pf_equal_secret(derived.mac_destination, peer.two.mac, sizeof(peer.two.mac)))
        status = PF_STATUS_SECRET;
    if (status != PF_STATUS_OK) {
        pf_wipe(&derived, sizeof(derived));
        return status;
    }
    fill_header(call, &three.header, 3);
    memcpy(three.mac, derived.mac_source, sizeof(three.mac));
    device->session.sends = PF_DIRECTION_TO_DESTINATION;
    device->session.peer_streams = peer.header.vcpus;
    device->session.peer_codecs = peer.header.capabilities;
    pf_session_open(device, derived.prk);
    pf_wipe(&derived, sizeof(derived));
    pf_wipe(&device->handshake, sizeof(device->handshake));
    enter(device, PF_STATE_SOURCE);
    return send(call, &three, sizeof(three));
}

static uint32_t confirm(struct pf_call *call)
{
    struct pf_device *device = call->device;
    union message peer;
    uint32_t status = read_message(call, 3, &peer, sizeof(peer.three), device->session.id);

    if (status != PF_STATUS_OK)
        return status;
    if (!pf_equal_secret(peer.three.mac, device->handshake.confirmation, sizeof(peer.three.mac)))
        return PF_STATUS_SECRET;
    pf_wipe(&device->handshake, sizeof(device->handshake));
    enter(device, PF_STATE_DESTINATION);
    return PF_STATUS_OK;
}

uint32_t pf_command_handshake(struct pf_call *call)
{
    static const struct {
        uint32_t (*run)(struct pf_call *call);
        uint32_t state, role, output_bytes;
    } steps[] = {
        [PF_HANDSHAKE_INITIATE] = {initiate, PF_STATE_SECRET, 0, sizeof(struct pf_handshake_1)},
        [PF_HANDSHAKE_RESPOND] = {respond, PF_STATE_SECRET, 0, sizeof(struct pf_handshake_2)},
        [PF_HANDSHAKE_FINISH] = {finish, PF_STATE_HANDSHAKE, PF_STATE_SOURCE,
                                 sizeof(struct pf_handshake_3)},
        [PF_HANDSHAKE_CONFIRM] = {confirm, PF_STATE_HANDSHAKE, PF_STATE_DESTINATION, 0},
    };
    const uint64_t step = call->request.arg[0], context_bytes = call->request.arg[1];
    const uint32_t state = pf_state_of(call->device);

    if (step < PF_HANDSHAKE_INITIATE || step > PF_HANDSHAKE_CONFIRM)
        return pf_refuse(call, PF_STATUS_ARGUMENT, 0, 0);
    /* The context is given with the step that starts the transcript. */
    if (context_bytes > PF_CONTEXT_BYTES_MAX || context_bytes > call->input.bytes ||
        (steps[step].state == PF_STATE_HANDSHAKE && context_bytes != 0))
        return pf_refuse(call, PF_STATUS_ARGUMENT, 1, 0);
    if (step == PF_HANDSHAKE_INITIATE && context_bytes != call->input.bytes)
        return pf_refuse_input(call, PF_FIELD_BYTES);
    if (state != steps[step].state ||
        (steps[step].role != 0 && steps[step].role != call->device->handshake.role))
        return pf_refuse(call, PF_STATUS_STATE, state, 0);
    if (call->output.bytes < steps[step].output_bytes)
        return pf_refuse(call, PF_STATUS_OUTPUT_SIZE, 0, steps[step].output_bytes);
    return steps[step].run(call);
}
