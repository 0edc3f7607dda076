// The host's part of the self-check. See self_check.h.
#include "self_check.h"

#include <algorithm>

#include "host_clock.h"

namespace pageferry::demo
{

namespace
{

constexpr uint64_t part_pages = 8192;

// Which pages are no holes, asked one by one: a page that the guest writes meanwhile is seen.
class Present
{
public:
    explicit Present(const GuestMemory &memory)
        : memory_(memory), first_page_(pf_demo_first_page(memory.bytes()))
    {
    }

    pf_demo seen_through() { return {memory_.data(), memory_.bytes(), nullptr, holds, this}; }

    // pf_demo_holds.
    static int holds(void *context, uint64_t page)
    {
        auto *self = static_cast<Present *>(context);

        if (page >= self->first_page_)
            return self->memory_.has_data(page * PF_DEMO_PAGE);
        // A page of the table is asked for once for each of its entries.
        if (page != self->table_page_)
            self->table_holds_ = self->memory_.has_data(page * PF_DEMO_PAGE);
        self->table_page_ = page;
        return self->table_holds_;
    }

private:
    const GuestMemory &memory_;
    uint64_t first_page_;
    uint64_t table_page_ = UINT64_MAX;
    bool table_holds_ = false;
};

} // namespace

RunningCheck::RunningCheck(std::shared_ptr<GuestMemory> memory)
    : memory_(std::move(memory)), request_(unique_number())
{
}

bool RunningCheck::tick_ended()
{
    const auto *header = reinterpret_cast<const pf_demo_header *>(memory_->data() + PF_DEMO_HEADER);
    // A tick that had been cut off before goes on without having heard of the request.
    if (header->check_request != request_)
        return false;
    Present present(*memory_);
    pf_demo demo = present.seen_through();
    uint64_t reach = pf_demo_reach(&demo);
    if (next_ < reach) {
        uint64_t count = std::min<uint64_t>(PF_DEMO_CHECK_PAGES, reach - next_);
        pf_demo_result part = pf_demo_check(&demo, next_, count, PF_DEMO_ZERO_PAGES);
        result_.pages += part.pages;
        result_.bad += part.bad;
        next_ += count;
    }
    if (header->check_done == 0 || next_ < reach)
        return false;
    result_.pages += header->check_pages;
    result_.bad += header->check_bad;
    return true;
}

PausedCheck::PausedCheck(std::shared_ptr<GuestMemory> memory) : memory_(std::move(memory)) {}

bool PausedCheck::step()
{
    Present present(*memory_);
    pf_demo demo = present.seen_through();
    uint64_t count = std::min(part_pages, pf_demo_pages(memory_->bytes()) - next_);

    if (next_ == 0)
        result_.bad += pf_demo_check_own(&demo);
    if (!memory_->has_data(PF_DEMO_HEADER))
        return true;
    pf_demo_result part = pf_demo_check(&demo, next_, count, PF_DEMO_ALL_PAGES);
    result_.pages += part.pages;
    result_.bad += part.bad;
    result_.versions += part.versions;
    next_ += count;
    if (next_ < pf_demo_reach(&demo))
        return false;
    const auto *header = reinterpret_cast<const pf_demo_header *>(memory_->data() + PF_DEMO_HEADER);
    result_.bad += result_.versions != header->versions;
    return true;
}

} // namespace pageferry::demo
