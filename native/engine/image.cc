// Checks a helper image before anything of it is mapped. See image.h.
#include "image.h"

#include <cstring>
#include <string>

#include "../kvm/error.h"

namespace pageferry
{

namespace
{

void require(bool condition, const char *what)
{
    if (!condition)
        throw InvalidError(std::string("the helper image is not usable: ") + what);
}

bool page_aligned(uint32_t value)
{
    return value % PF_PAGE_BYTES == 0;
}

} // namespace

HelperImage parse_image(const uint8_t *bytes, size_t size)
{
    HelperImage image = {};
    pf_image_header &header = image.header;

    require(size >= sizeof header, "shorter than its header");
    std::memcpy(&header, bytes, sizeof header);
    require(header.magic == PF_IMAGE_MAGIC, "wrong magic");
    require(header.abi_version == PF_ABI_VERSION, "built for another ABI version");
    require(header.header_bytes == sizeof header, "another header size");
    require(header.reserved == 0 && (header.flags & ~PF_IMAGE_F_TEST) == 0, "unknown flags");

    require(header.file_bytes <= size, "shorter than its header says");
    require(header.file_bytes <= header.memory_bytes, "file larger than memory");
    require(header.memory_bytes <= image_bytes_max, "larger than 16 MiB");
    require(page_aligned(header.stub_offset) && page_aligned(header.text_offset) &&
                page_aligned(header.rodata_offset) && page_aligned(header.data_offset) &&
                page_aligned(header.memory_bytes),
            "segments not page-aligned");
    require(header.stub_offset >= PF_PAGE_BYTES && header.stub_offset < header.text_offset &&
                header.text_offset < header.rodata_offset &&
                header.rodata_offset <= header.data_offset &&
                header.data_offset <= header.memory_bytes,
            "segments out of order");

    require(header.entry_offset >= header.text_offset &&
                header.entry_offset < header.rodata_offset &&
                header.entry_offset < header.file_bytes,
            "entry outside the text");
    require(header.halt_offset >= header.text_offset && header.halt_offset < header.rodata_offset &&
                header.halt_offset < header.file_bytes,
            "halt outside the text");
    require(bytes[header.halt_offset] == 0xf4, "no HLT where the header says");
    // 32 vectors; vector_bytes is bounded first and nothing is added, so that nothing can wrap.
    require(header.vector_bytes > 0 && header.vector_bytes <= 128, "vector size");
    require(header.vectors_offset >= header.stub_offset &&
                header.vectors_offset <= header.text_offset &&
                32 * header.vector_bytes <= header.text_offset - header.vectors_offset,
            "vectors outside the stub");
    image.bytes = bytes;
    return image;
}

} // namespace pageferry
