// The in-process backend: ticks on the caller's thread, dirty pages in a bitmap. See machine.h.
#include <atomic>

#include "../kvm/error.h"
#include "machine.h"

namespace pageferry::demo
{

namespace
{

class InProcess final : public Machine
{
public:
    explicit InProcess(std::shared_ptr<GuestMemory> memory)
        : memory_(std::move(memory)), pages_(memory_->bytes() / PF_DEMO_PAGE),
          dirty_((pages_ + 63) / 64)
    {
    }

    Fixed install() override { return {0, 0}; }

    bool step(const pf_demo_input &input) override
    {
        pf_demo demo = {memory_->data(), memory_->bytes(), written, nullptr, this};

        pf_demo_step(&demo, &input);
        return true;
    }

    // A step is bounded whatever guest RAM says, and is never cut off.
    bool is_between_ticks() const override { return true; }
    void interrupt() override {}
    void clear_interrupt() override {}

    void start_dirty_log() override
    {
        for (auto &word : dirty_)
            word.store(0);
    }

    void collect_dirty(std::vector<uint64_t> &bits) override
    {
        for (size_t i = 0; i < dirty_.size(); i++) {
            if (dirty_[i].load(std::memory_order_relaxed) != 0)
                bits[i] |= dirty_[i].exchange(0);
        }
    }

    void stop_dirty_log() override {}

    std::vector<uint8_t> save() const override { return {}; }

    void load(const uint8_t *, size_t bytes) override
    {
        if (bytes != 0)
            throw InvalidError("the demo guest's state has a wrong length");
    }

private:
    // Always, not only while the log is on: a page that is being written when the log starts would
    // else depend on which of its stores and of the switch is seen first. The locked operation
    // makes the page's bytes visible before its bit.
    static void written(void *context, uint64_t page)
    {
        auto *self = static_cast<InProcess *>(context);

        self->dirty_[page / 64].fetch_or(1ull << (page % 64));
    }

    std::shared_ptr<GuestMemory> memory_;
    uint64_t pages_;
    std::vector<std::atomic<uint64_t>> dirty_;
};

} // namespace

std::unique_ptr<Machine> make_in_process_machine(std::shared_ptr<GuestMemory> memory)
{
    return std::make_unique<InProcess>(std::move(memory));
}

} // namespace pageferry::demo
