/*
 * What: the mirror's private memory (helper data with keys, stacks, tables) and its window.
 * Who: owned by an engine; the window is shared with JavaScript.
 */
#ifndef PAGEFERRY_ENGINE_PRIVATE_MEMORY_H
#define PAGEFERRY_ENGINE_PRIVATE_MEMORY_H

#include <cstdint>
#include <memory>

#include "../kvm/mapping.h"

namespace pageferry
{

// Zero; allocated on first touch; not in core dumps and not in forked children; wiped when it
// goes away.
class PrivateMemory
{
public:
    explicit PrivateMemory(uint64_t bytes);
    ~PrivateMemory();
    PrivateMemory(const PrivateMemory &) = delete;
    PrivateMemory &operator=(const PrivateMemory &) = delete;

    uint8_t *data() const { return mapping_.data(); }
    uint64_t bytes() const { return mapping_.size(); }
    // Large pages for a part that is used densely. Both are multiples of 2 MiB.
    void prefer_huge_pages(uint64_t offset, uint64_t bytes);

private:
    Mapping mapping_;
};

// Zero, shared with children, out of core dumps (requests carry the secret through it).
std::shared_ptr<Mapping> make_window(uint64_t bytes);

// Zero again and its memory given back; the address range stays. No vCPU may run.
void empty_window(const Mapping &window);

// A memset that the compiler must not leave out.
void wipe(void *data, size_t bytes);

// From getrandom; throws SystemError.
void fill_random(void *out, size_t bytes);

} // namespace pageferry

#endif
