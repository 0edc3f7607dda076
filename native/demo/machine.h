/*
 * What: one backend of the demo guest: something that runs the workload's ticks over guest RAM.
 * Who: `step` on the guest's thread; the dirty log from any thread; all else while paused.
 */
#ifndef PAGEFERRY_DEMO_MACHINE_H
#define PAGEFERRY_DEMO_MACHINE_H

#include <cstdint>
#include <memory>
#include <vector>

#include "../memory/guest_memory.h"
#include "workload.h"

namespace pageferry::demo
{

enum class Backend : uint32_t { InProcess = 1, Kvm = 2 };

// Ends of what install() wrote and nobody changes, for pf_demo_seal; 0 where there is none.
struct Fixed {
    uint64_t image_end;
    uint64_t tables_end;
};

class Machine
{
public:
    virtual ~Machine() = default;

    // Whatever RAM needs besides the workload's fill; at the source only, before the first step.
    virtual Fixed install() = 0;
    // Runs to the end of a tick. False: interrupted before; the next call goes on with that tick,
    // which has its input already.
    virtual bool step(const pf_demo_input &input) = 0;
    // False: the last step was interrupted, and RAM is as a tick left it half way.
    virtual bool is_between_ticks() const = 0;
    // From any thread: makes the step that is running, or the next one, return soon.
    virtual void interrupt() = 0;
    virtual void clear_interrupt() = 0;
    virtual void start_dirty_log() = 0;
    // Adds to and clears the log; one bit per page of RAM.
    virtual void collect_dirty(std::vector<uint64_t> &bits) = 0;
    virtual void stop_dirty_log() = 0;
    virtual std::vector<uint8_t> save() const = 0;
    // Throws InvalidError or SystemError when the state is not acceptable, and changes nothing.
    virtual void load(const uint8_t *state, size_t bytes) = 0;
};

std::unique_ptr<Machine> make_in_process_machine(std::shared_ptr<GuestMemory> memory);
// Throws SystemError or InvalidError where there is no usable KVM.
std::unique_ptr<Machine> make_kvm_machine(std::shared_ptr<GuestMemory> memory);

} // namespace pageferry::demo

#endif
