/*
 * What: the helper's randomness: RDRAND, with the host's seed mixed in and never trusted alone
 * (DESIGN 9). Whoever knows only one of the two sources learns nothing about the output.
 */
#include <cpuid.h>
#include "copy.h"
#include "crypto.h"

/* Intel, Digital Random Number Generator Guide, 5.2.1: ten tries, then it is broken. */
#define RDRAND_TRIES 10
#define RDRAND_WORDS 8u

static bool rdrand(uint64_t *value)
{
    for (int i = 0; i < RDRAND_TRIES; i++) {
        uint8_t carry;

        __asm__ volatile("rdrand %0; setc %1" : "=r"(*value), "=qm"(carry) : : "cc");
        if (carry)
            return true;
    }
    return false;
}

/*
 * Some processors answered all ones with carry set after a suspend; the kernel's
 * arch/x86/kernel/cpu/rdrand.c looks for words that do not change, and so does this.
 */
static bool draw_words(uint64_t words[RDRAND_WORDS])
{
    for (uint32_t i = 0; i < RDRAND_WORDS; i++) {
        if (!rdrand(&words[i]) || words[i] == 0 || words[i] == ~0ull)
            return false;
        for (uint32_t j = 0; j < i; j++) {
            if (words[i] == words[j])
                return false;
        }
    }
    return true;
}

static bool cpu_has_rdrand(void)
{
    uint32_t a, b, c, d;

    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_RDRND);
}

void pf_random_create(struct pf_random *random, const uint8_t seed[32], bool assume_rdrand)
{
    static const char label[] = "pageferry v1 seed";
    const struct pf_part part = {seed, 32};

    pf_hkdf(label, sizeof(label) - 1, &part, 1, NULL, 0, random->state, sizeof(random->state));
    random->draws = 0;
    random->has_rdrand = assume_rdrand || cpu_has_rdrand();
}

bool pf_random_draw(struct pf_random *random, void *out, size_t bytes)
{
    static const char label_output[] = "pageferry v1 random", label_next[] = "pageferry v1 next";
    uint64_t words[RDRAND_WORDS];
    const struct pf_part parts[] = {{words, sizeof(words)}, {&random->draws, 8}};
    uint8_t prk[PF_HASH_BYTES];
    const struct pf_part material = {prk, sizeof(prk)};

    if (!random->has_rdrand || !draw_words(words)) {
        pf_wipe(words, sizeof(words));
        return false;
    }
    random->draws++;
    pf_hkdf_extract(random->state, sizeof(random->state), parts, 2, prk);
    pf_hkdf(NULL, 0, &material, 1, label_output, sizeof(label_output) - 1, out, bytes);
    /* The state moves on, so that a later look at it does not give earlier output back. */
    pf_hkdf(NULL, 0, &material, 1, label_next, sizeof(label_next) - 1, random->state,
            sizeof(random->state));
    pf_wipe(prk, sizeof(prk));
    pf_wipe(words, sizeof(words));
    return true;
}
