/*
 * What: the clock that ticks are stamped with: CLOCK_MONOTONIC, the same in all processes of one
 * host, and a number that says which host's it is. Any thread.
 */
#ifndef PAGEFERRY_DEMO_HOST_CLOCK_H
#define PAGEFERRY_DEMO_HOST_CLOCK_H

#include <cstdint>

namespace pageferry::demo
{

uint64_t now_ns();
// Never 0. Two processes with the same number can compare times: same boot, same time namespace.
uint64_t clock_number();
// A number that nobody else has drawn: never 0.
uint64_t unique_number();

} // namespace pageferry::demo

#endif
