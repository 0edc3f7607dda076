/*
 * What: reading, checking and making records (abi/record.h). The record at hand lies in
 * vcpu->record (header and page list); its text in vcpu->plain or vcpu->encoded.
 */
#ifndef PAGEFERRY_HELPER_RECORD_H
#define PAGEFERRY_HELPER_RECORD_H

#include "commands.h"

/*
 * Records under one key. At 1 MiB each that is 256 TiB, 2^44 AES blocks: the chance to tell the
 * key stream from random bytes stays near 2^-41, below NIST SP 800-38D's 2^-32 (8.3).
 */
#define PF_RECORDS_PER_KEY_MAX (1ull << 28)

/*
 * Copies header and list of the input to private memory and checks every field that can be
 * checked without a key, for a kind in kinds (bit n: enum pf_record_kind n); then whether the
 * record is of this session and goes in direction.
 */
uint32_t pf_record_read(struct pf_call *call, uint32_t kinds, uint32_t direction);

/* Copies the ciphertext to text, opens it there, and verifies the tag. False: text is wiped. */
bool pf_record_open(struct pf_call *call, const pf_gcm_key *key, uint8_t *text);

/* Fills in a header of this session; the caller adds what its kind needs. */
void pf_record_begin(struct pf_call *call, uint32_t kind, uint32_t direction, uint64_t counter);

/* Seals vcpu->plain (header.sealed_bytes of it) into the output as a record without a list. */
void pf_record_put(struct pf_call *call, const pf_gcm_key *key);

/* The whole record's size, from its header. */
uint32_t pf_record_bytes(const struct pf_record_header *header);

#endif
