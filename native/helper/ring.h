/*
 * What: the device's side of a split virtqueue (virtio 1.2, 2.7) whose driver is hostile.
 */
#ifndef PAGEFERRY_HELPER_RING_H
#define PAGEFERRY_HELPER_RING_H

#include "state.h"

struct pf_chain {
    uint32_t head;
    struct pf_buffer request;
    struct pf_buffer input;    /* bytes 0: none */
    struct pf_buffer response; /* bytes 0: none, so that nothing can be answered */
    struct pf_buffer output;
    bool well_formed;
};

/* Takes the next chain. False when there is none, or the ring is broken. */
bool pf_ring_take(struct pf_device *device, struct pf_vcpu *vcpu, struct pf_chain *chain);

/* Hands a chain back with so many bytes written. */
void pf_ring_give(struct pf_device *device, struct pf_vcpu *vcpu, const struct pf_chain *chain,
                  uint32_t written);

#endif
