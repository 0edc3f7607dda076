/*
 * What: what the engine's native tests share. A check that fails tells where and ends the run.
 */
#ifndef PAGEFERRY_TEST_ENGINE_CHECK_H
#define PAGEFERRY_TEST_ENGINE_CHECK_H

#include <cstdio>
#include <cstdlib>

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                   \
            std::exit(1);                                                                          \
        }                                                                                          \
    } while (0)

// The action throws an Error.
#define CHECK_THROWS(Error, action)                                                                \
    do {                                                                                           \
        bool thrown = false;                                                                       \
        try {                                                                                      \
            action;                                                                                \
        } catch (const Error &) {                                                                  \
            thrown = true;                                                                         \
        }                                                                                          \
        CHECK(thrown);                                                                             \
    } while (0)

void test_page_sizes();
void test_page_table_refusals();
void test_random_mappings(unsigned int seed);
void test_layouts();
void test_traps();
void test_pool_goes_on();
void test_pool_stalls();
void test_pool_start();

#endif
