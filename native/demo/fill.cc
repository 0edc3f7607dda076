// The first content of guest RAM. See fill.h.
#include "fill.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "../engine/interrupt.h"

namespace pageferry::demo
{

namespace
{

constexpr uint64_t piece_pages = 512;
constexpr unsigned threads_max = 8;
// Below this a thread costs more than it brings.
constexpr uint64_t thread_pages = 16384;

} // namespace

void fill(const GuestMemory &memory, const pf_demo_header &wanted)
{
    pf_demo demo = {memory.data(), memory.bytes(), nullptr, nullptr, nullptr};

    pf_demo_begin(&demo, &wanted);
    uint64_t pages =
        reinterpret_cast<const pf_demo_header *>(memory.data() + PF_DEMO_HEADER)->fill_pages;
    // Ahead of the first write: a fault for every 4 KiB costs more than the content.
    memory.prefault(pf_demo_first_page(memory.bytes()) * PF_DEMO_PAGE, pages * PF_DEMO_PAGE);
    std::atomic<uint64_t> next{0};
    auto work = [&] {
        for (;;) {
            uint64_t first = next.fetch_add(piece_pages);
            if (first >= pages)
                return;
            pf_demo_fill(&demo, first, std::min(piece_pages, pages - first));
        }
    };
    uint64_t useful = std::min<uint64_t>(
        {pages / thread_pages + 1, threads_max, std::max(1u, std::thread::hardware_concurrency())});
    std::vector<std::thread> threads;
    {
        SignalsBlocked blocked;
        while (threads.size() + 1 < useful)
            threads.emplace_back(work);
    }
    work();
    for (std::thread &thread : threads)
        thread.join();
}

} // namespace pageferry::demo
