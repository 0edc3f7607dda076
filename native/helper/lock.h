/*
 * What: the two locks of a device.
 *
 * The gate is a reader-writer lock whose writers never wait for readers. Commands that work on
 * pages, messages or digests pass it shared; commands that change what the others rely on (block
 * table, keys, reset, making a token) need it exclusive, and answer BUSY when it is not free.
 * The spinlock guards the stream windows, the epoch and the failure state.
 *
 * Why nothing deadlocks: the order is gate, then spinlock, each at most once; whoever holds the
 * spinlock waits for nothing; whoever holds the gate exclusive waits only for the spinlock, which
 * nobody holds then; a shared holder waits only for the spinlock.
 */
#ifndef PAGEFERRY_HELPER_LOCK_H
#define PAGEFERRY_HELPER_LOCK_H

#include <stdbool.h>
#include <stdint.h>

#define PF_GATE_EXCLUSIVE 0x80000000u

static inline void pf_pause(void)
{
    __builtin_ia32_pause();
}

static inline void pf_gate_enter(uint32_t *gate)
{
    uint32_t seen = __atomic_load_n(gate, __ATOMIC_RELAXED);

    for (;;) {
        if (seen & PF_GATE_EXCLUSIVE) {
            pf_pause();
            seen = __atomic_load_n(gate, __ATOMIC_RELAXED);
            continue;
        }
        if (__atomic_compare_exchange_n(gate, &seen, seen + 1, true, __ATOMIC_ACQUIRE,
                                        __ATOMIC_RELAXED))
            return;
    }
}

static inline void pf_gate_leave(uint32_t *gate)
{
    __atomic_fetch_sub(gate, 1, __ATOMIC_RELEASE);
}

/* False when somebody is inside. Waits for another exclusive holder, who never waits for us. */
static inline bool pf_gate_try_exclusive(uint32_t *gate)
{
    for (;;) {
        uint32_t seen = 0;

        if (__atomic_compare_exchange_n(gate, &seen, PF_GATE_EXCLUSIVE, false, __ATOMIC_ACQUIRE,
                                        __ATOMIC_RELAXED))
            return true;
        if (!(seen & PF_GATE_EXCLUSIVE))
            return false;
        pf_pause();
    }
}

static inline void pf_gate_leave_exclusive(uint32_t *gate)
{
    __atomic_store_n(gate, 0, __ATOMIC_RELEASE);
}

static inline void pf_spin_lock(uint32_t *lock)
{
    while (__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE)) {
        while (__atomic_load_n(lock, __ATOMIC_RELAXED))
            pf_pause();
    }
}

static inline void pf_spin_unlock(uint32_t *lock)
{
    __atomic_store_n(lock, 0, __ATOMIC_RELEASE);
}

#endif
