/*
 * What: the handshake between the two helpers (DESIGN 9), which the hosts only forward.
 *
 *   source                                    destination
 *     message 1: session, e_s, random   ---->
 *                                       <----  message 2: session, e_d, random, MAC_d
 *     message 3: session, MAC_s         ---->
 *
 * e_s, e_d: fresh X25519 public keys (RFC 7748). shared = X25519(own, peer); all-zero: refused.
 * transcript = SHA-256("pageferry v1 transcript" || le32(context bytes) || context
 *                      || message 1 || message 2 without its MAC)
 * prk        = HKDF-Extract(salt = transcript, ikm = shared || pre-shared secret)   (RFC 5869)
 * key(label) = HKDF-Expand(prk, "pageferry v1 " || label, 32)
 * MAC_d      = HMAC-SHA-256(key("confirm destination"), transcript)
 * MAC_s      = HMAC-SHA-256(key("confirm source"), transcript || MAC_d)
 * The labels carry no terminating zero.
 *
 * Record keys: key("record" || u8 direction || u8 class || le32 stream || le32 generation).
 * Digest keys: key("digest page") for GMAC, key("digest chunk") for HMAC.
 */
#ifndef PAGEFERRY_ABI_HANDSHAKE_H
#define PAGEFERRY_ABI_HANDSHAKE_H

#include <stdint.h>
#include "limits.h"

#define PF_HANDSHAKE_MAGIC 0x314b4650u /* "PFK1" read as le32 */
#define PF_HANDSHAKE_VERSION 1u

struct pf_handshake_header {
    uint32_t magic;
    uint8_t version;
    uint8_t message;       /* 1, 2 or 3 */
    uint8_t reserved[2];   /* zero */
    uint32_t vcpus;        /* streams the sender seals with; 0 in message 3 */
    uint32_t capabilities; /* bit n: enum pf_codec n can be opened; 0 in message 3 */
    uint8_t session[16];   /* drawn by the source's helper */
};

struct pf_handshake_1 {
    struct pf_handshake_header header;
    uint8_t public_key[32];
    uint8_t random[32];
};

struct pf_handshake_2 {
    struct pf_handshake_header header;
    uint8_t public_key[32];
    uint8_t random[32];
    uint8_t mac[32];
};

struct pf_handshake_3 {
    struct pf_handshake_header header;
    uint8_t mac[32];
};

_Static_assert(sizeof(struct pf_handshake_header) == 32, "handshake header");
_Static_assert(sizeof(struct pf_handshake_1) == 96, "message 1");
_Static_assert(sizeof(struct pf_handshake_2) == 128, "message 2");
_Static_assert(sizeof(struct pf_handshake_3) == 64, "message 3");

#endif
