/*
 * What: several vCPUs of a device at once, and a host that writes the window meanwhile.
 */
#include <pthread.h>
#include <string.h>
#include "tests.h"

#define STREAMS 4u
#define RECORDS 24u /* of 1 MiB */

struct worker {
    struct pair *pair;
    uint32_t vcpu;
    uint8_t records[RECORDS / STREAMS][PF_RECORD_BYTES_MAX];
    uint32_t bytes[RECORDS / STREAMS];
};

static struct worker workers[STREAMS];

static void *export_share(void *argument)
{
    struct worker *worker = argument;

    for (uint32_t i = 0; i < RECORDS / STREAMS; i++) {
        const struct pf_request request = {.command = PF_COMMAND_EXPORT,
                                           .arg = {worker->pair->epoch, i % 3, 0}};
        const uint64_t first = (uint64_t)(i * STREAMS + worker->vcpu) * 256;
        const uint64_t run = first | 255ull << PF_RUN_COUNT_SHIFT;
        struct answer answer = side_run(worker->pair->source, worker->vcpu, &request, &run, 8,
                                        PF_RECORD_BYTES_MAX);

        CHECK_STATUS(answer, PF_STATUS_OK);
        memcpy(worker->records[i], answer.output, worker->bytes[i] = answer.written);
    }
    return NULL;
}

/* Every vCPU imports every record: each goes in once, and is a duplicate for the others. */
static void *import_all(void *argument)
{
    struct worker *worker = argument;
    const struct pf_request request = {.command = PF_COMMAND_IMPORT};
    uintptr_t imported = 0;

    for (uint32_t i = 0; i < RECORDS; i++) {
        struct worker *from = &workers[(i + worker->vcpu) % STREAMS];
        struct answer answer = side_run(worker->pair->destination, worker->vcpu, &request,
                                        from->records[i / STREAMS], from->bytes[i / STREAMS], 0);

        CHECK(answer.response.status == PF_STATUS_OK ||
              answer.response.status == PF_STATUS_DUPLICATE);
        imported += answer.response.status == PF_STATUS_OK;
    }
    return (void *)imported;
}

static uintptr_t run_all(struct pair *pair, void *(*run)(void *))
{
    pthread_t threads[STREAMS];
    pthread_attr_t attributes;
    uintptr_t sum = 0;

    pthread_attr_init(&attributes);
#ifndef __SANITIZE_ADDRESS__
    /* A helper vCPU's stack in the mirror; this one holds the thread's own data too. */
    CHECK(pthread_attr_setstacksize(&attributes, 64u << 10) == 0);
#endif

    for (uint32_t i = 0; i < STREAMS; i++) {
        workers[i].pair = pair;
        workers[i].vcpu = i;
        CHECK(pthread_create(&threads[i], &attributes, run, &workers[i]) == 0);
    }
    for (uint32_t i = 0; i < STREAMS; i++) {
        void *result;

        pthread_join(threads[i], &result);
        sum += (uintptr_t)result;
    }
    pthread_attr_destroy(&attributes);
    return sum;
}

void test_threads(void)
{
    struct pair pair;

    pair_create(&pair, STREAMS, STREAMS);
    for (int epoch = 0; epoch < 3; epoch++) {
        fill_ram(pair.source);
        run_all(&pair, export_share);
        CHECK_EQUAL(run_all(&pair, import_all), RECORDS);
        end_epoch(&pair, epoch == 2);
    }
    same_ram(&pair);
    pair_destroy(&pair);
}

static struct {
    uint8_t *at;
    uint32_t bytes;
    uint32_t stop;
} flip;

/* Changes a byte and puts it back, over and over. */
static void *flip_bytes(void *argument)
{
    uint64_t state = 88172645463325252ull;

    while (!__atomic_load_n(&flip.stop, __ATOMIC_RELAXED)) {
        volatile uint8_t *byte;

        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        byte = flip.at + state % flip.bytes;
        *byte ^= 1;
        *byte ^= 1;
    }
    return argument;
}

void test_flipped_window(void)
{
    static uint8_t record[PF_RECORD_BYTES_MAX];
    const struct pf_request request = {.command = PF_COMMAND_IMPORT};
    struct pair pair;
    pthread_t thread;
    uint32_t accepted = 0;

    pair_create(&pair, 1, 1);
    fill_ram(pair.source);
    flip.at = side_input(pair.destination, 0);
    flip.bytes = 300000;
    flip.stop = 0;
    memset(flip.at, 0, flip.bytes);
    CHECK(pthread_create(&thread, NULL, flip_bytes, NULL) == 0);
    for (uint64_t i = 0; i < 90; i++) {
        struct answer answer = export_run(&pair, i * 64, 64, i % 3, 0);
        const uint32_t bytes = answer.written;
        const uint8_t *ram = pair.source->ram + i * 64 * PF_PAGE_BYTES;
        uint8_t *twin = pair.destination->ram + i * 64 * PF_PAGE_BYTES;

        CHECK_STATUS(answer, PF_STATUS_OK);
        memcpy(record, answer.output, bytes);
        memset(twin, 0, 64 * PF_PAGE_BYTES);
        for (int attempt = 0; attempt < 20; attempt++) {
            answer = side_run(pair.destination, 0, &request, record, bytes, 0);
            CHECK(answer.response.status < PF_STATUS_DUPLICATE);
            if (answer.response.status == PF_STATUS_OK)
                break;
        }
        accepted += answer.response.status == PF_STATUS_OK;
        if (answer.response.status == PF_STATUS_OK)
            CHECK(memcmp(ram, twin, 64 * PF_PAGE_BYTES) == 0);
        else
            CHECK(twin[0] == 0 && memcmp(twin, twin + 1, 64 * PF_PAGE_BYTES - 1) == 0);
    }
    __atomic_store_n(&flip.stop, 1, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    CHECK(accepted > 0);
    pair_destroy(&pair);
}
