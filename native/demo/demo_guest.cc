// The demo guest's thread, its pacing and its states. See demo_guest.h.
#include "demo_guest.h"

#include <cmath>

#include "../engine/interrupt.h"
#include "../kvm/error.h"
#include "fill.h"
#include "host_clock.h"
#include "saved_state.h"

namespace pageferry::demo
{

namespace
{

// A tick is short: it is let end, and cut off when it takes longer than this.
constexpr auto tick_grace = std::chrono::milliseconds(50);
// A running check is given up when no tick ends for so long; a throttled guest has ten in that.
constexpr auto tick_limit = std::chrono::seconds(10);

std::unique_ptr<Machine> make_machine(std::shared_ptr<GuestMemory> memory, Backend backend)
{
    if (memory->bytes() < PF_DEMO_RAM_MIN || memory->bytes() > PF_DEMO_RAM_MAX ||
        memory->bytes() % PF_DEMO_PAGE != 0)
        throw InvalidError("the demo guest needs RAM of 4 MiB to 64 GiB, in whole pages");
    return backend == Backend::Kvm ? make_kvm_machine(std::move(memory))
                                   : make_in_process_machine(std::move(memory));
}

} // namespace

DemoGuest::DemoGuest(std::shared_ptr<GuestMemory> memory, const Options &options)
    : memory_(std::move(memory)), options_(options),
      machine_(make_machine(memory_, options.backend))
{
    if (options_.blank)
        phase_ = Phase::Paused;
}

DemoGuest::~DemoGuest()
{
    close();
}

const pf_demo_header *DemoGuest::header() const
{
    return reinterpret_cast<const pf_demo_header *>(memory_->data() + PF_DEMO_HEADER);
}

void DemoGuest::throw_failure() const
{
    if (!failure_.empty())
        throw InvalidError("the demo guest has stopped: " + failure_);
}

void DemoGuest::start()
{
    std::lock_guard<std::mutex> operation(operation_);

    {
        std::lock_guard<std::mutex> lock(mutex_);
        if (phase_ == Phase::Closed)
            throw InvalidError("the demo guest is closed");
        if (phase_ != Phase::New)
            return;
    }
    pf_demo demo = {memory_->data(), memory_->bytes(), nullptr, nullptr, nullptr};
    pf_demo_header wanted = {};
    wanted.seed = options_.seed;
    wanted.rate = options_.rate;
    wanted.working_set_pages = options_.working_set_bytes / PF_DEMO_PAGE;
    wanted.fill_pages = options_.fill_bytes / PF_DEMO_PAGE;
    wanted.content = options_.content;
    fill(*memory_, wanted);
    Fixed fixed = machine_->install();
    pf_demo_seal(&demo, fixed.image_end, fixed.tables_end);
    {
        std::lock_guard<std::mutex> lock(mutex_);
        if (phase_ == Phase::Closed)
            throw InvalidError("the demo guest was closed while it started");
        phase_ = Phase::Paused;
        has_state_ = true;
    }
    resume();
}

void DemoGuest::resume()
{
    std::lock_guard<std::mutex> lock(mutex_);

    if (phase_ == Phase::Running)
        return;
    if (phase_ != Phase::Paused)
        throw InvalidError("the demo guest cannot run before its start or after its close");
    throw_failure();
    if (!has_state_)
        throw InvalidError("the demo guest has not been given a state to run from");
    if (header()->magic != PF_DEMO_MAGIC)
        throw InvalidError("the demo guest's RAM holds no demo guest");
    machine_->clear_interrupt();
    if (!thread_.joinable()) {
        SignalsBlocked blocked;
        thread_ = std::thread([this] { run_thread(); });
    }
    phase_ = Phase::Running;
    ever_ran_ = true;
    changed_.notify_all();
}

// With the mutex held and the thread inside the machine.
void DemoGuest::cut_off()
{
    machine_->interrupt();
    send_interrupt(thread_.native_handle());
}

// Waits until the thread is outside the machine. The phase says already that it must be.
void DemoGuest::park(std::unique_lock<std::mutex> &lock)
{
    changed_.notify_all();
    while (!changed_.wait_for(lock, tick_grace, [this] { return parked_; }))
        cut_off();
}

void DemoGuest::pause()
{
    std::unique_lock<std::mutex> lock(mutex_);

    if (phase_ == Phase::New)
        throw InvalidError("the demo guest has not been started");
    if (phase_ == Phase::Closed)
        return;
    phase_ = Phase::Paused;
    park(lock);
}

void DemoGuest::close()
{
    {
        std::unique_lock<std::mutex> lock(mutex_);
        phase_ = Phase::Closed;
        park(lock);
    }
    std::lock_guard<std::mutex> operation(operation_);
    if (thread_.joinable())
        thread_.join();
}

bool DemoGuest::wait_for_tick(std::unique_lock<std::mutex> &lock)
{
    for (;;) {
        if (phase_ != Phase::Running)
            return false;
        uint64_t now = now_ns();
        if (now >= pacer_.due())
            return true;
        // steady_clock is CLOCK_MONOTONIC.
        changed_.wait_for(lock, std::chrono::nanoseconds(pacer_.due() - now));
    }
}

// One step of the machine, without the mutex; what it was given decides what its end means.
void DemoGuest::step(std::unique_lock<std::mutex> &lock)
{
    std::shared_ptr<RunningCheck> check = check_;
    pf_demo_input input = {now_ns(), clock_number(), mark_.load(), check ? check->request() : 0};
    bool ended = false;
    bool complete = false;
    std::string failure;

    parked_ = false;
    lock.unlock();
    try {
        ended = machine_->step(input);
        complete = ended && check != nullptr && check->tick_ended();
    } catch (const std::exception &error) {
        failure = error.what();
    }
    uint64_t now = now_ns();
    lock.lock();
    parked_ = true;
    if (!failure.empty()) {
        failure_ = failure;
        if (phase_ == Phase::Running)
            phase_ = Phase::Paused;
    }
    // A check that was given up meanwhile is nobody's answer.
    if (complete && check == check_) {
        check_.reset();
        check_complete_ = true;
    }
    if (ended) {
        ended_ticks_++;
        pacer_.tick_ended(now);
    }
    changed_.notify_all();
}

void DemoGuest::run_thread()
{
    std::unique_lock<std::mutex> lock(mutex_);

    accept_interrupts();
    pacer_.restart(now_ns());
    while (phase_ != Phase::Closed) {
        if (wait_for_tick(lock)) {
            step(lock);
            continue;
        }
        changed_.wait(lock, [this] { return phase_ != Phase::Paused; });
        pacer_.restart(now_ns());
    }
}

uint64_t DemoGuest::ticks() const
{
    return __atomic_load_n(&header()->ticks, __ATOMIC_RELAXED);
}

Gap DemoGuest::longest_gap() const
{
    auto read = [](const uint64_t &word) { return __atomic_load_n(&word, __ATOMIC_RELAXED); };
    auto ms = [](uint64_t ns) { return static_cast<double>(ns) / 1e6; };
    const pf_demo_header *guest = header();
    uint64_t now = now_ns();
    uint64_t mark = mark_.load();

    // The guest sees a mark with its next tick: until then all that counts is open.
    if (mark != 0 && read(guest->mark) != mark)
        return {ms(now - marked_ns_.load()), ms(now)};
    uint64_t last = read(guest->last_tick_ns);
    uint64_t longest = read(guest->longest_gap_ns);
    bool elsewhere = read(guest->clock) != 0 && read(guest->clock) != clock_number();
    if (elsewhere || longest == PF_DEMO_GAP_UNKNOWN)
        return {std::nan(""), std::nan("")};
    if (last != 0 && last < now && now - last > longest)
        return {ms(now - last), ms(now)};
    return {ms(longest), ms(read(guest->longest_gap_at_ns))};
}

void DemoGuest::mark_gap()
{
    marked_ns_.store(now_ns());
    mark_.store(unique_number());
}

void DemoGuest::set_throttle(uint32_t percent)
{
    std::lock_guard<std::mutex> lock(mutex_);

    if (percent > throttle_percent_max)
        throw InvalidError("a throttle is 0 to 99 percent");
    if (percent == pacer_.throttle())
        return;
    pacer_.set_throttle(percent, now_ns());
    changed_.notify_all();
}

void DemoGuest::start_dirty_log()
{
    machine_->start_dirty_log();
}

void DemoGuest::collect_dirty(std::vector<uint64_t> &bits)
{
    bits.resize((pages() + 63) / 64);
    machine_->collect_dirty(bits);
}

void DemoGuest::stop_dirty_log()
{
    machine_->stop_dirty_log();
}

void DemoGuest::demand_paused(const char *what) const
{
    if (phase_ != Phase::Paused || !parked_)
        throw InvalidError(std::string("the demo guest must be paused to ") + what);
}

std::vector<uint8_t> DemoGuest::save_state()
{
    std::lock_guard<std::mutex> lock(mutex_);

    demand_paused("save its state");
    throw_failure();
    return save_guest(*memory_, options_.backend, *machine_);
}

void DemoGuest::load_state(const uint8_t *state, size_t bytes)
{
    std::lock_guard<std::mutex> lock(mutex_);

    demand_paused("load a state");
    if (ever_ran_ || !options_.blank)
        throw InvalidError("the demo guest has run: it takes no state any more");
    load_guest(*memory_, options_.backend, *machine_, state, bytes);
    has_state_ = true;
}

pf_demo_result DemoGuest::self_check()
{
    std::lock_guard<std::mutex> operation(operation_);
    std::unique_lock<std::mutex> lock(mutex_);

    if (phase_ == Phase::New || phase_ == Phase::Closed)
        throw InvalidError("the demo guest is not open: it cannot check itself");
    throw_failure();
    if (phase_ == Phase::Running)
        return check_running(lock);
    return check_paused(lock);
}

pf_demo_result DemoGuest::check_paused(std::unique_lock<std::mutex> &lock)
{
    PausedCheck check(memory_);

    for (bool complete = false; !complete;) {
        // Between its parts others may take the mutex, and resume the guest.
        if (phase_ != Phase::Paused || !parked_)
            throw InvalidError("the demo guest was resumed while it was checked");
        if (!machine_->is_between_ticks())
            throw InvalidError("the demo guest was paused in the middle of a tick");
        complete = check.step();
        lock.unlock();
        lock.lock();
    }
    return check.result();
}

pf_demo_result DemoGuest::check_running(std::unique_lock<std::mutex> &lock)
{
    auto check = std::make_shared<RunningCheck>(memory_);
    uint64_t seen = ended_ticks_;

    check_complete_ = false;
    check_ = check;
    while (!check_complete_ && phase_ == Phase::Running) {
        auto goes_on = [&] {
            return check_complete_ || phase_ != Phase::Running || ended_ticks_ != seen;
        };
        if (!changed_.wait_for(lock, tick_limit, goes_on))
            break;
        seen = ended_ticks_;
    }
    check_.reset();
    if (check_complete_)
        return check->result();
    throw_failure();
    if (phase_ == Phase::Running)
        throw InvalidError("the demo guest has stopped ticking and cannot check itself");
    throw InvalidError("the demo guest was stopped while it checked itself");
}

} // namespace pageferry::demo
