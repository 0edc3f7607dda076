/*
 * What: the C tests, and what they share.
 */
#ifndef PAGEFERRY_TEST_TESTS_H
#define PAGEFERRY_TEST_TESTS_H

#include "driver.h"

/* A source and a destination, connected, with two adjacent blocks (ids 0 and 3) of 12 MiB. */
struct pair {
    struct side *source;
    struct side *destination;
    uint64_t epoch;
};

void pair_create(struct pair *pair, uint32_t source_vcpus, uint32_t destination_vcpus);
void pair_destroy(struct pair *pair);
struct answer export_run(struct pair *pair, uint64_t first, uint64_t count, uint32_t codec,
                         uint32_t granule);
struct answer import_record(struct pair *pair, const struct answer *record);
void end_epoch(struct pair *pair, bool start);
void fill_ram(struct side *side);
/* All pages, record by record, each imported twice. */
void transfer(struct pair *pair, uint32_t codec, uint32_t granule);
void same_ram(struct pair *pair);

void test_codecs(void);
void test_epochs(void);
void test_long_lists(void);
void test_holes(void);
void test_messages(void);
void test_blocks_and_reset(void);
void test_tampered_records(void);
void test_tampered_handshakes(void);
void test_violations(void);
void test_token_violations(void);
void test_vectors(void);
void test_threads(void);
void test_flipped_window(void);
void fuzz_ring(uint64_t seed, double seconds);

#endif
