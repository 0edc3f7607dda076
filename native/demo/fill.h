/*
 * What: writes the demo guest's first content, on all CPUs. Who: any thread, before the guest runs.
 */
#ifndef PAGEFERRY_DEMO_FILL_H
#define PAGEFERRY_DEMO_FILL_H

#include "../memory/guest_memory.h"
#include "workload.h"

namespace pageferry::demo
{

// pf_demo_begin and pf_demo_fill of all that is to be filled.
void fill(const GuestMemory &memory, const pf_demo_header &wanted);

} // namespace pageferry::demo

#endif
