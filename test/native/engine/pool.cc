// Trapped code, and the vCPU pool over runners whose code really runs, faults and never returns.
#include <csetjmp>
#include <csignal>
#include <cstring>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "engine/interrupt.h"
#include "engine/trap.h"
#include "engine/vcpu_pool.h"
#include "kvm/error.h"

using namespace pageferry;
using std::chrono::milliseconds;

namespace
{

void endless(void *)
{
    for (;;)
        __builtin_ia32_pause();
}

void nothing(void *) {}

void undefined(void *)
{
    __asm__ volatile("ud2");
}

// Read by an instruction of its own: a sanitizer would look at the address first.
void touch(void *address)
{
    uint64_t value;

    __asm__ volatile("movq (%1), %0" : "=r"(value) : "r"(address) : "memory");
}

sigjmp_buf back;

void come_back(int)
{
    siglongjmp(back, 1);
}

TrapResult run(void (*code)(void *), void *argument = nullptr)
{
    const std::atomic<bool> stay{false};

    return run_trapped(code, argument, stay);
}

// A runner whose next run is one of these; the tests set it before they kick.
class Runner : public VcpuRunner
{
public:
    enum class Next { Halt, Stray, Endless, Fault };

    explicit Runner(uint32_t vcpus) : next(vcpus), runs(vcpus), leave(vcpus) {}

    Event run(uint32_t vcpu) override
    {
        accept_faults();
        runs[vcpu]++;
        Next now = next[vcpu].exchange(Next::Halt);
        // As KVM_RUN that a signal of somebody else's has ended: it is to be called again.
        if (now == Next::Stray)
            return stopped();
        auto result = run_trapped(now == Next::Endless ? endless
                                  : now == Next::Fault ? undefined
                                                       : nothing,
                                  nullptr, leave[vcpu]);
        if (result.kind == TrapKind::Left)
            return stopped();
        Event event;
        if (result.kind == TrapKind::Fault) {
            event.kind = EventKind::Fault;
            event.vector = result.vector;
        }
        return event;
    }

    void interrupt(uint32_t vcpu, bool on) override { leave[vcpu] = on; }
    uint64_t progress(uint32_t) override { return 0; }

    std::vector<std::atomic<Next>> next;
    std::vector<std::atomic<int>> runs;
    std::vector<std::atomic<bool>> leave;

private:
    static Event stopped()
    {
        Event event;

        event.kind = EventKind::Stopped;
        return event;
    }
};

// Reports, in order; wait() is for the next one.
class Reports
{
public:
    Report sink()
    {
        return [this](uint32_t vcpu, const Event &event, uint64_t) {
            std::lock_guard<std::mutex> lock(mutex_);
            list_.emplace_back(vcpu, event);
            more_.notify_all();
        };
    }

    std::pair<uint32_t, Event> wait()
    {
        std::unique_lock<std::mutex> lock(mutex_);
        bool is_told = more_.wait_for(lock, std::chrono::seconds(30),
                                      [this] { return taken_ < list_.size(); });
        CHECK(is_told);
        return list_[taken_++];
    }

    bool is_empty()
    {
        std::lock_guard<std::mutex> lock(mutex_);
        return taken_ == list_.size();
    }

private:
    std::mutex mutex_;
    std::condition_variable more_;
    std::vector<std::pair<uint32_t, Event>> list_;
    size_t taken_ = 0;
};

} // namespace

void test_traps()
{
    // The one before ours gets what is not trapped.
    struct sigaction action = {};
    action.sa_handler = come_back;
    sigaction(SIGSEGV, &action, nullptr);
    interrupt_signal();
    install_traps();

    CHECK(run(nothing).kind == TrapKind::Returned);
    TrapResult result = run(undefined);
    CHECK(result.kind == TrapKind::Fault && result.vector == 6 && result.rip != 0);
    auto *unmapped = reinterpret_cast<void *>(0xffff800000001000);
    result = run(touch, unmapped);
    CHECK(result.kind == TrapKind::Fault && result.vector == 14);
    CHECK(result.address == 0xffff800000001000);

    void *guard = mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    result = run(touch, guard);
    CHECK(result.kind == TrapKind::Fault && result.address == reinterpret_cast<uint64_t>(guard));
    munmap(guard, 4096);

    int file = memfd_create("short", MFD_CLOEXEC);
    CHECK(ftruncate(file, 4096) == 0);
    void *shared = mmap(nullptr, 8192, PROT_READ, MAP_SHARED, file, 0);
    CHECK(run(touch, shared).kind == TrapKind::Returned);
    result = run(touch, static_cast<uint8_t *>(shared) + 4096);
    CHECK(result.kind == TrapKind::Bus);
    munmap(shared, 8192);
    close(file);

    bool came_back = sigsetjmp(back, 1) != 0;
    if (!came_back)
        touch(unmapped);
    CHECK(came_back);

    std::atomic<bool> leave{true};
    CHECK(run_trapped(endless, nullptr, leave).kind == TrapKind::Left);
    leave = false;
    std::thread other([&] {
        accept_interrupts();
        CHECK(run_trapped(endless, nullptr, leave).kind == TrapKind::Left);
    });
    // Without having been asked to leave, a signal changes nothing.
    for (int i = 0; i < 100; i++)
        send_interrupt(other.native_handle());
    leave = true;
    send_interrupt(other.native_handle());
    other.join();
}

void test_pool_goes_on()
{
    Runner runner(2);
    Reports reports;
    VcpuPool pool(runner, 2, milliseconds(20000), reports.sink());

    install_traps();
    pool.start();
    for (int turn = 0; turn < 50; turn++) {
        runner.next[turn % 2] = Runner::Next::Stray;
        int before = runner.runs[turn % 2];
        CHECK(pool.kick(turn % 2));
        auto [vcpu, event] = reports.wait();
        CHECK(vcpu == static_cast<uint32_t>(turn % 2) && event.kind == EventKind::Halt);
        CHECK(runner.runs[turn % 2] == before + 2);
    }
    bool changed = false;
    pool.while_quiet([&] { changed = true; });
    CHECK(changed);
    // A change that fails tells so, and the pool goes on.
    CHECK_THROWS(InvalidError, pool.while_quiet([] { throw InvalidError("no"); }));
    CHECK(pool.kick(1) && reports.wait().second.kind == EventKind::Halt);

    runner.next[0] = Runner::Next::Endless;
    pool.kick(0);
    CHECK_THROWS(SystemError, pool.while_quiet([] {}));
    pool.stop();
    pool.stop();
    CHECK(!pool.kick(0) && reports.is_empty());
}

void test_pool_stalls()
{
    Runner runner(3);
    Reports reports;
    VcpuPool pool(runner, 3, milliseconds(200), reports.sink());

    pool.start();
    runner.next[2] = Runner::Next::Endless;
    pool.kick(2);
    auto [vcpu, event] = reports.wait();
    CHECK(vcpu == 2 && event.kind == EventKind::Stall);
    CHECK(!pool.kick(0));
    pool.stop();

    // One dies; the other, which waits for it forever, is stopped and tells nothing.
    Runner second(2);
    Reports told;
    VcpuPool another(second, 2, milliseconds(20000), told.sink());
    another.start();
    second.next[0] = Runner::Next::Endless;
    second.next[1] = Runner::Next::Fault;
    another.kick(0);
    while (second.runs[0] < 2)
        std::this_thread::yield();
    another.kick(1);
    auto [first, fault] = told.wait();
    CHECK(first == 1 && fault.kind == EventKind::Fault && fault.vector == 6);
    another.while_quiet([] {}); // does not time out: nobody runs any more
    another.stop();
    CHECK(told.is_empty());
}

void test_pool_start()
{
    for (uint32_t bad = 0; bad < 3; bad++) {
        Runner runner(3);
        VcpuPool pool(runner, 3, milliseconds(20000), [](uint32_t, const Event &, uint64_t) {
            CHECK(!"a first run is not reported");
        });
        for (uint32_t vcpu = 1; vcpu < bad; vcpu++)
            runner.next[vcpu] = Runner::Next::Endless;
        runner.next[bad] = Runner::Next::Fault;
        try {
            pool.start();
            CHECK(!"it started");
        } catch (const StartError &error) {
            CHECK(error.vcpu() == bad && error.event().kind == EventKind::Fault);
        }
    }
}
