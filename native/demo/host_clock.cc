// Host time. See host_clock.h.
#include "host_clock.h"

#include <cerrno>
#include <cstdio>
#include <ctime>
#include <string>
#include <sys/random.h>
#include <sys/stat.h>

#include "../kvm/error.h"

namespace pageferry::demo
{

namespace
{

uint64_t find_clock_number()
{
    char boot[64] = "";
    FILE *file = std::fopen("/proc/sys/kernel/random/boot_id", "re");

    if (file != nullptr) {
        if (std::fgets(boot, sizeof boot, file) == nullptr)
            boot[0] = 0;
        std::fclose(file);
    }
    // Without it nobody can say whose clock it is: a number of this process alone.
    if (boot[0] == 0)
        return unique_number();
    uint64_t number = 0xcbf29ce484222325ull; // FNV-1a
    for (const char *at = boot; *at != 0; at++)
        number = (number ^ static_cast<uint8_t>(*at)) * 0x100000001b3ull;
    // Each time namespace has its own offset (time_namespaces(7)); older kernels have none.
    struct stat status = {};
    if (::stat("/proc/self/ns/time", &status) == 0)
        number ^= static_cast<uint64_t>(status.st_ino) * 0x9e3779b97f4a7c15ull;
    return number | 1;
}

} // namespace

uint64_t now_ns()
{
    timespec now = {};

    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1000000000ull + static_cast<uint64_t>(now.tv_nsec);
}

uint64_t clock_number()
{
    static const uint64_t number = find_clock_number();

    return number;
}

uint64_t unique_number()
{
    uint64_t number = 0;

    // Eight bytes come whole or not at all (getrandom(2)).
    if (::getrandom(&number, sizeof number, 0) != static_cast<ssize_t>(sizeof number))
        throw SystemError("draw a number", "getrandom", errno);
    return number | 1;
}

} // namespace pageferry::demo
