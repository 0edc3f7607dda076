/*
 * What: the demo guest's check of all it ever wrote. While it runs, the guest itself compares the
 * pages that hold something, a part with each tick, and the host the pages that must be zero: it
 * sees which of them are holes and leaves them holes. Paused, the host does all of it.
 * Who: one check at a time; `tick_ended` on the guest's thread, between two ticks; `step` on any,
 * while the guest is paused between two ticks.
 *
 * An answer counts only when the guest bound it to this very request: numbers of requests are
 * drawn at random, so no answer that came along with migrated RAM can be one.
 */
#ifndef PAGEFERRY_DEMO_SELF_CHECK_H
#define PAGEFERRY_DEMO_SELF_CHECK_H

#include <cstdint>
#include <memory>

#include "../memory/guest_memory.h"
#include "workload.h"

namespace pageferry::demo
{

class RunningCheck
{
public:
    explicit RunningCheck(std::shared_ptr<GuestMemory> memory);

    // What the guest is to be told with each tick.
    uint64_t request() const { return request_; }
    // After each tick that ended; true when the check is complete.
    bool tick_ended();
    pf_demo_result result() const { return result_; }

private:
    std::shared_ptr<GuestMemory> memory_;
    uint64_t request_;
    uint64_t next_ = 0;
    pf_demo_result result_ = {};
};

class PausedCheck
{
public:
    explicit PausedCheck(std::shared_ptr<GuestMemory> memory);

    // Looks at the next part; true when that was the last. Allocates no page of RAM.
    bool step();
    pf_demo_result result() const { return result_; }

private:
    std::shared_ptr<GuestMemory> memory_;
    uint64_t next_ = 0;
    pf_demo_result result_ = {};
};

} // namespace pageferry::demo

#endif
