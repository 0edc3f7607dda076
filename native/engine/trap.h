/*
 * What: a way out of code of this process that does not return by itself: what ends a vCPU of the
 * in-process engine where KVM would leave KVM_RUN. A fault in that code (SIGSEGV, SIGBUS, SIGILL,
 * SIGFPE) becomes a value, and so does an interrupt that was asked for.
 * Who: any thread; the code that is left must hold nothing that outlives it (the helper's locks
 * and buffers lie in its arena, which nobody uses after that).
 *
 * Faults of all other code go where they went before: the handlers pass them on.
 */
#ifndef PAGEFERRY_ENGINE_TRAP_H
#define PAGEFERRY_ENGINE_TRAP_H

#include <atomic>
#include <cstdint>

namespace pageferry
{

enum class TrapKind {
    Returned,
    Left,  // because `leave` was set and the interrupt signal sent
    Fault, // an exception of the CPU: vector, error_code, rip, cr2, rsp
    Bus,   // a page that its file does not have: address
};

struct TrapResult {
    TrapKind kind = TrapKind::Returned;
    uint64_t vector = 0;
    uint64_t error_code = 0;
    uint64_t rip = 0;
    uint64_t rsp = 0;
    uint64_t address = 0; // CR2, where the CPU sets it
};

// Installs the handlers, once per process. Throws SystemError.
void install_traps();

// Lets the calling thread's own faults in, which SignalsBlocked has blocked with the rest.
void accept_faults();

// Runs code(argument) until it returns, faults, or `leave` is true and the thread is sent the
// interrupt signal (at once when it is true already). C code only: no destructors run.
TrapResult run_trapped(void (*code)(void *), void *argument, const std::atomic<bool> &leave);

// The interrupt signal's handler.
void leave_when_asked();

} // namespace pageferry

#endif
