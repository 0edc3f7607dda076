/*
 * What: known answers. The CAVP files are those of Debian's python3-cryptography-vectors.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests.h"

#define CAVP "/usr/lib/python3/dist-packages/cryptography_vectors/ciphers/AES/GCM/"

struct vector {
    uint8_t key[32], iv[1024], aad[1024], plain[1024], cipher[1024], tag[16];
    uint32_t key_bytes, iv_bytes, aad_bytes, plain_bytes, cipher_bytes, tag_bytes;
    bool fail;
};

static uint32_t from_hex(const char *hex, uint8_t *out, uint32_t room)
{
    uint32_t bytes = 0;
    unsigned value;

    while (sscanf(hex + 2 * bytes, "%2x", &value) == 1) {
        CHECK(bytes < room);
        out[bytes++] = (uint8_t)value;
    }
    return bytes;
}

static uint32_t join(uint8_t *out, const struct vector *v, bool open)
{
    uint32_t at = 0;

#define PUT(field) memcpy(out + at, v->field, v->field##_bytes), at += v->field##_bytes
    PUT(key);
    PUT(iv);
    PUT(aad);
    if (open) {
        PUT(cipher);
        PUT(tag);
    } else {
        PUT(plain);
    }
#undef PUT
    return at;
}

static void check_vector(struct side *side, const struct vector *v, bool seal)
{
    uint8_t input[8192];
    struct pf_request request = {
        .command = PF_COMMAND_CRYPTO_CHECK,
        .arg = {PF_CRYPTO_GCM_OPEN, v->iv_bytes, v->aad_bytes, v->cipher_bytes, v->tag_bytes}};
    struct answer answer;

    answer = side_run(side, 0, &request, input, join(input, v, true), 4096);
    CHECK_STATUS(answer, v->fail ? PF_STATUS_TAG : PF_STATUS_OK);
    if (v->fail)
        return;
    CHECK(answer.written == v->plain_bytes &&
          memcmp(answer.output, v->plain, v->plain_bytes) == 0);
    if (!seal)
        return;
    request.arg[0] = PF_CRYPTO_GCM_SEAL;
    answer = side_run(side, 0, &request, input, join(input, v, false), 4096);
    CHECK_STATUS(answer, PF_STATUS_OK);
    CHECK(memcmp(answer.output, v->cipher, v->cipher_bytes) == 0);
    CHECK(memcmp(answer.output + v->cipher_bytes, v->tag, v->tag_bytes) == 0);
}

static uint32_t check_file(struct side *side, const char *path, bool encrypt)
{
    FILE *file = fopen(path, "r");
    struct vector v = {0};
    char line[8192];
    uint32_t count = 0;

    CHECK(file != NULL);
#define FIELD(name, field)                                                                       \
    if (strncmp(line, name " = ", sizeof(name) + 2) == 0)                                        \
        v.field##_bytes = from_hex(line + sizeof(name) + 2, v.field, sizeof(v.field))
    while (fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, "Count", 5) == 0)
            memset(&v, 0, sizeof(v));
        FIELD("Key", key);
        FIELD("IV", iv);
        FIELD("AAD", aad);
        FIELD("PT", plain);
        FIELD("CT", cipher);
        FIELD("Tag", tag);
        if (strncmp(line, "FAIL", 4) == 0)
            v.fail = true;
        /* The last line of a vector: Tag when encrypting, PT or FAIL when decrypting. */
        if (v.key_bytes > 0 && strncmp(line, encrypt ? "Tag" : v.fail ? "FAIL" : "PT",
                                       encrypt ? 3 : v.fail ? 4 : 2) == 0) {
            check_vector(side, &v, encrypt);
            count++;
        }
    }
    fclose(file);
    return count;
}

static void check_rfc5869(struct side *side)
{
    /* RFC 5869, A.1 */
    uint8_t input[64], expected[42];
    const uint32_t salt = from_hex("000102030405060708090a0b0c", input, 64);
    const uint32_t material = 22;
    struct pf_request request = {.command = PF_COMMAND_CRYPTO_CHECK,
                                 .arg = {PF_CRYPTO_HKDF, salt, material, 10, 42}};
    struct answer answer;

    memset(input + salt, 0x0b, material);
    from_hex("f0f1f2f3f4f5f6f7f8f9", input + salt + material, 10);
    from_hex("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
             "34007208d5b887185865", expected, 42);
    answer = side_run(side, 0, &request, input, salt + material + 10, 64);
    CHECK_STATUS(answer, PF_STATUS_OK);
    CHECK(answer.written == 42 && memcmp(answer.output, expected, 42) == 0);
}

static void check_rfc7748(struct side *side)
{
    /* RFC 7748, 5.2, both vectors, and a point of small order */
    static const char *vectors[][2] = {
        {"a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"
         "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
         "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"},
        {"4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d"
         "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
         "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957"},
    };
    struct answer answer;
    uint8_t input[64], expected[32];

    for (int i = 0; i < 2; i++) {
        from_hex(vectors[i][0], input, 64);
        from_hex(vectors[i][1], expected, 32);
        answer = side_do(side, PF_COMMAND_CRYPTO_CHECK, PF_CRYPTO_X25519, 0, 0, input, 64);
        CHECK_STATUS(answer, PF_STATUS_OK);
        CHECK(answer.written == 32 && memcmp(answer.output, expected, 32) == 0);
    }
    memset(input + 32, 0, 32);
    answer = side_do(side, PF_COMMAND_CRYPTO_CHECK, PF_CRYPTO_X25519, 0, 0, input, 64);
    CHECK_STATUS(answer, PF_STATUS_POINT);
}

void test_vectors(void)
{
    for (uint32_t variant = PF_AES_AUTO; variant <= PF_AES_AVX512; variant++) {
        struct side *side = side_create(1, 4096, variant);

        CHECK(check_file(side, CAVP "gcmEncryptExtIV256.rsp", true) > 7000);
        CHECK(check_file(side, CAVP "gcmDecrypt256.rsp", false) > 7000);
        check_rfc5869(side);
        check_rfc7748(side);
        side_destroy(side);
    }
}
