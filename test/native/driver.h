/*
 * What: the other end of the ring for the C tests: one device in this process, a driver for each
 * of its queues, and RAM of its own. Not the product's driver; that one is TypeScript.
 */
#ifndef PAGEFERRY_TEST_DRIVER_H
#define PAGEFERRY_TEST_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "../../native/abi/command.h"
#include "../../native/abi/digest.h"
#include "../../native/abi/handshake.h"
#include "../../native/abi/record.h"
#include "../../native/abi/ring.h"
#include "../../native/helper/device.h"

#define RING_ENTRIES 16u
#define WINDOW_GPA 0x7000000000ull
/* Per vCPU: request, response, input, output. */
#define BUFFER_BYTES (2u << 20)
#define SLOT_BYTES (2 * BUFFER_BYTES + 4096)

struct side {
    struct pf_device *device;
    struct pf_boot boot;
    uint8_t *window;
    uint8_t *ram;
    uint64_t ram_bytes;
    uint16_t issued[PF_VCPUS_MAX];
};

struct answer {
    struct pf_response response;
    uint32_t written;      /* bytes of output */
    const uint8_t *output; /* in the window */
};

struct side *side_create(uint32_t vcpus, uint64_t ram_bytes, uint32_t aes_variant);
void side_destroy(struct side *side);

uint8_t *side_input(struct side *side, uint32_t vcpu);
/* Runs one command; the input is copied unless it lies in side_input already. */
struct answer side_run(struct side *side, uint32_t vcpu, const struct pf_request *request,
                       const void *input, uint32_t input_bytes, uint32_t output_bytes);
/* Shorthand with up to three arguments and a roomy output. */
struct answer side_do(struct side *side, uint32_t command, uint64_t arg0, uint64_t arg1,
                      uint64_t arg2, const void *input, uint32_t input_bytes);

void side_block(struct side *side, uint32_t id, uint64_t first, uint64_t bytes, uint32_t flags);
/* Both ESTABLISHED, with the same secret. */
void sides_connect(struct side *source, struct side *destination);
void side_digest(struct side *side, uint8_t digest[32]);

uint64_t random_next(void);
void random_seed(uint64_t seed);

/* A failed check ends the program with its place. */
void check_failed(const char *file, int line, const char *text, long long left, long long right);
#define CHECK(what)                                                                              \
    do {                                                                                         \
        if (!(what))                                                                             \
            check_failed(__FILE__, __LINE__, #what, 0, 0);                                       \
    } while (0)
#define CHECK_EQUAL(left, right)                                                                 \
    do {                                                                                         \
        long long left_ = (long long)(left), right_ = (long long)(right);                        \
        if (left_ != right_)                                                                     \
            check_failed(__FILE__, __LINE__, #left " == " #right, left_, right_);                \
    } while (0)
#define CHECK_STATUS(answer, expected) CHECK_EQUAL((answer).response.status, expected)

#endif
