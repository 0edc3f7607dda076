/*
 * What: rates of the helper's page path on one thread, hosted: warm RAM, full records.
 * Usage: bench [MiB of RAM]
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "driver.h"

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void fill(struct side *side, bool text)
{
    static const char words[8][9] = {"the page", " carries", " records", " lane by ",
                                     "lane and", " nothing", " in clear", " at all. "};

    for (uint64_t i = 0; i + 8 <= side->ram_bytes; i += 8) {
        const uint64_t value = random_next();

        memcpy(side->ram + i, text ? (const void *)words[value % 8] : (const void *)&value, 8);
    }
}

static void round_trip(struct side *source, struct side *destination, uint64_t epoch,
                       uint32_t codec, uint32_t granule, const char *name)
{
    const uint64_t records = source->ram_bytes >> 20;
    const struct pf_request import = {.command = PF_COMMAND_IMPORT};
    const struct pf_request export = {.command = PF_COMMAND_EXPORT, .arg = {epoch, codec, granule}};
    double sealing = 0, opening = 0, start;
    uint64_t bytes = 0;
    struct answer answer;

    for (uint64_t i = 0; i < records; i++) {
        uint64_t run = i * 256 | 255ull << PF_RUN_COUNT_SHIFT;

        start = now();
        answer = side_run(source, 0, &export, &run, 8, PF_RECORD_BYTES_MAX);
        sealing += now() - start;
        CHECK_STATUS(answer, PF_STATUS_OK);
        bytes += answer.written;
        memcpy(side_input(destination, 0), answer.output, answer.written);
        start = now();
        answer = side_run(destination, 0, &import, side_input(destination, 0), answer.written, 0);
        opening += now() - start;
        CHECK_STATUS(answer, PF_STATUS_OK);
    }
    answer = side_do(source, PF_COMMAND_TOKEN_MAKE, epoch, 0, 0, NULL, 0);
    CHECK_STATUS(answer, PF_STATUS_OK);
    CHECK_STATUS(side_do(destination, PF_COMMAND_TOKEN_CHECK, 0, 0, 0, answer.output,
                         answer.written), PF_STATUS_OK);
    printf("%-28s seal %6.2f GB/s  open %6.2f GB/s  ratio %.2f\n", name,
           (double)source->ram_bytes / sealing / 1e9, (double)source->ram_bytes / opening / 1e9,
           (double)source->ram_bytes / (double)bytes);
}

int main(int argc, char **argv)
{
    const uint64_t ram = (uint64_t)(argc > 1 ? atoi(argv[1]) : 512) << 20;
    struct side *source = side_create(1, ram, PF_AES_AUTO);
    struct side *destination = side_create(1, ram, PF_AES_AUTO);
    uint8_t digests[2][32];
    uint64_t epoch = 1;
    double start;

    side_block(source, 0, 0, ram, 0);
    side_block(destination, 0, 0, ram, 0);
    sides_connect(source, destination);
    fill(source, false);
    memset(destination->ram, 1, ram);
    round_trip(source, destination, epoch++, PF_CODEC_NONE, 0, "none, cold");
    round_trip(source, destination, epoch++, PF_CODEC_NONE, 0, "none");
    round_trip(source, destination, epoch++, PF_CODEC_NONE, 0, "none");
    round_trip(source, destination, epoch++, PF_CODEC_NONE, 4096, "none, padded");
    round_trip(source, destination, epoch++, PF_CODEC_LZ4, 0, "lz4, random");
    fill(source, true);
    round_trip(source, destination, epoch++, PF_CODEC_LZ4, 0, "lz4, words");
    round_trip(source, destination, epoch++, PF_CODEC_ZSTD, 0, "zstd, words");
    memset(source->ram, 0, ram);
    round_trip(source, destination, epoch++, PF_CODEC_NONE, 0, "zero pages");
    fill(source, false);
    round_trip(source, destination, epoch++, PF_CODEC_NONE, 0, "none");
    for (int i = 0; i < 2; i++) {
        start = now();
        side_digest(i == 0 ? source : destination, digests[i]);
        printf("%-28s %11.2f GB/s\n", "digest", (double)ram / (now() - start) / 1e9);
    }
    CHECK(memcmp(digests[0], digests[1], 32) == 0);
    side_destroy(source);
    side_destroy(destination);
    return 0;
}
