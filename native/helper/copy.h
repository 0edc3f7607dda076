/*
 * What: copying across the trust boundary, and wiping.
 * Why: the host may write the shared window, and the guest its RAM, while the helper reads them.
 * What is read from there is read once, into private memory, and only the copy is used (DESIGN 4).
 * A plain memcpy would not say so: the compiler may read a source again later, as if nobody else
 * wrote it. "rep movsb" in an asm block reads each byte once and cannot be looked through.
 */
#ifndef PAGEFERRY_HELPER_COPY_H
#define PAGEFERRY_HELPER_COPY_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Between window or guest RAM and private memory. The areas do not overlap. */
static inline void pf_copy(void *to, const void *from, size_t bytes)
{
#if defined(__SANITIZE_ADDRESS__)
    if (bytes > 0)               /* an absent buffer has no address */
        memcpy(to, from, bytes); /* so that the sanitizer sees the access */
    __asm__ volatile("" : : : "memory");
#else
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
#endif
}

/* A wipe the compiler may not drop although nothing reads the memory afterwards. */
static inline void pf_wipe(void *memory, size_t bytes)
{
    memset(memory, 0, bytes);
    __asm__ volatile("" : : "r"(memory) : "memory");
}

/* Takes the same time wherever the difference is. */
static inline int pf_equal_secret(const uint8_t *a, const uint8_t *b, size_t bytes)
{
    uint8_t difference = 0;

    for (size_t i = 0; i < bytes; i++)
        difference |= (uint8_t)(a[i] ^ b[i]);
    __asm__ volatile("" : "+r"(difference));
    return difference == 0;
}

#endif
