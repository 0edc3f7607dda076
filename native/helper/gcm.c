/*
 * What: AES-256-GCM on libIPSec_MB's functions for one vector extension each, called directly:
 * the library's manager would allocate, and its detection cannot be told what the host knows.
 */
#include <cpuid.h>
#include "../abi/boot.h"
#include "copy.h"
#include "crypto.h"

/*
 * The header declares none of the AVX-512 functions; these are the archive's own names for all
 * four, declared alike (imb: lib/include/gcm.h). The library's aes_gcm_pre_256_* would do for the
 * key expansion, but lies in an object that pulls in every key size and variant: 3 MB.
 */
#define PF_GCM_VARIANT(name, suffix, expansion) \
    void aes_keyexp_256_enc_##expansion(const void *, void *); \
    void aes_gcm_precomp_256_##suffix(struct gcm_key_data *); \
    void aes_gcm_init_256_##suffix(const struct gcm_key_data *, struct gcm_context_data *, \
                                   const uint8_t *, const uint8_t *, uint64_t); \
    void aes_gcm_init_var_iv_256_##suffix(const struct gcm_key_data *, struct gcm_context_data *, \
                                          const uint8_t *, uint64_t, const uint8_t *, uint64_t); \
    void aes_gcm_enc_256_update_##suffix(const struct gcm_key_data *, struct gcm_context_data *, \
                                         uint8_t *, const uint8_t *, uint64_t); \
    void aes_gcm_dec_256_update_##suffix(const struct gcm_key_data *, struct gcm_context_data *, \
                                         uint8_t *, const uint8_t *, uint64_t); \
    void aes_gcm_enc_256_finalize_##suffix(const struct gcm_key_data *, struct gcm_context_data *, \
                                           uint8_t *, uint64_t); \
    void aes_gcm_dec_256_finalize_##suffix(const struct gcm_key_data *, struct gcm_context_data *, \
                                           uint8_t *, uint64_t); \
    void aes_gcm_enc_256_##suffix(const struct gcm_key_data *, struct gcm_context_data *, \
                                  uint8_t *, const uint8_t *, uint64_t, const uint8_t *, \
                                  const uint8_t *, uint64_t, uint8_t *, uint64_t); \
    static void name##_expand(const void *key, struct gcm_key_data *expanded) \
    { \
        aes_keyexp_256_enc_##expansion(key, expanded->expanded_keys); \
        aes_gcm_precomp_256_##suffix(expanded); \
    } \
    static const struct pf_gcm name = { \
        .expand = name##_expand, \
        .begin = aes_gcm_init_256_##suffix, \
        .begin_any_iv = aes_gcm_init_var_iv_256_##suffix, \
        .encrypt = aes_gcm_enc_256_update_##suffix, \
        .decrypt = aes_gcm_dec_256_update_##suffix, \
        .finish_encrypt = aes_gcm_enc_256_finalize_##suffix, \
        .finish_decrypt = aes_gcm_dec_256_finalize_##suffix, \
        .encrypt_all = aes_gcm_enc_256_##suffix, \
    }

PF_GCM_VARIANT(gcm_sse, sse, sse);
PF_GCM_VARIANT(gcm_avx, avx_gen2, avx);
PF_GCM_VARIANT(gcm_avx2, avx_gen4, avx2);
PF_GCM_VARIANT(gcm_avx512, vaes_avx512, avx512);

static uint64_t enabled_vector_state(void)
{
    uint32_t low, high;

    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

/*
 * Intel SDM volume 1, 14.3 and 15.2: an extension is usable when CPUID names it, OSXSAVE is set
 * and XCR0 enables its registers (bits 1-2 for AVX, 5-7 in addition for AVX-512).
 */
static uint32_t widest_variant(void)
{
    const uint32_t avx2 = bit_AVX2 | bit_BMI2;
    const uint32_t avx512 = bit_AVX512F | bit_AVX512DQ | bit_AVX512BW | bit_AVX512VL;
    const uint32_t vaes = bit_VAES | bit_VPCLMULQDQ;
    uint32_t a, b, c, d, leaf1, b7 = 0, c7 = 0;
    uint64_t state;

    if (!__get_cpuid(1, &a, &b, &leaf1, &d) || !(leaf1 & bit_AES) || !(leaf1 & bit_PCLMUL) ||
        !(leaf1 & bit_SSE4_1))
        return PF_AES_AUTO;
    if (!(leaf1 & bit_OSXSAVE) || !(leaf1 & bit_AVX))
        return PF_AES_SSE;
    state = enabled_vector_state();
    if ((state & 0x06) != 0x06)
        return PF_AES_SSE;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
        b7 = b;
        c7 = c;
    }
    if ((state & 0xe6) == 0xe6 && (b7 & avx512) == avx512 && (b7 & bit_BMI2) && (c7 & vaes) == vaes)
        return PF_AES_AVX512;
    return (b7 & avx2) == avx2 ? PF_AES_AVX2 : PF_AES_AVX;
}

const struct pf_gcm *pf_gcm_select(uint32_t requested, uint32_t *chosen)
{
    /* Named by the host: no CPUID, which an SEV-ES guest must avoid (DESIGN, facts about SEV). */
    *chosen = requested == PF_AES_AUTO ? widest_variant() : requested;
    switch (*chosen) {
    case PF_AES_SSE:
        return &gcm_sse;
    case PF_AES_AVX:
        return &gcm_avx;
    case PF_AES_AVX2:
        return &gcm_avx2;
    case PF_AES_AVX512:
        return &gcm_avx512;
    default:
        return NULL;
    }
}

void pf_gcm_iv(uint8_t iv[PF_GCM_IV_BYTES], uint64_t counter)
{
    pf_store_le64(iv, counter);
    pf_store_le32(iv + 8, 0);
}

void pf_gcm_seal(const struct pf_gcm *gcm, const pf_gcm_key *key, uint64_t counter, const void *aad,
                 size_t aad_bytes, uint8_t *text, size_t text_bytes, uint8_t tag[16])
{
    pf_gcm_context context;
    uint8_t iv[PF_GCM_IV_BYTES];

    pf_gcm_iv(iv, counter);
    gcm->begin(key, &context, iv, aad, aad_bytes);
    if (text_bytes > 0)
        gcm->encrypt(key, &context, text, text, text_bytes);
    gcm->finish_encrypt(key, &context, tag, 16);
    pf_wipe(&context, sizeof(context));
}

bool pf_gcm_open(const struct pf_gcm *gcm, const pf_gcm_key *key, uint64_t counter, const void *aad,
                 size_t aad_bytes, uint8_t *text, size_t text_bytes, const uint8_t tag[16])
{
    pf_gcm_context context;
    uint8_t iv[PF_GCM_IV_BYTES], computed[16];
    bool authentic;

    pf_gcm_iv(iv, counter);
    gcm->begin(key, &context, iv, aad, aad_bytes);
    if (text_bytes > 0)
        gcm->decrypt(key, &context, text, text, text_bytes);
    gcm->finish_decrypt(key, &context, computed, 16);
    authentic = pf_equal_secret(computed, tag, 16);
    if (!authentic)
        pf_wipe(text, text_bytes);
    pf_wipe(&context, sizeof(context));
    pf_wipe(computed, sizeof(computed)); /* the right tag of a forged record */
    return authentic;
}

void pf_gmac(const struct pf_gcm *gcm, const pf_gcm_key *key, uint64_t number, const void *data,
             size_t bytes, uint8_t tag[16])
{
    pf_gcm_context context;
    uint8_t iv[PF_GCM_IV_BYTES], none[16] = {0};

    pf_gcm_iv(iv, number);
    /* One call beats the library's GMAC interface of three: about 19 against 17 GB/s on pages. */
    gcm->encrypt_all(key, &context, none, none, 0, iv, data, bytes, tag, 16);
}
