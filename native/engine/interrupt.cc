// The interrupt signal. See interrupt.h.
#include "interrupt.h"

#include <cerrno>
#include <csignal>

#include "../kvm/error.h"
#include "trap.h"

namespace pageferry
{

namespace
{

void on_interrupt(int)
{
    leave_when_asked();
}

int install()
{
    // From the top down: glibc takes the lowest two, and programs tend to count from SIGRTMIN.
    for (int number = SIGRTMAX - 1; number >= SIGRTMIN; number--) {
        struct sigaction current = {};
        if (::sigaction(number, nullptr, &current) < 0)
            continue;
        bool ours = current.sa_handler == on_interrupt;
        if (!ours && current.sa_handler != SIG_DFL)
            continue;
        struct sigaction action = {};
        action.sa_handler = on_interrupt;
        // Harmless for any other system call; KVM_RUN is never restarted.
        action.sa_flags = SA_RESTART;
        sigfillset(&action.sa_mask);
        if (::sigaction(number, &action, nullptr) == 0)
            return number;
    }
    throw SystemError("find a free real-time signal", "sigaction", EBUSY);
}

} // namespace

int interrupt_signal()
{
    static const int number = install();

    return number;
}

SignalsBlocked::SignalsBlocked()
{
    sigset_t all;

    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
}

SignalsBlocked::~SignalsBlocked()
{
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

void accept_interrupts()
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, interrupt_signal());
    ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

void send_interrupt(pthread_t thread)
{
    ::pthread_kill(thread, interrupt_signal());
}

} // namespace pageferry
