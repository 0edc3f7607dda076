/*
 * What: the signal that gets a thread out of KVM_RUN.
 * Who: any thread may send it to a vCPU thread of this process that is still joinable.
 *
 * A real-time signal: KVM_RUN returns EINTR for any that is not blocked, and the helper of the
 * in-process engine is left where it stands (trap.h). Only vCPU threads are sent it. Node and libuv
 * use no real-time signals; one whose disposition is not the default belongs to somebody else and
 * is left alone. The handler stays for the life of the process: a signal still on its way must not
 * end it.
 */
#ifndef PAGEFERRY_ENGINE_INTERRUPT_H
#define PAGEFERRY_ENGINE_INTERRUPT_H

#include <csignal>
#include <pthread.h>
#include <signal.h>

namespace pageferry
{

// Chooses the signal and installs its handler, once per process. Throws when none is free.
int interrupt_signal();

// Blocks every signal on the calling thread for as long as it lives; threads created meanwhile
// inherit that, so that no signal of the process is ever delivered to a vCPU thread.
class SignalsBlocked
{
public:
    SignalsBlocked();
    ~SignalsBlocked();
    SignalsBlocked(const SignalsBlocked &) = delete;
    SignalsBlocked &operator=(const SignalsBlocked &) = delete;

private:
    sigset_t before_;
};

// On a vCPU thread, before its first KVM_RUN: lets the interrupt signal in.
void accept_interrupts();

void send_interrupt(pthread_t thread);

} // namespace pageferry

#endif
