/*
 * What: the counter windows of stream.h. Counters of one window map to distinct bits, since they
 * span less than PF_STREAM_WINDOW; a bit is cleared when its counter falls below the base.
 */
#include "stream.h"

static bool bit_test(const uint64_t *words, uint64_t counter)
{
    return words[counter / 64 % PF_STREAM_WORDS] >> counter % 64 & 1;
}

static void bit_set(uint64_t *words, uint64_t counter)
{
    words[counter / 64 % PF_STREAM_WORDS] |= 1ull << counter % 64;
}

static void bit_clear(uint64_t *words, uint64_t counter)
{
    words[counter / 64 % PF_STREAM_WORDS] &= ~(1ull << counter % 64);
}

enum pf_claim pf_stream_look(const struct pf_stream_window *window, uint64_t counter)
{
    if (counter <= window->base)
        return PF_CLAIM_DUPLICATE;
    if (counter - window->base > PF_STREAM_WINDOW)
        return PF_CLAIM_TOO_FAR;
    return bit_test(window->claimed, counter) ? PF_CLAIM_DUPLICATE : PF_CLAIM_NEW;
}

void pf_stream_claim(struct pf_stream_window *window, uint64_t counter)
{
    bit_set(window->claimed, counter);
    if (counter > window->highest)
        window->highest = counter;
}

void pf_stream_done(struct pf_stream_window *window, uint64_t counter)
{
    bit_set(window->done, counter);
    window->total++;
    while (bit_test(window->done, window->base + 1)) {
        window->base++;
        bit_clear(window->done, window->base);
        bit_clear(window->claimed, window->base);
    }
}

bool pf_replay_accept(struct pf_replay *replay, uint64_t counter)
{
    if (counter > replay->highest) {
        uint64_t steps = counter - replay->highest;

        if (steps > PF_STREAM_WINDOW)
            steps = PF_STREAM_WINDOW;
        for (uint64_t i = 0; i < steps; i++)
            bit_clear(replay->seen, counter - i);
        replay->highest = counter;
    } else if (replay->highest - counter >= PF_STREAM_WINDOW || bit_test(replay->seen, counter)) {
        return false;
    }
    bit_set(replay->seen, counter);
    return true;
}
