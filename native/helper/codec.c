/*
 * What: lz4 and zstd with all their state in the vCPU's part of the arena.
 */
#define LZ4_STATIC_LINKING_ONLY
#define ZSTD_STATIC_LINKING_ONLY
#include <lz4.h>
#include <zstd.h>
#include "codec.h"

#define LZ4_ACCELERATION_MAX 64u
#define PLAIN_BYTES_MAX (PF_RECORD_DATA_PAGES_MAX * PF_PAGE_BYTES)

_Static_assert(sizeof(LZ4_stream_t) <= PF_CODEC_MEMORY_BYTES, "lz4's state fits");

static int zstd_level(uint32_t level)
{
    return level == 0 ? 1 : (int)level;
}

bool pf_codec_level_valid(uint32_t codec, uint32_t level)
{
    switch (codec) {
    case PF_CODEC_NONE:
        return level == 0;
    case PF_CODEC_LZ4:
        return level <= LZ4_ACCELERATION_MAX;
    case PF_CODEC_ZSTD:
        /* The estimate is for the parameters of a 1 MiB text, the largest there is. */
        return level <= (uint32_t)ZSTD_maxCLevel() &&
               ZSTD_estimateCCtxSize_usingCParams(
                   ZSTD_getCParams(zstd_level(level), PLAIN_BYTES_MAX, 0)) <= PF_CODEC_MEMORY_BYTES;
    default:
        return false;
    }
}

static uint32_t encode_zstd(struct pf_vcpu *vcpu, uint32_t level, uint32_t bytes, uint32_t room)
{
    ZSTD_CCtx *context = ZSTD_initStaticCCtx(vcpu->codec_memory, PF_CODEC_MEMORY_BYTES);
    size_t encoded;

    if (context == NULL)
        return 0;
    encoded = ZSTD_compressCCtx(context, vcpu->encoded + PF_TEXT_OFFSET, room,
                                vcpu->plain + PF_TEXT_OFFSET, bytes, zstd_level(level));
    return ZSTD_isError(encoded) ? 0 : (uint32_t)encoded;
}

uint32_t pf_codec_encode(struct pf_vcpu *vcpu, uint32_t codec, uint32_t level, uint32_t bytes)
{
    const uint32_t room = bytes - 1; /* not smaller is not worth it */

    vcpu->touched |= PF_TOUCHED_CODEC;
    if (codec == PF_CODEC_ZSTD)
        return encode_zstd(vcpu, level, bytes, room);
    return (uint32_t)LZ4_compress_fast_extState(
        vcpu->codec_memory, (const char *)vcpu->plain + PF_TEXT_OFFSET,
        (char *)vcpu->encoded + PF_TEXT_OFFSET, (int)bytes, (int)room, level == 0 ? 1 : (int)level);
}

/*
 * One frame of today's format with its size in the header, and nothing behind it: liblzstd would
 * also take several, skippable ones, and those of its first versions, whose decoders allocate.
 */
static bool decode_zstd(struct pf_vcpu *vcpu, const uint8_t *from, uint32_t bytes,
                        uint32_t plain_bytes)
{
    uint32_t magic;
    ZSTD_DCtx *context;

    if (bytes < sizeof(magic))
        return false;
    memcpy(&magic, from, sizeof(magic));
    if (magic != ZSTD_MAGICNUMBER || ZSTD_findFrameCompressedSize(from, bytes) != bytes ||
        ZSTD_getFrameContentSize(from, bytes) != plain_bytes)
        return false;
    context = ZSTD_initStaticDCtx(vcpu->codec_memory, PF_CODEC_MEMORY_BYTES);
    return context != NULL && ZSTD_decompressDCtx(context, vcpu->plain + PF_TEXT_OFFSET,
                                                  plain_bytes, from, bytes) == plain_bytes;
}

bool pf_codec_decode(struct pf_vcpu *vcpu, uint32_t codec, const uint8_t *from, uint32_t bytes,
                     uint32_t plain_bytes)
{
    vcpu->touched |= PF_TOUCHED_CODEC;
    if (codec == PF_CODEC_ZSTD)
        return decode_zstd(vcpu, from, bytes, plain_bytes);
    return LZ4_decompress_safe((const char *)from, (char *)vcpu->plain + PF_TEXT_OFFSET, (int)bytes,
                               (int)plain_bytes) == (int)plain_bytes;
}
