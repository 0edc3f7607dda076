/*
 * What: when the demo guest's next tick is due: one each millisecond, late ones caught up with for
 * a while, and a throttle that keeps the vCPU from running for a share of the time.
 * Who: one caller at a time; times are the host clock's nanoseconds.
 */
#ifndef PAGEFERRY_DEMO_PACER_H
#define PAGEFERRY_DEMO_PACER_H

#include <cstdint>

namespace pageferry::demo
{

constexpr uint32_t throttle_percent_max = 99;

class Pacer
{
public:
    // The guest runs from now on; what it missed before is not caught up with.
    void restart(uint64_t now);
    // 0 to 99 percent of the time without a tick; 0: none. Takes effect at once.
    void set_throttle(uint32_t percent, uint64_t now);
    void tick_ended(uint64_t now);

    uint64_t due() const { return due_; }
    uint32_t throttle() const { return throttle_; }

private:
    uint64_t due_ = 0;
    uint64_t window_start_ = 0; // of the time it may run in
    uint32_t throttle_ = 0;
};

} // namespace pageferry::demo

#endif
