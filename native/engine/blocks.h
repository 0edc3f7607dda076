/*
 * What: the RAM blocks an engine has mapped: bounds, overlaps, and a share in each memory.
 * Who: used by one engine, while its vCPUs are quiet.
 */
#ifndef PAGEFERRY_ENGINE_BLOCKS_H
#define PAGEFERRY_ENGINE_BLOCKS_H

#include <array>
#include <optional>

#include "engine.h"

namespace pageferry
{

class Blocks
{
public:
    // Throws InvalidError unless the block is page-aligned, inside its memory and ram_limit,
    // and clear of every block with another id; nor may a block that is there move.
    void check(const Block &block, uint64_t ram_limit) const;
    const std::optional<Block> &find(uint32_t id) const { return blocks_[id]; }
    void set(const Block &block) { blocks_[block.id] = block; }
    void remove(uint32_t id) { blocks_[id].reset(); }
    void clear() { blocks_.fill(std::nullopt); }

private:
    std::array<std::optional<Block>, PF_RAM_BLOCKS_MAX> blocks_;
};

// Throws InvalidError for an id beyond PF_RAM_BLOCKS_MAX.
void check_block_id(uint32_t id);

} // namespace pageferry

#endif
