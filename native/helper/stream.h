/*
 * What: which counters of a stream have arrived.
 * pf_stream_window: records that will be resent until they arrive (pages). Claimed: taken up by
 * a vCPU; done: written. The caller holds the device's lock.
 * pf_replay: records that may be lost for good (lane messages), so that the window slides with
 * the newest, as in IPsec (RFC 4303, 3.4.3 and appendix A).
 */
#ifndef PAGEFERRY_HELPER_STREAM_H
#define PAGEFERRY_HELPER_STREAM_H

#include <stdbool.h>
#include <stdint.h>
#include "../abi/limits.h"

#define PF_STREAM_WORDS (PF_STREAM_WINDOW / 64u)

struct pf_stream_window {
    uint64_t base;                     /* all counters up to here are done */
    uint64_t highest;                  /* highest one claimed */
    uint64_t total;                    /* done */
    uint64_t claimed[PF_STREAM_WORDS]; /* bit: counter modulo PF_STREAM_WINDOW */
    uint64_t done[PF_STREAM_WORDS];
};

enum pf_claim {
    PF_CLAIM_NEW,
    PF_CLAIM_DUPLICATE,
    PF_CLAIM_TOO_FAR,
};

enum pf_claim pf_stream_look(const struct pf_stream_window *window, uint64_t counter);
/* Only after pf_stream_look said NEW, with the lock held since. */
void pf_stream_claim(struct pf_stream_window *window, uint64_t counter);
void pf_stream_done(struct pf_stream_window *window, uint64_t counter);

struct pf_replay {
    uint64_t highest;
    uint64_t seen[PF_STREAM_WORDS];
};

/* False: seen before, or too old to tell. */
bool pf_replay_accept(struct pf_replay *replay, uint64_t counter);

#endif
