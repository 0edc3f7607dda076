/*
 * What: SHA-256, HMAC, HKDF and X25519 on BearSSL's constant-time code.
 */
#include "copy.h"
#include "crypto.h"

void pf_sha256(const struct pf_part *parts, size_t count, uint8_t out[PF_HASH_BYTES])
{
    br_sha256_context context;

    br_sha256_init(&context);
    for (size_t i = 0; i < count; i++)
        br_sha256_update(&context, parts[i].data, parts[i].bytes);
    br_sha256_out(&context, out);
    pf_wipe(&context, sizeof(context));
}

void pf_hmac(const uint8_t key[PF_KEY_BYTES], const struct pf_part *parts, size_t count,
             uint8_t out[PF_HASH_BYTES])
{
    br_hmac_key_context key_context;
    br_hmac_context context;

    br_hmac_key_init(&key_context, &br_sha256_vtable, key, PF_KEY_BYTES);
    br_hmac_init(&context, &key_context, 0);
    for (size_t i = 0; i < count; i++)
        br_hmac_update(&context, parts[i].data, parts[i].bytes);
    br_hmac_out(&context, out);
    pf_wipe(&key_context, sizeof(key_context));
    pf_wipe(&context, sizeof(context));
}

void pf_hkdf(const void *salt, size_t salt_bytes, const struct pf_part *material, size_t count,
             const void *info, size_t info_bytes, void *out, size_t out_bytes)
{
    br_hkdf_context context;

    br_hkdf_init(&context, &br_sha256_vtable, salt, salt_bytes);
    for (size_t i = 0; i < count; i++)
        br_hkdf_inject(&context, material[i].data, material[i].bytes);
    br_hkdf_flip(&context);
    br_hkdf_produce(&context, info, info_bytes, out, out_bytes);
    pf_wipe(&context, sizeof(context));
}

void pf_hkdf_extract(const void *salt, size_t salt_bytes, const struct pf_part *material,
                     size_t count, uint8_t prk[PF_HASH_BYTES])
{
    br_hmac_key_context key_context;
    br_hmac_context context;

    br_hmac_key_init(&key_context, &br_sha256_vtable, salt, salt_bytes);
    br_hmac_init(&context, &key_context, 0);
    for (size_t i = 0; i < count; i++)
        br_hmac_update(&context, material[i].data, material[i].bytes);
    br_hmac_out(&context, prk);
    pf_wipe(&key_context, sizeof(key_context));
    pf_wipe(&context, sizeof(context));
}

void pf_hkdf_expand_key(const uint8_t prk[PF_HASH_BYTES], const struct pf_part *info, size_t count,
                        uint8_t out[PF_KEY_BYTES])
{
    /* RFC 5869, 2.3 for one block: T(1) = HMAC(PRK, info || 0x01). */
    static const uint8_t block_number = 1;
    br_hmac_key_context key_context;
    br_hmac_context context;

    br_hmac_key_init(&key_context, &br_sha256_vtable, prk, PF_HASH_BYTES);
    br_hmac_init(&context, &key_context, 0);
    for (size_t i = 0; i < count; i++)
        br_hmac_update(&context, info[i].data, info[i].bytes);
    br_hmac_update(&context, &block_number, 1);
    br_hmac_out(&context, out);
    pf_wipe(&key_context, sizeof(key_context));
    pf_wipe(&context, sizeof(context));
}

bool pf_x25519(uint8_t out[32], const uint8_t scalar[32], const uint8_t point[32])
{
    uint8_t any = 0;

    /*
     * BearSSL 0.6 takes this curve's scalars as RFC 7748 writes them, least significant byte
     * first, though its header says otherwise for all curves; it clamps as RFC 7748, 5 asks.
     */
    memcpy(out, point, 32);
    br_ec_c25519_m31.mul(out, 32, scalar, 32, BR_EC_curve25519);
    for (size_t i = 0; i < 32; i++)
        any |= out[i];
    return any != 0;
}

void pf_x25519_public(uint8_t out[32], const uint8_t scalar[32])
{
    static const uint8_t base[32] = {9}; /* RFC 7748, 4.1 */

    (void)pf_x25519(out, scalar, base);
}
