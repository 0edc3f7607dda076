// The pace of ticks. See pacer.h.
#include "pacer.h"

#include <algorithm>

#include "workload.h"

namespace pageferry::demo
{

namespace
{

constexpr uint64_t tick_ns = 1000000000ull / PF_DEMO_TICKS_PER_SECOND;
// Late ticks are caught up with as far as this; what is older is dropped.
constexpr uint64_t catch_up_ns = 20 * tick_ns;
// Running and standing still take turns within it, so long as a tick fits into the running part.
constexpr uint64_t period_ns = 20 * tick_ns;

} // namespace

void Pacer::restart(uint64_t now)
{
    due_ = now;
    window_start_ = now;
}

void Pacer::set_throttle(uint32_t percent, uint64_t now)
{
    throttle_ = std::min(percent, throttle_percent_max);
    restart(now);
}

void Pacer::tick_ended(uint64_t now)
{
    due_ += tick_ns;
    if (due_ + catch_up_ns < now)
        due_ = now;
    if (throttle_ == 0)
        return;
    // As QEMU's auto-converge: it stands still in proportion to how long it ran, however long
    // its ticks take (system/cpu-throttle.c).
    uint64_t end = std::max(due_, now);
    uint64_t ran = end - window_start_;
    if (ran >= period_ns * (100 - throttle_) / 100)
        restart(end + ran * throttle_ / (100 - throttle_));
}

} // namespace pageferry::demo
