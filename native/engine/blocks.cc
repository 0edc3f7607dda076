// Checks on RAM blocks. See blocks.h.
#include "blocks.h"

#include "../kvm/error.h"

namespace pageferry
{

namespace
{

void require(bool condition, const char *what)
{
    if (!condition)
        throw InvalidError(what);
}

} // namespace

void check_block_id(uint32_t id)
{
    require(id < PF_RAM_BLOCKS_MAX, "block id must be 0 to 63");
}

void Blocks::check(const Block &block, uint64_t ram_limit) const
{
    uint64_t together = block.memory_offset | block.ram_address | block.bytes;

    check_block_id(block.id);
    require(block.memory != nullptr, "a block needs a memory");
    require(together % PF_PAGE_BYTES == 0 && block.bytes > 0,
            "a block's offset, address and size must be multiples of 4096");
    // Subtractions instead of sums: the three numbers are the caller's.
    require(block.memory_offset <= block.memory->bytes() &&
                block.bytes <= block.memory->bytes() - block.memory_offset,
            "a block must lie inside its memory");
    require(block.ram_address <= ram_limit && block.bytes <= ram_limit - block.ram_address,
            "a block must lie below the RAM limit");
    // Its pages have a history in the helper by their address (PF_COMMAND_BLOCK_SET).
    require(!blocks_[block.id] || blocks_[block.id]->ram_address == block.ram_address,
            "a block cannot move; remove it first");
    for (const auto &other : blocks_) {
        if (!other || other->id == block.id)
            continue;
        bool apart = block.ram_address + block.bytes <= other->ram_address ||
                     other->ram_address + other->bytes <= block.ram_address;
        require(apart, "blocks must not overlap");
    }
}

} // namespace pageferry
