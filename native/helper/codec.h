/*
 * What: the codecs, on one vCPU's private memory. They allocate nothing.
 */
#ifndef PAGEFERRY_HELPER_CODEC_H
#define PAGEFERRY_HELPER_CODEC_H

#include <stdbool.h>
#include "state.h"

#define PF_CODECS (1u << PF_CODEC_NONE | 1u << PF_CODEC_LZ4 | 1u << PF_CODEC_ZSTD)

/*
 * Level 0 is the default. lz4: the acceleration, 1 (default) to 64, larger is faster. zstd:
 * 1 (default) to the highest whose tables fit the vCPU's memory.
 */
bool pf_codec_level_valid(uint32_t codec, uint32_t level);

/* Encodes vcpu->plain into vcpu->encoded (both from PF_TEXT_OFFSET on); 0 when that does not
 * make it smaller. */
uint32_t pf_codec_encode(struct pf_vcpu *vcpu, uint32_t codec, uint32_t level, uint32_t bytes);

/* Decodes bytes at from into vcpu->plain; false when that is not exactly plain_bytes. */
bool pf_codec_decode(struct pf_vcpu *vcpu, uint32_t codec, const uint8_t *from, uint32_t bytes,
                     uint32_t plain_bytes);

#endif
