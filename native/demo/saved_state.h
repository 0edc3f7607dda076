/*
 * What: the demo guest's device state as bytes: which guest it belongs to, the header page's
 * words as they were, and behind them what the machine saved.
 * Who: only while the guest is paused. The bytes come from a peer and are checked here.
 */
#ifndef PAGEFERRY_DEMO_SAVED_STATE_H
#define PAGEFERRY_DEMO_SAVED_STATE_H

#include <cstddef>
#include <cstdint>
#include <vector>

#include "../memory/guest_memory.h"
#include "machine.h"

namespace pageferry::demo
{

std::vector<uint8_t> save_guest(const GuestMemory &memory, Backend backend, const Machine &machine);
// Throws InvalidError or SystemError, and then has changed nothing. RAM must hold the guest that
// the state was taken of, at the same moment.
void load_guest(const GuestMemory &memory, Backend backend, Machine &machine, const uint8_t *data,
                size_t bytes);

} // namespace pageferry::demo

#endif
