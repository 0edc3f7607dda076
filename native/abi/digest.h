/*
 * What: the keyed digest of a guest's RAM, equal on both sides of a session for equal RAM.
 *
 * Keys: "digest page" and "digest chunk" of the session (handshake.h).
 *
 *   tag(page)  = 16 zero bytes when all 4096 bytes are zero or the page lies in no block;
 *                otherwise AES-256-GCM's tag with key "digest page",
 *                iv = le64(ram_addr_t >> 12) || 4 zero bytes, aad = the page, no plaintext
 *   mac(chunk) = HMAC-SHA-256(key "digest chunk", le64(number) || its 256 tags in order)
 *                for chunk number n = the pages 256 n .. 256 n + 255, 1 MiB of ram_addr_t
 *   sum        = XOR of mac(chunk) over all chunks with a page that is not zero
 *   digest     = HMAC-SHA-256(key "digest chunk", "final" || sum || layout)
 *
 * layout is the layout digest of record.h; "final" has no terminating zero. A chunk's number is
 * below 2^27, so no chunk's message starts with "final". The XOR is safe because every chunk
 * occurs once and its MAC covers its number. Tags stay inside the helper: the nonce repeats when
 * a page is hashed twice in a session, and two visible tags would then give GHASH's key away.
 */
#ifndef PAGEFERRY_ABI_DIGEST_H
#define PAGEFERRY_ABI_DIGEST_H

#include "limits.h"

#define PF_DIGEST_CHUNK_PAGES 256u
#define PF_DIGEST_BYTES 32u

#endif
