// Saved guests. See saved_state.h.
#include "saved_state.h"

#include <cstring>

#include "../kvm/error.h"

namespace pageferry::demo
{

namespace
{

constexpr uint64_t state_magic = 0x3254534d45444650ull;
constexpr uint32_t state_version = 2;

struct Head {
    uint64_t magic;
    uint32_t version;
    uint32_t backend;
    uint64_t ram_bytes;
    pf_demo_header header;
};

const uint8_t *header_of(const GuestMemory &memory)
{
    return memory.data() + PF_DEMO_HEADER;
}

} // namespace

std::vector<uint8_t> save_guest(const GuestMemory &memory, Backend backend, const Machine &machine)
{
    std::vector<uint8_t> rest = machine.save();
    std::vector<uint8_t> out(sizeof(Head) + rest.size());
    Head head;

    std::memset(&head, 0, sizeof head);
    head.magic = state_magic;
    head.version = state_version;
    head.backend = static_cast<uint32_t>(backend);
    head.ram_bytes = memory.bytes();
    std::memcpy(&head.header, header_of(memory), sizeof head.header);
    std::memcpy(out.data(), &head, sizeof head);
    if (!rest.empty())
        std::memcpy(out.data() + sizeof head, rest.data(), rest.size());
    return out;
}

void load_guest(const GuestMemory &memory, Backend backend, Machine &machine, const uint8_t *data,
                size_t bytes)
{
    Head head;

    if (bytes < sizeof head)
        throw InvalidError("the demo guest's state is cut short");
    std::memcpy(&head, data, sizeof head);
    if (head.magic != state_magic || head.version != state_version)
        throw InvalidError("this is no state of a demo guest, or of another version");
    if (head.backend != static_cast<uint32_t>(backend))
        throw InvalidError("the demo guest's state belongs to another backend");
    if (head.ram_bytes != memory.bytes())
        throw InvalidError("the demo guest's state belongs to another size of RAM");
    if (head.header.magic != PF_DEMO_MAGIC)
        throw InvalidError("the demo guest's state was saved before the guest ran");
    if (std::memcmp(header_of(memory), &head.header, sizeof head.header) != 0)
        throw InvalidError("the demo guest's state does not belong to this RAM");
    machine.load(data + sizeof head, bytes - sizeof head);
}

} // namespace pageferry::demo
