/*
 * What: one native thread per vCPU, kicks, start order, the watchdog, quiescence and stop; the
 * same for both engines. How a vCPU runs is behind VcpuRunner.
 * Who: owned by an engine. One mutex guards all bookkeeping; it is never held during a run.
 *
 *   kick: kicks++                      kicks != handled: run, then handled = kicks at its start
 *   waiting -> running -> waiting ... -> dead (any event but a halt) or stopping
 */
#ifndef PAGEFERRY_ENGINE_VCPU_POOL_H
#define PAGEFERRY_ENGINE_VCPU_POOL_H

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "engine.h"

namespace pageferry
{

class VcpuRunner
{
public:
    virtual ~VcpuRunner() = default;

    // On the vCPU's thread: runs until halt, fault or exit. Returns Stopped when it was made to
    // return by interrupt(); the pool knows why it did that.
    virtual Event run(uint32_t vcpu) = 0;
    // From any thread: makes run() return soon, also one that has not begun yet. `on` false
    // takes that back.
    virtual void interrupt(uint32_t vcpu, bool on) = 0;
    // A number that changes whenever the vCPU finishes a request.
    virtual uint64_t progress(uint32_t vcpu) = 0;
};

class VcpuPool
{
public:
    VcpuPool(VcpuRunner &runner, uint32_t vcpus, std::chrono::milliseconds stall_timeout,
             Report report);
    ~VcpuPool();
    VcpuPool(const VcpuPool &) = delete;
    VcpuPool &operator=(const VcpuPool &) = delete;

    void start();
    bool kick(uint32_t vcpu);
    void stop();
    // Calls change() while no vCPU runs and none can begin.
    void while_quiet(const std::function<void()> &change);

private:
    using Clock = std::chrono::steady_clock;

    struct Worker {
        std::thread thread;
        std::condition_variable wake;
        uint64_t kicks = 0;
        uint64_t handled = 0;
        bool running = false;
        bool stalled = false;          // the watchdog interrupted this run
        Clock::duration alive_since{}; // on watched_'s clock
        uint64_t progress = 0;
        Event first; // result of the first run, for start()
    };

    void work(uint32_t vcpu);
    // One run, lock released meanwhile; begun again when nothing but a stray signal ended it.
    Event run(std::unique_lock<std::mutex> &lock, uint32_t vcpu);
    void die(uint32_t vcpu);
    void interrupt(uint32_t vcpu);
    void watch();
    void check_stall(uint32_t vcpu, Clock::duration allowed);
    void run_first(std::unique_lock<std::mutex> &lock, uint32_t from, uint32_t to);

    VcpuRunner &runner_;
    std::chrono::milliseconds stall_timeout_;
    Report report_;
    std::mutex mutex_;
    std::condition_variable idle_;      // some run ended
    std::condition_variable watch_end_; // stopping
    std::vector<Worker> workers_;
    std::thread watchdog_;
    // Advances while the watchdog runs. Runs begin between its steps, so a stall is told when
    // the timeout and one period have gone by.
    Clock::duration watched_{};
    bool started_ = false; // runs before that are start()'s own and are not reported
    bool dead_ = false;
    bool stopping_ = false;
};

} // namespace pageferry

#endif
