/*
 * What: a seeded fuzz from the host's side: descriptors, links, indices, and commands with
 * arguments that are nearly right. Passes when nothing hangs, crashes, or writes where it may not
 * (the guard pages around window, arena and RAM, and the sanitizers, would tell).
 */
#include <string.h>
#include <stdio.h>
#include <time.h>
#include "tests.h"

static uint64_t pick(uint64_t limit)
{
    return random_next() % limit;
}

/* Mostly small, sometimes on an edge, sometimes anything. */
static uint64_t odd_number(void)
{
    static const uint64_t edges[] = {0, 1, 63, 64, 80, 96, 4095, 4096, 4097, UINT32_MAX,
                                     1ull << 31, 1ull << 32, 1ull << 63, UINT64_MAX};

    switch (pick(4)) {
    case 0:
        return edges[pick(sizeof(edges) / sizeof(edges[0]))];
    case 1:
        return random_next();
    default:
        return pick(16);
    }
}

static struct pf_desc odd_descriptor(const struct side *side)
{
    struct pf_desc desc = {
        .address = WINDOW_GPA + pick(side->boot.window_bytes),
        .bytes = pick(3) == 0 ? 64 : (uint32_t)pick(8192),
        .flags = (uint16_t)pick(4),
        .next = (uint16_t)pick(RING_ENTRIES),
    };

    if (pick(8) == 0)
        desc.address = odd_number();
    if (pick(8) == 0)
        desc.address = WINDOW_GPA + side->boot.window_bytes - pick(128);
    if (pick(8) == 0)
        desc.bytes = (uint32_t)odd_number();
    if (pick(16) == 0)
        desc.flags = (uint16_t)random_next();
    if (pick(16) == 0)
        desc.next = (uint16_t)random_next();
    return desc;
}

/* Rings full of nonsense; the request bytes are whatever lies in the window. */
static void fuzz_descriptors(struct side *side)
{
    const uint32_t vcpu = (uint32_t)pick(side->boot.vcpus);
    uint8_t *queue = side->window + vcpu * PF_RING_STRIDE;
    struct pf_desc *table = (struct pf_desc *)queue;
    struct pf_avail *avail = (struct pf_avail *)(queue + PF_RING_AVAIL_OFFSET);
    struct pf_used *used = (struct pf_used *)(queue + PF_RING_USED_OFFSET);
    const uint16_t count = (uint16_t)(1 + pick(RING_ENTRIES));

    for (uint32_t i = 0; i < RING_ENTRIES; i++)
        table[i] = odd_descriptor(side);
    for (uint32_t i = 0; i < 64; i++)
        side->window[side->boot.vcpus * PF_RING_STRIDE + pick(1 << 16)] = (uint8_t)pick(16);
    for (uint16_t i = 0; i < count; i++)
        avail->ring[(uint16_t)(side->issued[vcpu] + i) % RING_ENTRIES] =
            (uint16_t)(pick(16) == 0 ? random_next() : pick(RING_ENTRIES));
    side->issued[vcpu] = (uint16_t)(side->issued[vcpu] + count);
    avail->index = side->issued[vcpu];
    pf_device_run(side->device, vcpu);
    CHECK_EQUAL(used->index, side->issued[vcpu]); /* every chain comes back */
}

static uint32_t odd_input(struct side *side, uint32_t vcpu)
{
    uint8_t *input = side_input(side, vcpu);
    const uint32_t bytes = (uint32_t)pick(3) == 0 ? 0 : (uint32_t)pick(700);

    for (uint32_t i = 0; i + 8 <= bytes; i += 8) {
        const uint64_t pages = side->ram_bytes / PF_PAGE_BYTES;
        const uint64_t run = (pick(pages + 2) | pick(4) << PF_RUN_COUNT_SHIFT |
                              (pick(2) ? PF_RUN_ZERO : 0));

        memcpy(input + i, &run, 8);
    }
    for (uint32_t i = 0; i < bytes / 64; i++)
        input[pick(bytes)] = (uint8_t)random_next();
    return bytes;
}

static struct answer fuzz_command(struct side *side, bool fatal)
{
    const uint32_t vcpu = (uint32_t)pick(side->boot.vcpus);
    struct pf_request request = {
        .command = (uint32_t)(pick(32) == 0 ? random_next() : pick(16)),
        .flags = pick(8) == 0 ? (uint32_t)odd_number() : 0,
        .reserved = pick(64) == 0,
    };
    uint32_t bytes = odd_input(side, vcpu);

    for (uint32_t i = 0; i < 6; i++)
        request.arg[i] = odd_number();
    if (request.command == PF_COMMAND_BLOCK_SET && pick(2)) {
        request.arg[1] *= PF_PAGE_BYTES;
        request.arg[2] *= PF_PAGE_BYTES;
    }
    if (!fatal && (request.command == PF_COMMAND_RESET || request.command == PF_COMMAND_BLOCK_SET ||
                   request.command == PF_COMMAND_BLOCK_REMOVE))
        request.command = PF_COMMAND_EXPORT;
    return side_run(side, vcpu, &request, side_input(side, vcpu), bytes, (uint32_t)pick(8192));
}

/* What one side seals goes to the other, sometimes changed. */
static void fuzz_session(struct pair *pair)
{
    static uint8_t record[BUFFER_BYTES];
    struct answer answer = fuzz_command(pick(4) ? pair->source : pair->destination, false);

    if (answer.response.status != PF_STATUS_OK || answer.written == 0)
        return;
    memcpy(record, answer.output, answer.written);
    if (pick(2))
        record[pick(answer.written)] ^= (uint8_t)(1 << pick(8));
    for (uint32_t command = PF_COMMAND_IMPORT; command <= PF_COMMAND_TOKEN_CHECK; command++) {
        side_do(pair->destination, command, 0, 0, 0, record, answer.written);
        side_do(pair->source, command, 0, 0, 0, record, answer.written);
    }
}

/* An index too far ahead breaks that ring, visibly and for good, and no other. */
static void check_broken_ring(struct side *side)
{
    uint8_t *queue = side->window + PF_RING_STRIDE;
    struct pf_avail *avail = (struct pf_avail *)(queue + PF_RING_AVAIL_OFFSET);
    struct pf_used *used = (struct pf_used *)(queue + PF_RING_USED_OFFSET);

    avail->index = (uint16_t)(side->issued[1] + RING_ENTRIES + 1);
    pf_device_run(side->device, 1);
    CHECK_EQUAL(used->flags, PF_USED_F_BROKEN);
    avail->index = (uint16_t)(side->issued[1] + 1);
    pf_device_run(side->device, 1);
    CHECK_EQUAL(used->index, side->issued[1]);
    CHECK_STATUS(side_do(side, PF_COMMAND_HELLO, 0, 0, 0, NULL, 0), PF_STATUS_OK);
}

void fuzz_ring(uint64_t seed, double seconds)
{
    const time_t end = time(NULL) + (time_t)seconds;
    uint64_t rounds = 0;

    do {
        struct side *side = side_create(2, 2u << 20, PF_AES_AUTO);
        struct pair pair;

        random_seed(seed + rounds);
        for (int i = 0; i < 2000; i++) {
            fuzz_descriptors(side);
            pf_device_map_block(side->device, (uint32_t)pick(3), side->ram, side->ram_bytes);
            fuzz_command(side, true);
        }
        check_broken_ring(side);
        side_destroy(side);
        pair_create(&pair, 2, 2);
        fill_ram(pair.source);
        for (int i = 0; i < 2000; i++)
            fuzz_session(&pair);
        pair_destroy(&pair);
        rounds++;
    } while (time(NULL) < end);
    printf("  %llu rounds\n", (unsigned long long)rounds);
}
