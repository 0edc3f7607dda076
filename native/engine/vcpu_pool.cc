// The vCPU threads. See vcpu_pool.h.
#include "vcpu_pool.h"

#include <algorithm>
#include <cerrno>
#include <string>
#include <system_error>

#include "../kvm/error.h"
#include "interrupt.h"

namespace pageferry
{

namespace
{

// How long a change of blocks waits for vCPUs to halt: the longest command is far below it.
constexpr std::chrono::milliseconds quiet_timeout(1000);
// The watchdog looks eight times per stall timeout, so a stall is noticed at most 1/4 late.
constexpr int watch_divisor = 8;
constexpr std::chrono::milliseconds watch_period_min(5);
constexpr std::chrono::milliseconds watch_period_max(1000);

std::thread make_thread(const std::string &name, std::function<void()> body)
{
    try {
        std::thread thread(std::move(body));
        ::pthread_setname_np(thread.native_handle(), name.c_str());
        return thread;
    } catch (const std::system_error &error) {
        throw SystemError("start thread " + name, "pthread_create", error.code().value());
    }
}

} // namespace

VcpuPool::VcpuPool(VcpuRunner &runner, uint32_t vcpus, std::chrono::milliseconds stall_timeout,
                   Report report)
    : runner_(runner), stall_timeout_(stall_timeout), report_(std::move(report)), workers_(vcpus)
{
}

VcpuPool::~VcpuPool()
{
    stop();
}

void VcpuPool::start()
{
    interrupt_signal();
    {
        SignalsBlocked blocked;
        for (uint32_t vcpu = 0; vcpu < workers_.size(); vcpu++) {
            workers_[vcpu].thread =
                make_thread("pf-vcpu-" + std::to_string(vcpu), [this, vcpu] { work(vcpu); });
        }
        watchdog_ = make_thread("pf-watchdog", [this] { watch(); });
    }
    std::unique_lock<std::mutex> lock(mutex_);
    // vCPU 0 sets up what the others use; they start when it has halted.
    run_first(lock, 0, 1);
    run_first(lock, 1, static_cast<uint32_t>(workers_.size()));
    started_ = true;
}

void VcpuPool::run_first(std::unique_lock<std::mutex> &lock, uint32_t from, uint32_t to)
{
    for (uint32_t vcpu = from; vcpu < to; vcpu++) {
        workers_[vcpu].kicks++;
        workers_[vcpu].wake.notify_one();
    }
    for (uint32_t vcpu = from; vcpu < to; vcpu++) {
        Worker &worker = workers_[vcpu];
        // The watchdog ends a first run that does not halt; a dead pool runs nothing more.
        idle_.wait(lock, [&] { return worker.handled == worker.kicks || dead_ || stopping_; });
    }
    for (uint32_t vcpu = from; vcpu < to; vcpu++) {
        const Event &first = workers_[vcpu].first;
        // Stopped: because another one died, which is the one to tell.
        if (first.kind != EventKind::Halt && first.kind != EventKind::Stopped)
            throw StartError(vcpu, first);
    }
}

bool VcpuPool::kick(uint32_t vcpu)
{
    std::lock_guard<std::mutex> lock(mutex_);

    if (dead_ || stopping_)
        return false;
    workers_[vcpu].kicks++;
    workers_[vcpu].wake.notify_one();
    return true;
}

void VcpuPool::work(uint32_t vcpu)
{
    Worker &worker = workers_[vcpu];

    accept_interrupts();
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
        worker.wake.wait(lock, [&] { return stopping_ || worker.kicks != worker.handled; });
        if (stopping_ || dead_)
            return;

        uint64_t handled = worker.kicks;
        worker.running = true;
        worker.alive_since = watched_;
        worker.progress = runner_.progress(vcpu);
        Event event = run(lock, vcpu);
        worker.running = false;
        worker.handled = handled;

        if (stopping_)
            event.kind = EventKind::Stopped;
        else if (event.kind == EventKind::Stopped && worker.stalled)
            event.kind = EventKind::Stall;
        else if (worker.stalled)
            runner_.interrupt(vcpu, false); // it halted just in time
        worker.stalled = false;
        if (event.kind != EventKind::Halt)
            die(vcpu);
        if (!started_)
            worker.first = event;
        bool report = started_ && event.kind != EventKind::Stopped;
        idle_.notify_all();
        if (report) {
            lock.unlock();
            report_(vcpu, event, handled);
            lock.lock();
        }
    }
}

Event VcpuPool::run(std::unique_lock<std::mutex> &lock, uint32_t vcpu)
{
    for (;;) {
        lock.unlock();
        Event event = runner_.run(vcpu);
        lock.lock();
        // KVM_RUN also returns when nobody here asked for it: SIGSTOP and SIGCONT, a debugger
        // that attaches, the freezer, or an interrupt that came too late for the run before.
        if (event.kind != EventKind::Stopped || workers_[vcpu].stalled || stopping_ || dead_)
            return event;
    }
}

void VcpuPool::die(uint32_t vcpu)
{
    if (dead_)
        return;
    dead_ = true;
    // The others may wait for what this vCPU held; nothing they do counts any more.
    for (uint32_t other = 0; other < workers_.size(); other++) {
        if (other != vcpu && workers_[other].running)
            interrupt(other);
    }
}

void VcpuPool::interrupt(uint32_t vcpu)
{
    runner_.interrupt(vcpu, true);
    send_interrupt(workers_[vcpu].thread.native_handle());
}

void VcpuPool::watch()
{
    auto period = std::clamp(stall_timeout_ / watch_divisor, watch_period_min, watch_period_max);
    std::unique_lock<std::mutex> lock(mutex_);
    auto last = Clock::now();

    while (!watch_end_.wait_for(lock, period, [this] { return stopping_; })) {
        auto now = Clock::now();
        // Time in which this thread did not run either (SIGSTOP, a suspended machine) is no
        // vCPU's fault.
        watched_ += std::min<Clock::duration>(now - last, 2 * period);
        last = now;
        for (uint32_t vcpu = 0; vcpu < workers_.size(); vcpu++)
            check_stall(vcpu, stall_timeout_ + period);
    }
}

void VcpuPool::check_stall(uint32_t vcpu, Clock::duration allowed)
{
    Worker &worker = workers_[vcpu];

    if (!worker.running || worker.stalled)
        return;
    // A driver that keeps the ring filled keeps the helper from halting; that is no stall.
    uint64_t progress = runner_.progress(vcpu);
    if (progress != worker.progress) {
        worker.progress = progress;
        worker.alive_since = watched_;
    } else if (watched_ - worker.alive_since >= allowed) {
        worker.stalled = true;
        interrupt(vcpu);
    }
}

void VcpuPool::while_quiet(const std::function<void()> &change)
{
    std::unique_lock<std::mutex> lock(mutex_);
    bool quiet = idle_.wait_for(lock, quiet_timeout, [this] {
        return std::all_of(workers_.begin(), workers_.end(), [this](const Worker &worker) {
            return !worker.running && (worker.kicks == worker.handled || dead_ || stopping_);
        });
    });

    if (!quiet)
        throw SystemError("change a block while a vCPU runs", "wait", EBUSY);
    change();
}

void VcpuPool::stop()
{
    {
        std::lock_guard<std::mutex> lock(mutex_);
        stopping_ = true;
        for (uint32_t vcpu = 0; vcpu < workers_.size(); vcpu++) {
            if (!workers_[vcpu].thread.joinable())
                continue;
            interrupt(vcpu);
            workers_[vcpu].wake.notify_all();
        }
        watch_end_.notify_all();
        idle_.notify_all();
    }
    for (auto &worker : workers_) {
        if (worker.thread.joinable())
            worker.thread.join();
    }
    if (watchdog_.joinable())
        watchdog_.join();
}

} // namespace pageferry
