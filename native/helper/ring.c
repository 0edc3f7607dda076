/*
 * What: see ring.h. Each shared field is loaded once, into a local; the cursors are private; a
 * chain has at most PF_CHAIN_MAX descriptors whatever its links say; an address counts only when
 * all of its bytes lie in the window, behind the queues.
 *
 * A driver whose avail.idx runs more than the ring's size ahead (virtio 1.2, 2.7.13.3 forbids
 * it) has lost count, and nothing it says about chains can be believed: the ring is broken, says
 * so in used.flags, and is not served again while the mirror lives.
 */
#include "ring.h"

static uint8_t *queue(struct pf_device *device, const struct pf_vcpu *vcpu)
{
    return device->window + vcpu->number * PF_RING_STRIDE;
}

/* One descriptor, as two loads: nothing of it is read twice. */
static struct pf_desc load_descriptor(const uint8_t *table, uint32_t index)
{
    const uint64_t *words = (const uint64_t *)(const void *)(table + 16 * index);
    uint64_t rest = __atomic_load_n(words + 1, __ATOMIC_RELAXED);

    return (struct pf_desc){
        .address = __atomic_load_n(words, __ATOMIC_RELAXED),
        .bytes = (uint32_t)rest,
        .flags = (uint16_t)(rest >> 32),
        .next = (uint16_t)(rest >> 48),
    };
}

/* Where the descriptor points; bytes 0 when it may not be used. */
static struct pf_buffer resolve(struct pf_device *device, const struct pf_desc *desc)
{
    uint64_t offset = desc->address - device->window_gpa;
    const uint64_t queues = (uint64_t)device->vcpus * PF_RING_STRIDE;

    if (desc->address < device->window_gpa || offset < queues || desc->bytes == 0 ||
        offset > device->window_bytes || desc->bytes > device->window_bytes - offset)
        return (struct pf_buffer){NULL, 0};
    return (struct pf_buffer){device->window + offset, desc->bytes};
}

/* Sorts one buffer into its place; false when the chain has no such place. */
static bool place(struct pf_chain *chain, struct pf_buffer buffer, bool writable)
{
    if (!writable && chain->response.bytes > 0)
        return false; /* readable ones come first: virtio 1.2, 2.7.4.2 */
    if (!writable && chain->request.bytes == 0) {
        chain->request = buffer;
        return buffer.bytes == sizeof(struct pf_request);
    }
    if (!writable && chain->input.bytes == 0) {
        chain->input = buffer;
        return true;
    }
    if (writable && chain->response.bytes == 0) {
        if (buffer.bytes != sizeof(struct pf_response))
            return false;
        chain->response = buffer;
        return true;
    }
    if (writable && chain->output.bytes == 0) {
        chain->output = buffer;
        return true;
    }
    return false;
}

static void walk(struct pf_device *device, const uint8_t *table, struct pf_chain *chain)
{
    uint32_t index = chain->head;

    chain->well_formed = true;
    for (uint32_t i = 0; i < PF_CHAIN_MAX && index < device->ring_entries; i++) {
        struct pf_desc desc = load_descriptor(table, index);
        struct pf_buffer buffer = resolve(device, &desc);

        if ((desc.flags & ~(PF_DESC_F_NEXT | PF_DESC_F_WRITE)) != 0 || buffer.bytes == 0 ||
            !place(chain, buffer, (desc.flags & PF_DESC_F_WRITE) != 0))
            chain->well_formed = false; /* go on: a response descriptor may follow */
        if ((desc.flags & PF_DESC_F_NEXT) == 0) {
            if (chain->request.bytes == 0 || chain->response.bytes == 0)
                chain->well_formed = false;
            return;
        }
        index = desc.next;
    }
    chain->well_formed = false; /* too long, circular, or out of the table */
}

bool pf_ring_take(struct pf_device *device, struct pf_vcpu *vcpu, struct pf_chain *chain)
{
    uint8_t *base = queue(device, vcpu);
    struct pf_avail *avail = (struct pf_avail *)(void *)(base + PF_RING_AVAIL_OFFSET);
    struct pf_used *used = (struct pf_used *)(void *)(base + PF_RING_USED_OFFSET);
    uint16_t index, waiting;

    if (vcpu->broken)
        return false;
    /* Acquire: what the driver wrote before it moved the index is seen after this load. */
    index = __atomic_load_n(&avail->index, __ATOMIC_ACQUIRE);
    waiting = (uint16_t)(index - vcpu->avail_cursor);
    if (waiting == 0)
        return false;
    if (waiting > device->ring_entries) {
        vcpu->broken = 1;
        __atomic_store_n(&used->flags, PF_USED_F_BROKEN, __ATOMIC_RELEASE);
        return false;
    }
    *chain = (struct pf_chain){0};
    chain->head = __atomic_load_n(&avail->ring[vcpu->avail_cursor & (device->ring_entries - 1)],
                                  __ATOMIC_RELAXED);
    vcpu->avail_cursor++;
    walk(device, base + PF_RING_DESC_OFFSET, chain);
    return true;
}

void pf_ring_give(struct pf_device *device, struct pf_vcpu *vcpu, const struct pf_chain *chain,
                  uint32_t written)
{
    uint8_t *base = queue(device, vcpu);
    struct pf_used *used = (struct pf_used *)(void *)(base + PF_RING_USED_OFFSET);
    struct pf_used_element *element = &used->ring[vcpu->used_cursor & (device->ring_entries - 1)];
    uint64_t room = (uint64_t)chain->response.bytes + chain->output.bytes;

    if (written > room)
        written = (uint32_t)room;
    __atomic_store_n(&element->id, chain->head, __ATOMIC_RELAXED);
    __atomic_store_n(&element->bytes, written, __ATOMIC_RELAXED);
    vcpu->used_cursor++;
    /* Release: the element and all output are visible before the index that announces them. */
    __atomic_store_n(&used->index, vcpu->used_cursor, __ATOMIC_RELEASE);
}
