/*
 * What: what the static archives ask of a C library, for the freestanding image.
 * Allocation answers NULL: every codec state lies in the arena, and the paths that allocate are
 * never taken (codec.c).
 */
#ifndef PF_HOSTED

#include <stddef.h>
#include <stdint.h>

void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);
size_t strlen(const char *text);
void *__memcpy_chk(void *to, const void *from, size_t bytes, size_t room);
void *__memmove_chk(void *to, const void *from, size_t bytes, size_t room);
void *__memset_chk(void *to, int value, size_t bytes, size_t room);
void __stack_chk_fail(void);
void *malloc(size_t bytes);
void *calloc(size_t count, size_t bytes);
void free(void *memory);
char *strerror(int number);

/* The codecs copy a few bytes at a time, for which a string instruction starts too slowly. */
static void *copy_short(uint8_t *to, const uint8_t *from, size_t bytes)
{
    uint64_t first, last;

    if (bytes >= 8) { /* two words that may overlap */
        __builtin_memcpy(&first, from, 8);
        __builtin_memcpy(&last, from + bytes - 8, 8);
        __builtin_memcpy(to, &first, 8);
        __builtin_memcpy(to + bytes - 8, &last, 8);
        return to;
    }
    for (size_t i = 0; i < bytes; i++) {
        to[i] = from[i];
        __asm__ volatile("" : : : "memory"); /* or the compiler makes a memcpy of it */
    }
    return to;
}

/* "rep movsb" and "rep stosb" run at cache speed where the CPU has ERMS, as all with VAES do. */
void *memcpy(void *restrict to, const void *restrict from, size_t bytes)
{
    void *at = to;

    if (bytes <= 16)
        return copy_short(to, from, bytes);
    __asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(bytes) : : "memory");
    return to;
}

void *memmove(void *to, const void *from, size_t bytes)
{
    const uint8_t *source = (const uint8_t *)from + bytes;
    uint8_t *target = (uint8_t *)to + bytes;

    if ((uintptr_t)to - (uintptr_t)from >= bytes)
        return memcpy(to, from, bytes);
    /* to lies inside [from, from + bytes): backwards, in words while there are some. */
    for (; bytes >= 8; bytes -= 8) {
        uint64_t word;

        source -= 8;
        target -= 8;
        __builtin_memcpy(&word, source, 8);
        __builtin_memcpy(target, &word, 8);
    }
    while (bytes-- > 0) {
        uint8_t byte = *--source;

        *--target = byte;
        __asm__ volatile("" : : : "memory"); /* or the compiler makes a memmove of it */
    }
    return to;
}

void *memset(void *to, int value, size_t bytes)
{
    void *at = to;

    __asm__ volatile("rep stosb" : "+D"(at), "+c"(bytes) : "a"(value) : "memory");
    return to;
}

int memcmp(const void *a, const void *b, size_t bytes)
{
    const uint8_t *x = a, *y = b;

    for (size_t i = 0; i < bytes; i++) {
        if (x[i] != y[i])
            return x[i] < y[i] ? -1 : 1;
    }
    return 0;
}

size_t strlen(const char *text)
{
    size_t bytes = 0;

    while (text[bytes] != '\0') {
        bytes++;
        __asm__ volatile("" : : : "memory"); /* or the compiler makes a strlen of it */
    }
    return bytes;
}

/* Debian builds with _FORTIFY_SOURCE: an overflow that is caught there is a fault here. */
void *__memcpy_chk(void *to, const void *from, size_t bytes, size_t room)
{
    if (bytes > room)
        __builtin_trap();
    return memcpy(to, from, bytes);
}

void *__memmove_chk(void *to, const void *from, size_t bytes, size_t room)
{
    if (bytes > room)
        __builtin_trap();
    return memmove(to, from, bytes);
}

void *__memset_chk(void *to, int value, size_t bytes, size_t room)
{
    if (bytes > room)
        __builtin_trap();
    return memset(to, value, bytes);
}

void __stack_chk_fail(void)
{
    __builtin_trap();
}

void *malloc(size_t bytes)
{
    (void)bytes;
    return NULL;
}

void *calloc(size_t count, size_t bytes)
{
    (void)count;
    (void)bytes;
    return NULL;
}

void free(void *memory)
{
    (void)memory;
}

/* For libIPSec_MB's error texts, which nobody asks for. */
char *strerror(int number)
{
    static char text[] = "error";

    (void)number;
    return text;
}

#else
/* A translation unit needs a declaration (ISO C11, 6.9). */
typedef int pf_memory_is_the_hosts;
#endif
