/*
 * What: the demo guest: RAM, a machine that ticks over it every millisecond, pause, dirty log,
 * state and self-check. No Node here.
 * Who: one owner calls everything but `pause`, `self_check` and `close`, which may block and may
 * be called from a worker; the guest's own thread runs the machine.
 */
#ifndef PAGEFERRY_DEMO_DEMO_GUEST_H
#define PAGEFERRY_DEMO_DEMO_GUEST_H

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "machine.h"
#include "pacer.h"
#include "self_check.h"

namespace pageferry::demo
{

struct Options {
    Backend backend = Backend::InProcess;
    uint64_t rate = 0;
    uint64_t working_set_bytes = 0;
    uint64_t fill_bytes = 0;
    uint32_t content = PF_DEMO_MIXED;
    uint64_t seed = 1;
    bool blank = false;
};

struct Gap {
    double ms;    // NaN: the guest came from another host's clock since the mark
    double at_ms; // when it ended, by CLOCK_MONOTONIC; an open one: now; 0: there was none
};

class DemoGuest
{
public:
    DemoGuest(std::shared_ptr<GuestMemory> memory, const Options &options);
    ~DemoGuest();
    DemoGuest(const DemoGuest &) = delete;
    DemoGuest &operator=(const DemoGuest &) = delete;

    // Fills RAM and starts to tick. Slow.
    void start();
    // Returns when nothing writes guest RAM any more.
    void pause();
    void resume();
    void close();

    uint64_t ticks() const;
    // Between two ticks since the last mark, wherever the guest ran then, as the guest measures it
    // with the host's clock; a gap that is still open counts.
    Gap longest_gap() const;
    void mark_gap();
    // The vCPU stands still for 0 to 99 percent of the time. Throws InvalidError beyond.
    void set_throttle(uint32_t percent);

    void start_dirty_log();
    void collect_dirty(std::vector<uint64_t> &bits);
    void stop_dirty_log();
    uint64_t pages() const { return memory_->bytes() / PF_DEMO_PAGE; }

    std::vector<uint8_t> save_state();
    void load_state(const uint8_t *state, size_t bytes);
    // Running: done with the guest's ticks. Paused: done here. Throws InvalidError when the guest
    // stops ticking before the check is complete.
    pf_demo_result self_check();

private:
    enum class Phase { New, Paused, Running, Closed };

    void run_thread();
    bool wait_for_tick(std::unique_lock<std::mutex> &lock);
    void step(std::unique_lock<std::mutex> &lock);
    void cut_off();
    void park(std::unique_lock<std::mutex> &lock);
    pf_demo_result check_running(std::unique_lock<std::mutex> &lock);
    pf_demo_result check_paused(std::unique_lock<std::mutex> &lock);
    void demand_paused(const char *what) const;
    const pf_demo_header *header() const;
    void throw_failure() const;

    std::shared_ptr<GuestMemory> memory_;
    Options options_;
    std::unique_ptr<Machine> machine_;
    std::thread thread_;

    // One long operation at a time: pause, self-check, close.
    std::mutex operation_;
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    Phase phase_ = Phase::New;
    bool parked_ = true; // the thread is outside the machine
    bool ever_ran_ = false;
    std::string failure_;
    bool has_state_ = false; // the machine knows where to go on
    Pacer pacer_;
    uint64_t ended_ticks_ = 0;
    std::shared_ptr<RunningCheck> check_;
    bool check_complete_ = false;
    std::atomic<uint64_t> mark_{0};
    std::atomic<uint64_t> marked_ns_{0};
};

} // namespace pageferry::demo

#endif
