/*
 * What: what honest sides do: every codec, padding, epochs, tokens, blocks, messages, digests.
 */
#include <string.h>
#include "tests.h"

#define RAM (24ull << 20)
#define PAGES (RAM / PF_PAGE_BYTES)

void pair_create(struct pair *pair, uint32_t source_vcpus, uint32_t destination_vcpus)
{
    pair->source = side_create(source_vcpus, RAM, PF_AES_AUTO);
    pair->destination = side_create(destination_vcpus, RAM, PF_AES_AUTO);
    side_block(pair->source, 0, 0, RAM / 2, 0);
    side_block(pair->source, 3, RAM / 2, RAM / 2, 0);
    side_block(pair->destination, 0, 0, RAM / 2, PF_BLOCK_F_BLANK);
    side_block(pair->destination, 3, RAM / 2, RAM / 2, PF_BLOCK_F_BLANK);
    sides_connect(pair->source, pair->destination);
    pair->epoch = 1;
}

void pair_destroy(struct pair *pair)
{
    side_destroy(pair->source);
    side_destroy(pair->destination);
}

struct answer export_run(struct pair *pair, uint64_t first, uint64_t count, uint32_t codec,
                         uint32_t granule)
{
    const uint64_t run = first | (count - 1) << PF_RUN_COUNT_SHIFT;

    return side_do(pair->source, PF_COMMAND_EXPORT, pair->epoch, codec, granule, &run, 8);
}

struct answer import_record(struct pair *pair, const struct answer *record)
{
    return side_do(pair->destination, PF_COMMAND_IMPORT, 0, 0, 0, record->output,
                   record->written);
}

void end_epoch(struct pair *pair, bool start)
{
    struct pf_request request = {.command = PF_COMMAND_TOKEN_MAKE, .arg = {pair->epoch},
                                 .flags = start ? PF_TOKEN_F_START : 0};
    struct answer token = side_run(pair->source, 0, &request, NULL, 0, 4096), answer;

    CHECK_STATUS(token, PF_STATUS_OK);
    answer = side_do(pair->destination, PF_COMMAND_TOKEN_CHECK, 0, 0, 0, token.output,
                     token.written);
    CHECK_STATUS(answer, PF_STATUS_OK);
    CHECK_EQUAL(answer.response.value[0], pair->epoch);
    CHECK_EQUAL(answer.response.value[1], start);
    answer = side_do(pair->destination, PF_COMMAND_TOKEN_CHECK, 0, 0, 0, token.output,
                     token.written);
    CHECK_STATUS(answer, PF_STATUS_DUPLICATE);
    pair->epoch++;
}

/* A mix of zero pages, text, random pages and pages with one byte at their end. */
void fill_ram(struct side *side)
{
    for (uint64_t page = 0; page < side->ram_bytes / PF_PAGE_BYTES; page++) {
        uint8_t *at = side->ram + page * PF_PAGE_BYTES;
        const uint64_t kind = random_next() % 5;

        memset(at, 0, PF_PAGE_BYTES);
        if (kind == 1)
            at[PF_PAGE_BYTES - 1] = 1;
        for (uint32_t i = 0; kind >= 2 && i < PF_PAGE_BYTES; i += 8) {
            const uint64_t value = kind == 2 ? random_next() : random_next() % 9 * 0x0101010101;

            memcpy(at + i, &value, 8);
        }
    }
}

void transfer(struct pair *pair, uint32_t codec, uint32_t granule)
{
    for (uint64_t page = 0; page < PAGES; page += 256) {
        struct answer record = export_run(pair, page, 256, codec, granule), answer;

        CHECK_STATUS(record, PF_STATUS_OK);
        CHECK_EQUAL(record.response.value[0], record.written);
        CHECK_EQUAL(record.response.value[2] + record.response.value[3], 256);
        answer = import_record(pair, &record);
        CHECK_STATUS(answer, PF_STATUS_OK);
        CHECK_EQUAL(answer.response.value[0], record.response.value[1]);
        CHECK_STATUS(import_record(pair, &record), PF_STATUS_DUPLICATE);
    }
}

void same_ram(struct pair *pair)
{
    uint8_t digests[2][32];

    CHECK(memcmp(pair->source->ram, pair->destination->ram, RAM) == 0);
    side_digest(pair->source, digests[0]);
    side_digest(pair->destination, digests[1]);
    CHECK(memcmp(digests[0], digests[1], 32) == 0);
    pair->destination->ram[random_next() % RAM] ^= 4;
    side_digest(pair->destination, digests[1]);
    CHECK(memcmp(digests[0], digests[1], 32) != 0);
    memcpy(pair->destination->ram, pair->source->ram, RAM);
}

void test_codecs(void)
{
    static const uint32_t granules[] = {0, 4096, 65536};
    static const uint32_t codecs[] = {PF_CODEC_NONE, PF_CODEC_LZ4, PF_CODEC_ZSTD,
                                      PF_CODEC_ZSTD | 5 << 8, PF_CODEC_LZ4 | 8 << 8};
    struct pair pair;

    pair_create(&pair, 1, 1);
    for (uint32_t i = 0; i < sizeof(codecs) / sizeof(codecs[0]); i++) {
        for (uint32_t j = 0; j < sizeof(granules) / sizeof(granules[0]); j++) {
            fill_ram(pair.source);
            transfer(&pair, codecs[i], granules[j]);
            same_ram(&pair);
            end_epoch(&pair, false);
        }
    }
    pair_destroy(&pair);
}

void test_epochs(void)
{
    struct pair pair;
    struct answer answer, token;
    struct pf_request make = {.command = PF_COMMAND_TOKEN_MAKE, .flags = PF_TOKEN_F_START};

    pair_create(&pair, 1, 1);
    fill_ram(pair.source);
    make.arg[0] = 1;
    answer = side_run(pair.source, 0, &make, NULL, 0, 4096);
    CHECK_STATUS(answer, PF_STATUS_INCOMPLETE);
    CHECK_EQUAL(answer.response.value[0], PAGES);
    CHECK_STATUS(export_run(&pair, 5, 3, PF_CODEC_NONE, 0), PF_STATUS_OK);
    answer = export_run(&pair, 3, 3, PF_CODEC_NONE, 0);
    CHECK_STATUS(answer, PF_STATUS_PAGE_TWICE);
    CHECK_EQUAL(answer.response.value[0], 5);
    CHECK_STATUS(export_run(&pair, 3, 2, PF_CODEC_NONE, 0), PF_STATUS_OK); /* not marked */
    CHECK_STATUS(export_run(&pair, PAGES - 1, 2, 0, 0), PF_STATUS_BLOCK);
    answer = side_do(pair.source, PF_COMMAND_EXPORT, 2, 0, 0, &make, 8);
    CHECK_STATUS(answer, PF_STATUS_EPOCH);
    answer = side_do(pair.source, PF_COMMAND_BLOCK_REMOVE, 0, 0, 0, NULL, 0);
    CHECK_STATUS(answer, PF_STATUS_EPOCH_OPEN);

    /* The two records above never arrive: the token is early until they do. */
    make.flags = 0;
    token = side_run(pair.source, 0, &make, NULL, 0, 4096);
    answer = side_do(pair.destination, PF_COMMAND_TOKEN_CHECK, 0, 0, 0, token.output,
                     token.written);
    CHECK_STATUS(answer, PF_STATUS_EARLY);
    CHECK_EQUAL(answer.response.value[3], 2);
    pair_destroy(&pair);

    pair_create(&pair, 1, 1);
    transfer(&pair, PF_CODEC_LZ4, 0);
    end_epoch(&pair, true);
    CHECK_STATUS(export_run(&pair, 0, 1, 0, 0), PF_STATUS_STATE);
    same_ram(&pair);
    pair_destroy(&pair);
}

/* 512 runs in, more than 512 possible out: pages stay data rather than overflow the list. */
void test_long_lists(void)
{
    struct pair pair;
    uint64_t runs[PF_RECORD_RUNS_MAX];
    struct answer record;

    pair_create(&pair, 1, 1);
    for (uint64_t page = 0; page < PAGES; page += 2)
        pair.source->ram[page * PF_PAGE_BYTES] = 1;
    runs[0] = 255ull << PF_RUN_COUNT_SHIFT;
    for (uint64_t i = 1; i < PF_RECORD_RUNS_MAX; i++)
        runs[i] = (300 + 3 * i) | PF_RUN_ZERO;
    record = side_do(pair.source, PF_COMMAND_EXPORT, 1, 0, 0, runs, sizeof(runs));
    CHECK_STATUS(record, PF_STATUS_OK);
    CHECK_EQUAL(record.response.value[2] + record.response.value[3], 256 + 511);
    CHECK_STATUS(import_record(&pair, &record), PF_STATUS_OK);
    CHECK(memcmp(pair.source->ram, pair.destination->ram, 256 * PF_PAGE_BYTES) == 0);
    pair_destroy(&pair);
}

void test_holes(void)
{
    struct pair pair;
    struct answer record;
    const uint64_t hole = 10 | 9ull << PF_RUN_COUNT_SHIFT | PF_RUN_ZERO;

    pair_create(&pair, 1, 1);
    memset(pair.destination->ram, 0x55, RAM); /* would be seen if touched; it is "blank" */
    memset(pair.source->ram, 0x66, RAM);
    record = side_do(pair.source, PF_COMMAND_EXPORT, 1, 0, 0, &hole, 8);
    CHECK_STATUS(record, PF_STATUS_OK);
    CHECK_EQUAL(record.response.value[3], 10);
    CHECK_STATUS(import_record(&pair, &record), PF_STATUS_OK);
    CHECK(pair.destination->ram[10 * PF_PAGE_BYTES] == 0x55); /* left a hole */
    end_epoch(&pair, false);
    record = export_run(&pair, 10, 10, PF_CODEC_NONE, 0);
    CHECK_STATUS(import_record(&pair, &record), PF_STATUS_OK);
    CHECK(pair.destination->ram[10 * PF_PAGE_BYTES] == 0x66);
    end_epoch(&pair, false);
    record = side_do(pair.source, PF_COMMAND_EXPORT, 3, 0, 0, &hole, 8);
    CHECK_STATUS(import_record(&pair, &record), PF_STATUS_OK);
    CHECK(pair.destination->ram[10 * PF_PAGE_BYTES] == 0); /* it had content */
    CHECK(pair.destination->ram[20 * PF_PAGE_BYTES] == 0x55);
    pair_destroy(&pair);
}

static struct answer seal(struct side *side, uint32_t kind, const char *text)
{
    return side_do(side, PF_COMMAND_SEAL_MESSAGE, kind, 0, 0, text, (uint32_t)strlen(text));
}

static struct answer open_message(struct side *side, const void *record, uint32_t bytes)
{
    return side_do(side, PF_COMMAND_OPEN_MESSAGE, 0, 0, 0, record, bytes);
}

void test_messages(void)
{
    struct pair pair;
    uint8_t records[3][512];
    uint32_t bytes[3];
    struct answer answer;

    pair_create(&pair, 2, 3);
    for (int i = 0; i < 3; i++) {
        answer = seal(pair.source, i == 1 ? PF_KIND_DEVICE_STATE : PF_KIND_CONTROL, "message");
        CHECK_STATUS(answer, PF_STATUS_OK);
        memcpy(records[i], answer.output, bytes[i] = answer.written);
    }
    answer = open_message(pair.destination, records[1], bytes[1]);
    CHECK_STATUS(answer, PF_STATUS_EARLY);
    CHECK_EQUAL(answer.response.value[3], 1);
    CHECK_STATUS(open_message(pair.destination, records[0], bytes[0]), PF_STATUS_OK);
    CHECK_STATUS(open_message(pair.destination, records[0], bytes[0]), PF_STATUS_DUPLICATE);
    answer = open_message(pair.destination, records[1], bytes[1]);
    CHECK_STATUS(answer, PF_STATUS_OK);
    CHECK_EQUAL(answer.response.value[2], PF_KIND_DEVICE_STATE);
    CHECK(answer.written == 7 && memcmp(answer.output, "message", 7) == 0);
    answer = open_message(pair.source, records[2], bytes[2]); /* its own */
    CHECK_STATUS(answer, PF_STATUS_SESSION);
    CHECK_EQUAL(answer.response.detail, PF_FIELD_DIRECTION);
    answer = seal(pair.destination, PF_KIND_CONTROL, "");
    CHECK_STATUS(open_message(pair.source, answer.output, answer.written), PF_STATUS_OK);

    for (int i = 0; i < 3; i++) {
        answer = seal(pair.destination, PF_KIND_LANE, "lane");
        memcpy(records[i], answer.output, bytes[i] = answer.written);
    }
    CHECK_STATUS(open_message(pair.source, records[2], bytes[2]), PF_STATUS_OK);
    CHECK_STATUS(open_message(pair.source, records[0], bytes[0]), PF_STATUS_OK);
    CHECK_STATUS(open_message(pair.source, records[2], bytes[2]), PF_STATUS_DUPLICATE);
    pair_destroy(&pair);
}

void test_blocks_and_reset(void)
{
    struct pair pair;
    struct pf_request set = {.command = PF_COMMAND_BLOCK_SET, .arg = {5, RAM / 4, RAM / 2}};
    struct pf_hello hello;
    struct answer answer;

    pair_create(&pair, 1, 1);
    pf_device_map_block(pair.source->device, 5, pair.source->ram, RAM);
    CHECK_STATUS(side_run(pair.source, 0, &set, NULL, 0, 0), PF_STATUS_CAPACITY); /* overlap */
    CHECK_STATUS(side_do(pair.source, PF_COMMAND_BLOCK_REMOVE, 3, 0, 0, NULL, 0), 0);
    CHECK_STATUS(export_run(&pair, RAM / 2 / PF_PAGE_BYTES, 1, 0, 0), PF_STATUS_BLOCK);
    set.arg[0] = 0;
    set.arg[1] = 0;
    set.arg[2] = RAM / 4;
    CHECK_STATUS(side_run(pair.source, 0, &set, NULL, 0, 0), PF_STATUS_OK); /* smaller */
    CHECK_STATUS(export_run(&pair, RAM / 4 / PF_PAGE_BYTES, 1, 0, 0), PF_STATUS_BLOCK);
    /* The destination did not follow: an authenticated violation, for good. */
    answer = side_do(pair.source, PF_COMMAND_TOKEN_MAKE, 1, 0, 0, NULL, 0);
    answer = side_do(pair.destination, PF_COMMAND_TOKEN_CHECK, 0, 0, 0, answer.output,
                     answer.written);
    CHECK_STATUS(answer, PF_STATUS_VIOLATION);
    CHECK_EQUAL(answer.response.detail, PF_VIOLATION_LAYOUT);
    answer = side_do(pair.destination, PF_COMMAND_SEAL_MESSAGE, PF_KIND_CONTROL, 0, 0, "x", 1);
    CHECK_STATUS(answer, PF_STATUS_VIOLATION);
    CHECK_EQUAL(answer.response.detail, PF_VIOLATION_LAYOUT);
    CHECK_STATUS(side_do(pair.destination, PF_COMMAND_RESET, 0, 0, 0, NULL, 0), PF_STATUS_OK);
    CHECK_STATUS(side_do(pair.source, PF_COMMAND_RESET, 0, 0, 0, NULL, 0), PF_STATUS_OK);
    answer = side_do(pair.destination, PF_COMMAND_HELLO, 0, 0, 0, NULL, 0);
    memcpy(&hello, answer.output, sizeof(hello));
    CHECK_EQUAL(hello.state, PF_STATE_FRESH);
    CHECK_EQUAL(hello.epoch, 1);
    CHECK_EQUAL(hello.codecs, 7);
    pair_destroy(&pair);
}
