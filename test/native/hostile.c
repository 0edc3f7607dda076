/*
 * What: a thread of a hostile host, as a Node.js addon for tests: it changes bytes of a window
 * and puts them back, and watches a part of it for plaintext, while a mirror works on it.
 *
 *   start(buffer, flipOffset, flipBytes, watchOffset, watchBytes, marker, seed)
 *   stop() -> [flips, looks, sightings]
 *
 * Ownership: the buffer's memory must stay until stop(); one thread at a time. marker: 8 bytes;
 * any 16 bytes in a row of it, repeated, count as a sighting, whatever their alignment.
 */
#include <node_api.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define WORD 8u
/*
 * A byte stays changed, and then unchanged, for up to 2^15 turns of an empty loop, any power of
 * two as likely as another: from nanoseconds to about ten microseconds. Who reads something twice
 * does it within that range, whatever its size.
 */
#define HOLD_BITS 15u
#define FLIPS_PER_LOOK 64u

struct hostile {
    pthread_t thread;
    bool running;
    uint32_t begun; /* atomic, as stop is */
    uint32_t stop;
    volatile uint8_t *flip;
    uint64_t flip_bytes;
    const volatile uint64_t *watch;
    uint64_t watch_words;
    uint64_t rotations[WORD];
    uint64_t state;
    uint64_t flips, looks, sightings;
};

static struct hostile hostile;

static uint64_t next_random(struct hostile *h)
{
    h->state ^= h->state << 13;
    h->state ^= h->state >> 7;
    h->state ^= h->state << 17;
    return h->state;
}

static void hold(uint64_t random)
{
    uint64_t turns = (random & ((1u << HOLD_BITS) - 1)) >> (random >> HOLD_BITS) % HOLD_BITS;

    for (; turns > 0; turns--)
        __asm__ volatile("" : : : "memory");
}

static void flip_one(struct hostile *h)
{
    volatile uint8_t *byte = h->flip + next_random(h) % h->flip_bytes;
    const uint8_t mask = (uint8_t)(1u << (next_random(h) >> 32) % 8);

    *byte ^= mask;
    hold(next_random(h));
    *byte ^= mask;
    h->flips++;
    hold(next_random(h));
}

static bool is_marker(const struct hostile *h, uint64_t word)
{
    for (uint32_t i = 0; i < WORD; i++) {
        if (word == h->rotations[i])
            return true;
    }
    return false;
}

static void look(struct hostile *h)
{
    for (uint64_t i = 0; i + 1 < h->watch_words; i++) {
        const uint64_t word = h->watch[i];

        if (word == h->watch[i + 1] && is_marker(h, word))
            h->sightings++;
    }
    h->looks++;
}

static void *run(void *argument)
{
    struct hostile *h = argument;

    while (!__atomic_load_n(&h->stop, __ATOMIC_RELAXED)) {
        for (uint32_t i = 0; i < FLIPS_PER_LOOK && h->flip_bytes > 0; i++)
            flip_one(h);
        if (h->watch_words > 0)
            look(h);
        __atomic_store_n(&h->begun, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void stop_thread(void *unused)
{
    (void)unused;
    if (!hostile.running)
        return;
    __atomic_store_n(&hostile.stop, 1, __ATOMIC_RELAXED);
    pthread_join(hostile.thread, NULL);
    hostile.running = false;
}

static napi_value fail(napi_env env, const char *what)
{
    napi_throw_error(env, NULL, what);
    return NULL;
}

static bool get_number(napi_env env, napi_value value, uint64_t *number)
{
    int64_t given;

    if (napi_get_value_int64(env, value, &given) != napi_ok || given < 0)
        return false;
    *number = (uint64_t)given;
    return true;
}

static napi_value start(napi_env env, napi_callback_info info)
{
    napi_value arguments[7];
    size_t count = 7, bytes, marker_bytes;
    uint64_t numbers[5];
    uint8_t *data, *marker;

    if (napi_get_cb_info(env, info, &count, arguments, NULL, NULL) != napi_ok || count != 7 ||
        napi_get_arraybuffer_info(env, arguments[0], (void **)&data, &bytes) != napi_ok)
        return fail(env, "start takes an ArrayBuffer and six values");
    for (uint32_t i = 0; i < 4; i++) {
        if (!get_number(env, arguments[i + 1], &numbers[i]))
            return fail(env, "offsets and sizes are numbers");
    }
    if (napi_get_buffer_info(env, arguments[5], (void **)&marker, &marker_bytes) != napi_ok ||
        marker_bytes != WORD || !get_number(env, arguments[6], &numbers[4]))
        return fail(env, "a marker of eight bytes and a seed");
    if (numbers[0] > bytes || numbers[1] > bytes - numbers[0] || numbers[2] > bytes ||
        numbers[3] > bytes - numbers[2] || numbers[2] % WORD != 0)
        return fail(env, "a part outside the buffer, or not aligned");
    if (hostile.running)
        return fail(env, "there is a thread already");
    memset(&hostile, 0, sizeof(hostile));
    hostile.flip = data + numbers[0];
    hostile.flip_bytes = numbers[1];
    hostile.watch = (const volatile uint64_t *)(const volatile void *)(data + numbers[2]);
    hostile.watch_words = numbers[3] / WORD;
    hostile.state = numbers[4] | 1;
    for (uint32_t i = 0; i < WORD; i++) {
        uint8_t turned[WORD];

        for (uint32_t j = 0; j < WORD; j++)
            turned[j] = marker[(i + j) % WORD];
        memcpy(&hostile.rotations[i], turned, WORD);
    }
    if (pthread_create(&hostile.thread, NULL, run, &hostile) != 0)
        return fail(env, "no thread");
    hostile.running = true;
    while (!__atomic_load_n(&hostile.begun, __ATOMIC_RELAXED))
        sched_yield();
    return NULL;
}

static napi_value stop(napi_env env, napi_callback_info info)
{
    uint64_t counts[3];
    napi_value result, number;

    (void)info;
    stop_thread(NULL);
    counts[0] = hostile.flips;
    counts[1] = hostile.looks;
    counts[2] = hostile.sightings;
    if (napi_create_array_with_length(env, 3, &result) != napi_ok)
        return fail(env, "no array");
    for (uint32_t i = 0; i < 3; i++) {
        if (napi_create_double(env, (double)counts[i], &number) != napi_ok ||
            napi_set_element(env, result, i, number) != napi_ok)
            return fail(env, "no number");
    }
    return result;
}

NAPI_MODULE_INIT()
{
    napi_value function;

    napi_add_env_cleanup_hook(env, stop_thread, NULL);
    if (napi_create_function(env, "start", NAPI_AUTO_LENGTH, start, NULL, &function) != napi_ok ||
        napi_set_named_property(env, exports, "start", function) != napi_ok ||
        napi_create_function(env, "stop", NAPI_AUTO_LENGTH, stop, NULL, &function) != napi_ok ||
        napi_set_named_property(env, exports, "stop", function) != napi_ok)
        return fail(env, "no functions");
    return exports;
}
