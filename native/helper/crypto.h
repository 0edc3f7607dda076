/*
 * What: the primitives: AES-256-GCM (libIPSec_MB), SHA-256, HMAC, HKDF, X25519 (BearSSL).
 * Who: no state of its own; keys and contexts lie in the arena. All of it constant time.
 */
#ifndef PAGEFERRY_HELPER_CRYPTO_H
#define PAGEFERRY_HELPER_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <bearssl.h>
#include <intel-ipsec-mb.h>

#define PF_KEY_BYTES 32u
#define PF_HASH_BYTES 32u
#define PF_GCM_IV_BYTES 12u

typedef struct gcm_key_data pf_gcm_key;
typedef struct gcm_context_data pf_gcm_context;

/* One implementation of AES-256-GCM; libIPSec_MB has one per vector extension. */
struct pf_gcm {
    aes_gcm_pre_t expand;
    aes_gcm_init_t begin;
    aes_gcm_init_var_iv_t begin_any_iv;
    aes_gcm_enc_dec_update_t encrypt;
    aes_gcm_enc_dec_update_t decrypt;
    aes_gcm_enc_dec_finalize_t finish_encrypt;
    aes_gcm_enc_dec_finalize_t finish_decrypt;
    aes_gcm_enc_dec_t encrypt_all;
};

/*
 * The implementation for requested (enum pf_aes_variant); for PF_AES_AUTO the widest one that
 * CPU and enabled vector state allow. NULL: no such value, or a CPU without AES instructions.
 */
const struct pf_gcm *pf_gcm_select(uint32_t requested, uint32_t *chosen);

/* The nonce of a record: le64 counter, four zero bytes (abi/record.h). */
void pf_gcm_iv(uint8_t iv[PF_GCM_IV_BYTES], uint64_t counter);

/* Seals or opens a short text in place. open: false when the tag is wrong; text is wiped then. */
void pf_gcm_seal(const struct pf_gcm *gcm, const pf_gcm_key *key, uint64_t counter, const void *aad,
                 size_t aad_bytes, uint8_t *text, size_t text_bytes, uint8_t tag[16]);
bool pf_gcm_open(const struct pf_gcm *gcm, const pf_gcm_key *key, uint64_t counter, const void *aad,
                 size_t aad_bytes, uint8_t *text, size_t text_bytes, const uint8_t tag[16]);

/* GMAC: the tag over data as AAD alone (NIST SP 800-38D, 3). */
void pf_gmac(const struct pf_gcm *gcm, const pf_gcm_key *key, uint64_t number, const void *data,
             size_t bytes, uint8_t tag[16]);

struct pf_part {
    const void *data;
    size_t bytes;
};

void pf_sha256(const struct pf_part *parts, size_t count, uint8_t out[PF_HASH_BYTES]);
void pf_hmac(const uint8_t key[PF_KEY_BYTES], const struct pf_part *parts, size_t count,
             uint8_t out[PF_HASH_BYTES]);
/* RFC 5869. out_bytes at most 255 x 32. */
void pf_hkdf(const void *salt, size_t salt_bytes, const struct pf_part *material, size_t count,
             const void *info, size_t info_bytes, void *out, size_t out_bytes);
/* RFC 5869, 2.2 and 2.3 apart, for one prk and many labels. out is at most 32 bytes. */
void pf_hkdf_extract(const void *salt, size_t salt_bytes, const struct pf_part *material,
                     size_t count, uint8_t prk[PF_HASH_BYTES]);
void pf_hkdf_expand_key(const uint8_t prk[PF_HASH_BYTES], const struct pf_part *info, size_t count,
                        uint8_t out[PF_KEY_BYTES]);

/* RFC 7748. False when the result is zero, which a point of small order gives (6.1). */
bool pf_x25519(uint8_t out[32], const uint8_t scalar[32], const uint8_t point[32]);
void pf_x25519_public(uint8_t out[32], const uint8_t scalar[32]);

struct pf_random {
    uint8_t state[PF_HASH_BYTES];
    uint64_t draws;
    bool has_rdrand;
};

void pf_random_create(struct pf_random *random, const uint8_t seed[32], bool assume_rdrand);
/* At most 255 x 32 bytes. False when the CPU gives no healthy randomness. */
bool pf_random_draw(struct pf_random *random, void *out, size_t bytes);

static inline void pf_store_le32(uint8_t *out, uint32_t value)
{
    __builtin_memcpy(out, &value, sizeof(value)); /* x86-64 is little-endian */
}

static inline void pf_store_le64(uint8_t *out, uint64_t value)
{
    __builtin_memcpy(out, &value, sizeof(value));
}

#endif
