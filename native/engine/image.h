/*
 * What: a helper image, checked: struct pf_image_header of native/abi/boot.h and the bytes.
 * Who: made once per mirror by the engine; the bytes stay the caller's.
 */
#ifndef PAGEFERRY_ENGINE_IMAGE_H
#define PAGEFERRY_ENGINE_IMAGE_H

#include <cstddef>
#include <cstdint>

#include "../abi/boot.h"

namespace pageferry
{

// Room for a helper several times today's 0.7 MiB.
constexpr uint64_t image_bytes_max = 16ull << 20;

struct HelperImage {
    pf_image_header header;
    const uint8_t *bytes; // header.file_bytes of them
};

// Throws InvalidError when the header contradicts itself, the ABI or the file.
HelperImage parse_image(const uint8_t *bytes, size_t size);

} // namespace pageferry

#endif
