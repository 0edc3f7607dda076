// Runs the engine's native tests. Usage: engine [seed]
#include <ctime>
#include <functional>

#include "check.h"

int main(int argc, char **argv)
{
    auto now = static_cast<unsigned long>(std::time(nullptr));
    auto seed = static_cast<unsigned int>(argc > 1 ? std::strtoul(argv[1], nullptr, 0) : now);
    const struct {
        const char *claim;
        std::function<void()> run;
    } tests[] = {
        {"page tables take the largest pages that alignment allows", test_page_sizes},
        {"page tables refuse what the CPU cannot translate", test_page_table_refusals},
        {"page tables hold random mappings, and nothing else", [=] { test_random_mappings(seed); }},
        {"every mirror's layout is mapped as it says, guards are not", test_layouts},
        {"code that faults or does not return can be left", test_traps},
        {"vCPUs go on after signals of others, and change blocks in between", test_pool_goes_on},
        {"a vCPU that does not come back is told and stopped", test_pool_stalls},
        {"a first run that fails names its vCPU", test_pool_start},
    };
    int count = 0;

    std::printf("seed %u\n", seed);
    for (const auto &test : tests) {
        std::printf("  %s\n", test.claim);
        std::fflush(stdout);
        test.run();
        count++;
    }
    std::printf("%d passed, 0 failed, 0 skipped\n", count);
    return 0;
}
