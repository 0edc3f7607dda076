/*
 * What: runs the C tests. Usage: test [seconds of fuzzing] [seed]
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "tests.h"

static const struct {
    const char *claim;
    void (*run)(void);
} tests[] = {
    {"primitives answer CAVP, RFC 5869 and RFC 7748", test_vectors},
    {"every codec and padding brings RAM over, duplicates write nothing", test_codecs},
    {"epochs, tokens and page marks", test_epochs},
    {"a full list never overflows", test_long_lists},
    {"fresh zero pages stay holes", test_holes},
    {"messages come in order, lane messages once", test_messages},
    {"blocks change, a failure is final, reset begins anew", test_blocks_and_reset},
    {"no tampered record gets in", test_tampered_records},
    {"no tampered handshake gets through", test_tampered_handshakes},
    {"authenticated violations are fatal and write nothing", test_violations},
    {"a token that contradicts the records is fatal", test_token_violations},
    {"several vCPUs export and import at once", test_threads},
    {"a thread that flips the window gets nothing in", test_flipped_window},
};

int main(int argc, char **argv)
{
    const double seconds = argc > 1 ? atof(argv[1]) : 5;
    const uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : (uint64_t)time(NULL);
    const int count = sizeof(tests) / sizeof(tests[0]);

    printf("seed %llu\n", (unsigned long long)seed);
    for (int i = 0; i < count; i++) {
        random_seed(seed);
        printf("  %s\n", tests[i].claim);
        fflush(stdout);
        tests[i].run();
    }
    printf("  %.0f s of ring and command fuzz\n", seconds);
    fflush(stdout);
    fuzz_ring(seed, seconds);
    printf("%d passed, 0 failed, 0 skipped\n", count + 1);
    return 0;
}
