/*
 * What: see driver.h.
 */
#define _GNU_SOURCE
#include "driver.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static uint64_t random_state = 1;

void random_seed(uint64_t seed)
{
    random_state = seed * 0x9e3779b97f4a7c15ull + 1;
}

uint64_t random_next(void) /* xorshift64* */
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * 0x2545f4914f6cdd1dull;
}

void check_failed(const char *file, int line, const char *text, long long left, long long right)
{
    fprintf(stderr, "%s:%d: %s (%lld, %lld)\n", file, line, text, left, right);
    abort();
}

/* With a page nobody may touch before and behind, so that one byte too far is a crash. */
static uint8_t *map(uint64_t bytes, bool huge)
{
    const uint64_t guard = 2u << 20;
    uint8_t *at = mmap(NULL, bytes + 2 * guard, PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    CHECK(at != MAP_FAILED);
    at = (uint8_t *)(((uintptr_t)at + guard) & ~(guard - 1));
    CHECK(mprotect(at, bytes, PROT_READ | PROT_WRITE) == 0);
    if (huge)
        madvise(at, bytes, MADV_HUGEPAGE);
    return at;
}

struct side *side_create(uint32_t vcpus, uint64_t ram_bytes, uint32_t aes_variant)
{
    struct side *side = calloc(1, sizeof(*side));
    struct pf_boot *boot = &side->boot;

    CHECK(side != NULL);
    boot->abi_version = PF_ABI_VERSION;
    boot->vcpus = vcpus;
    boot->ring_entries = RING_ENTRIES;
    boot->aes_variant = aes_variant;
    boot->ram_limit = 4ull << 30;
    boot->window_gpa = WINDOW_GPA;
    boot->window_bytes = vcpus * (uint64_t)(PF_RING_STRIDE + SLOT_BYTES);
    boot->window_bytes = (boot->window_bytes + 4095) & ~4095ull;
    boot->arena_bytes = (pf_arena_bytes(vcpus, boot->ram_limit) + 4095) & ~4095ull;
    boot->seed[0] = 7;
    side->window = map(boot->window_bytes, true);
    boot->window_virtual = (uintptr_t)side->window;
    boot->arena_virtual = (uintptr_t)map(boot->arena_bytes, true);
    side->ram_bytes = ram_bytes;
    side->ram = map(ram_bytes, true);
    side->device = pf_device_create(boot);
    CHECK(side->device != NULL);
    return side;
}

void side_destroy(struct side *side)
{
    pf_device_destroy(side->device);
    munmap(side->window, side->boot.window_bytes);
    munmap((void *)side->boot.arena_virtual, side->boot.arena_bytes);
    munmap(side->ram, side->ram_bytes);
    free(side);
}

static uint8_t *slot(struct side *side, uint32_t vcpu)
{
    return side->window + side->boot.vcpus * PF_RING_STRIDE + vcpu * (uint64_t)SLOT_BYTES;
}

uint8_t *side_input(struct side *side, uint32_t vcpu)
{
    return slot(side, vcpu) + 4096;
}

struct answer side_run(struct side *side, uint32_t vcpu, const struct pf_request *request,
                       const void *input, uint32_t input_bytes, uint32_t output_bytes)
{
    uint8_t *queue = side->window + vcpu * PF_RING_STRIDE, *at = slot(side, vcpu);
    struct pf_desc *table = (struct pf_desc *)queue;
    struct pf_avail *avail = (struct pf_avail *)(queue + PF_RING_AVAIL_OFFSET);
    struct pf_used *used = (struct pf_used *)(queue + PF_RING_USED_OFFSET);
    const uint64_t base = WINDOW_GPA + (uint64_t)(at - side->window);
    uint16_t count = 0, number = side->issued[vcpu];
    struct answer answer = {.output = at + 4096 + BUFFER_BYTES};
    struct pf_used_element element;

    CHECK(input_bytes <= BUFFER_BYTES && output_bytes <= BUFFER_BYTES);
    memcpy(at, request, sizeof(*request));
    memset(at + 64, 0xee, 64);
    if (input_bytes > 0 && input != at + 4096)
        memmove(at + 4096, input, input_bytes);
    table[count++] = (struct pf_desc){base, 64, PF_DESC_F_NEXT, 1};
    if (input_bytes > 0)
        table[count++] = (struct pf_desc){base + 4096, input_bytes, PF_DESC_F_NEXT, 2};
    table[count] = (struct pf_desc){base + 64, 64, PF_DESC_F_WRITE, 0};
    if (output_bytes > 0) {
        table[count].flags |= PF_DESC_F_NEXT;
        table[count].next = (uint16_t)(count + 1);
        count++;
        table[count] = (struct pf_desc){base + 4096 + BUFFER_BYTES, output_bytes,
                                        PF_DESC_F_WRITE, 0};
    }
    avail->ring[number % RING_ENTRIES] = 0;
    __atomic_store_n(&avail->index, (uint16_t)(number + 1), __ATOMIC_RELEASE);
    pf_device_run(side->device, vcpu);
    CHECK_EQUAL(__atomic_load_n(&used->index, __ATOMIC_ACQUIRE), (uint16_t)(number + 1));
    element = used->ring[number % RING_ENTRIES];
    side->issued[vcpu]++;
    CHECK_EQUAL(element.id, 0);
    CHECK(element.bytes >= 64 && element.bytes <= 64 + output_bytes);
    memcpy(&answer.response, at + 64, 64);
    answer.written = element.bytes - 64;
    CHECK(answer.response.status == PF_STATUS_OK || answer.written == 0);
    return answer;
}

struct answer side_do(struct side *side, uint32_t command, uint64_t arg0, uint64_t arg1,
                      uint64_t arg2, const void *input, uint32_t input_bytes)
{
    const struct pf_request request = {.command = command, .arg = {arg0, arg1, arg2}};

    return side_run(side, 0, &request, input, input_bytes, BUFFER_BYTES);
}

void side_block(struct side *side, uint32_t id, uint64_t first, uint64_t bytes, uint32_t flags)
{
    const struct pf_request request = {
        .command = PF_COMMAND_BLOCK_SET, .flags = flags, .arg = {id, first, bytes}};

    pf_device_map_block(side->device, id, side->ram + first, bytes);
    CHECK_STATUS(side_run(side, 0, &request, NULL, 0, 0), PF_STATUS_OK);
}

void sides_connect(struct side *source, struct side *destination)
{
    static const char context[] = "context";
    uint8_t secret[32] = {1, 2, 3}, message[2048];
    const uint32_t bytes = sizeof(context);
    struct answer answer;

    CHECK_STATUS(side_do(source, PF_COMMAND_SECRET_SET, 0, 0, 0, secret, 32), 0);
    CHECK_STATUS(side_do(destination, PF_COMMAND_SECRET_SET, 0, 0, 0, secret, 32), 0);
    answer = side_do(source, PF_COMMAND_HANDSHAKE, PF_HANDSHAKE_INITIATE, bytes, 0, context, bytes);
    CHECK_STATUS(answer, PF_STATUS_OK);
    CHECK_EQUAL(answer.written, sizeof(struct pf_handshake_1));
    memcpy(message, context, bytes);
    memcpy(message + bytes, answer.output, answer.written);
    answer = side_do(destination, PF_COMMAND_HANDSHAKE, PF_HANDSHAKE_RESPOND, bytes, 0, message,
                     bytes + answer.written);
    CHECK_STATUS(answer, PF_STATUS_OK);
    CHECK_EQUAL(answer.written, sizeof(struct pf_handshake_2));
    answer = side_do(source, PF_COMMAND_HANDSHAKE, PF_HANDSHAKE_FINISH, 0, 0, answer.output,
                     answer.written);
    CHECK_STATUS(answer, PF_STATUS_OK);
    CHECK_EQUAL(answer.written, sizeof(struct pf_handshake_3));
    answer = side_do(destination, PF_COMMAND_HANDSHAKE, PF_HANDSHAKE_CONFIRM, 0, 0,
                     answer.output, answer.written);
    CHECK_STATUS(answer, PF_STATUS_OK);
}

void side_digest(struct side *side, uint8_t digest[32])
{
    const uint64_t pages = side->ram_bytes / PF_PAGE_BYTES;
    uint64_t run = (pages - 1) << PF_RUN_COUNT_SHIFT;
    struct answer answer;

    CHECK_STATUS(side_do(side, PF_COMMAND_DIGEST, PF_DIGEST_BEGIN, 0, 0, NULL, 0), 0);
    CHECK_STATUS(side_do(side, PF_COMMAND_DIGEST, PF_DIGEST_ADD, 0, 0, &run, 8), 0);
    answer = side_do(side, PF_COMMAND_DIGEST, PF_DIGEST_FINISH, 0, 0, NULL, 0);
    CHECK_STATUS(answer, PF_STATUS_OK);
    CHECK_EQUAL(answer.written, 32);
    memcpy(digest, answer.output, 32);
}
