// Leaving code that does not return. See trap.h.
#include "trap.h"

#include <array>
#include <cerrno>
#include <csetjmp>
#include <csignal>
#include <ucontext.h>

#include "../kvm/error.h"

namespace pageferry
{

namespace
{

constexpr std::array<int, 4> fault_signals = {SIGSEGV, SIGBUS, SIGILL, SIGFPE};

struct Trap {
    sigjmp_buf out;
    const std::atomic<bool> *leave;
    TrapResult result;
};

// Initial-exec: a handler must not be the one that allocates a thread's block of variables.
__attribute__((tls_model("initial-exec"))) thread_local Trap *current = nullptr;

std::array<struct sigaction, fault_signals.size()> before;

[[noreturn]] void leave(Trap &trap)
{
    current = nullptr;
    siglongjmp(trap.out, 1);
}

// What would have happened without us.
void pass_on(int number, siginfo_t *info, void *context)
{
    for (size_t i = 0; i < fault_signals.size(); i++) {
        if (fault_signals[i] != number)
            continue;
        const struct sigaction &old = before[i];
        if ((old.sa_flags & SA_SIGINFO) != 0) {
            old.sa_sigaction(number, info, context);
        } else if (old.sa_handler != SIG_DFL && old.sa_handler != SIG_IGN) {
            old.sa_handler(number);
        } else {
            // The instruction faults again, or the signal of another process comes again.
            ::sigaction(number, &old, nullptr);
            if (info->si_code <= 0)
                ::raise(number);
        }
    }
}

void on_fault(int number, siginfo_t *info, void *context)
{
    Trap *trap = current;

    // A code of 0 and below: sent by somebody, no fault.
    if (trap == nullptr || info->si_code <= 0) {
        pass_on(number, info, context);
        return;
    }
    const greg_t *registers = static_cast<ucontext_t *>(context)->uc_mcontext.gregs;
    TrapResult &result = trap->result;
    result.kind = number == SIGBUS ? TrapKind::Bus : TrapKind::Fault;
    result.vector = static_cast<uint64_t>(registers[REG_TRAPNO]);
    result.error_code = static_cast<uint64_t>(registers[REG_ERR]);
    result.rip = static_cast<uint64_t>(registers[REG_RIP]);
    result.rsp = static_cast<uint64_t>(registers[REG_RSP]);
    result.address = reinterpret_cast<uint64_t>(info->si_addr);
    leave(*trap);
}

bool install()
{
    struct sigaction action = {};

    action.sa_sigaction = on_fault;
    // Node's threads may have alternate stacks; ours do without.
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < fault_signals.size(); i++) {
        if (::sigaction(fault_signals[i], nullptr, &before[i]) < 0 ||
            ::sigaction(fault_signals[i], &action, nullptr) < 0)
            throw SystemError("catch the helper's faults", "sigaction", errno);
    }
    return true;
}

} // namespace

void install_traps()
{
    static const bool installed = install();

    static_cast<void>(installed);
}

void accept_faults()
{
    sigset_t set;

    sigemptyset(&set);
    for (int number : fault_signals)
        sigaddset(&set, number);
    ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

TrapResult run_trapped(void (*code)(void *), void *argument, const std::atomic<bool> &leave)
{
    Trap trap;

    trap.leave = &leave;
    trap.result = TrapResult{};
    // With the signal mask: a handler blocks its own signal.
    if (sigsetjmp(trap.out, 1) != 0)
        return trap.result;
    current = &trap;
    std::atomic_signal_fence(std::memory_order_seq_cst);
    // Set before the trap was: its signal found nothing to leave.
    if (leave.load())
        trap.result.kind = TrapKind::Left;
    else
        code(argument);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    current = nullptr;
    return trap.result;
}

void leave_when_asked()
{
    Trap *trap = current;

    if (trap == nullptr || !trap->leave->load())
        return;
    trap->result.kind = TrapKind::Left;
    leave(*trap);
}

} // namespace pageferry
