// The layouts of mirrors of every size: what pf_boot's ABI promises, walked.
#include "abi/boot.h"
#include "abi/ring.h"
#include "check.h"
#include "engine/layout.h"
#include "walker.h"

using namespace pageferry;

namespace
{

constexpr uint64_t page = 4096, gib = 1ull << 30;

pf_image_header some_image()
{
    pf_image_header image = {};

    image.stub_offset = 0x1000;
    image.text_offset = 0x2000;
    image.rodata_offset = 0x90000;
    image.data_offset = 0xa0000;
    image.file_bytes = 0xa1000;
    image.memory_bytes = 0xb3000;
    image.entry_offset = 0x2000;
    image.vectors_offset = 0x1000;
    image.vector_bytes = 16;
    return image;
}

struct Rights {
    bool user, write, execute;
};

void expect(const Walker &walker, uint64_t address, uint64_t physical, Rights rights)
{
    auto found = walker.walk(address);

    CHECK(found && found->physical == physical);
    CHECK(found->user == rights.user && found->write == rights.write);
    CHECK(found->execute == rights.execute);
}

void check_image(const Walker &walker, const pf_image_header &image, const Layout &layout)
{
    uint64_t at = PF_HELPER_VIRTUAL;

    for (uint64_t offset = 0; offset < image.memory_bytes; offset += page) {
        Rights rights = offset < image.stub_offset     ? Rights{true, false, false}
                        : offset < image.text_offset   ? Rights{false, false, true}
                        : offset < image.rodata_offset ? Rights{true, false, true}
                        : offset < image.data_offset   ? Rights{true, false, false}
                                                       : Rights{true, true, false};
        expect(walker, at + offset, layout.physical(offset), rights);
    }
    CHECK(!walker.walk(at - 1) && !walker.walk(at + image.memory_bytes));
    // No second way to it, and none to the tables.
    CHECK(!walker.walk(layout.physical(0)));
    CHECK(!walker.walk(layout.physical(image.memory_bytes - 1)));
    CHECK(!walker.walk(layout.physical(layout.tables_offset())));
}

void check_vcpu(const Walker &walker, const Layout &layout, uint32_t vcpu)
{
    Rights user = {true, true, false}, supervisor = {false, true, false};
    uint64_t fs = layout.physical(layout.fs_offset(vcpu));
    uint64_t top = layout.user_stack_top(vcpu);
    uint64_t ring0 = layout.ring0_stack_top(vcpu);

    expect(walker, fs, fs, user);
    CHECK(top % 16 == 0);
    expect(walker, top - 1, top - 1, user);
    expect(walker, top - user_stack_bytes, top - user_stack_bytes, user);
    CHECK(!walker.walk(top - user_stack_bytes - 1)); // guards
    CHECK(!walker.walk(top));
    expect(walker, ring0 - page, layout.physical(layout.ring0_stack_offset(vcpu)), supervisor);
    CHECK(!walker.walk(ring0 - page - 1) && !walker.walk(ring0));
    expect(walker, layout.tss_virtual(vcpu), layout.physical(layout.tss_offset(vcpu)), supervisor);
}

void check_layout(uint32_t physical_bits, uint32_t vcpus, uint64_t wanted, uint64_t window,
                  bool gibibyte_pages)
{
    struct pf_address_space space = pf_address_space(physical_bits);
    uint64_t ram = wanted < space.ram_limit ? wanted : space.ram_limit;
    pf_image_header image = some_image();
    Layout layout(space, image, vcpus, ram, window);
    PageTables tables = build_page_tables(
        layout.mappings(), layout.physical(layout.tables_offset()), gibibyte_pages, 0);
    Walker walker(tables, 0);
    Rights user = {true, true, false};

    // Guest RAM: virtual = ram_addr_t, in the largest pages, up to its limit and no further.
    auto first = walker.walk(0);
    CHECK(first && first->page_bytes == (gibibyte_pages ? gib : gib / 512));
    for (uint64_t at = 0; at < ram; at += gib) {
        expect(walker, at, at, user);
        expect(walker, at + gib - 1, at + gib - 1, user);
    }
    CHECK(!walker.walk(ram) || ram == space.private_gpa);

    check_image(walker, image, layout);
    for (uint32_t vcpu = 0; vcpu < vcpus; vcpu++)
        check_vcpu(walker, layout, vcpu);
    uint64_t boot = layout.physical(layout.boot_offset());
    expect(walker, boot, boot, {true, false, false});
    Rights supervisor = {false, true, false};
    expect(walker, layout.gdt_virtual(), layout.physical(layout.gdt_offset()), supervisor);
    expect(walker, layout.idt_virtual(), layout.physical(layout.idt_offset()), supervisor);

    CHECK(layout.arena_bytes() >= pf_arena_bytes(vcpus, ram));
    for (uint64_t at = 0; at < layout.arena_bytes(); at += 2 << 20) {
        uint64_t address = layout.physical(layout.arena_offset()) + at;
        expect(walker, address, address, user);
        CHECK(walker.walk(address)->page_bytes >= 2 << 20); // large: it is what is used most
    }
    for (uint64_t at = 0; at < window; at += page)
        expect(walker, space.window_gpa + at, space.window_gpa + at, user);
    CHECK(!walker.walk(space.window_gpa - 1) && !walker.walk(space.window_gpa + window));

    // The private slot ends before the window's, and that before the addresses do.
    uint64_t private_bytes = layout.bytes_before_tables() + tables.entries.size() * 8;
    CHECK(space.private_gpa + private_bytes <= space.window_gpa);
    CHECK(space.window_gpa + window <= 1ull << physical_bits);
}

} // namespace

void test_layouts()
{
    const uint64_t windows[] = {PF_VCPUS_MAX * PF_RING_STRIDE, (2ull << 20) + page,
                                PF_WINDOW_BYTES_MAX};

    for (uint32_t bits : {32u, 36u, 39u, 40u, 46u, 52u}) {
        for (uint32_t vcpus : {1u, 2u, PF_VCPUS_MAX}) {
            for (uint64_t ram : {gib, 5 * gib, uint64_t{PF_RAM_LIMIT_BYTES_MAX}}) {
                for (uint64_t window : windows)
                    check_layout(bits, vcpus, ram, window, (bits + vcpus) % 2 == 0);
            }
        }
    }
}
