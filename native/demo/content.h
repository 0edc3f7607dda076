/* What a page of the demo guest must hold: a function of seed, page and version. Freestanding. */
#ifndef PAGEFERRY_DEMO_CONTENT_H
#define PAGEFERRY_DEMO_CONTENT_H

#include "workload.h"

static const union {
    char text[8];
    uint64_t word;
} pf_demo_words[16] = {
    {"ferry   "}, {"page    "}, {"guest   "}, {"harbour "},  {"the     "}, {"crosses "},
    {"water   "}, {"slowly  "}, {"at dawn "}, {"and     "},  {"returns "}, {"with    "},
    {"nothing "}, {"but     "}, {"memory  "}, {"aboard\n "},
};

static const union {
    char text[16];
    uint64_t words[2];
} pf_demo_marker = {"PAGEFERRY-MARKER"};

/* splitmix64's finaliser. */
static inline uint64_t pf_demo_mix(uint64_t value)
{
    value += 0x9e3779b97f4a7c15ull;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ull;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebull;
    return value ^ (value >> 31);
}

enum pf_demo_kind {
    PF_DEMO_IS_RANDOM,
    PF_DEMO_IS_TEXT,
    PF_DEMO_IS_MARKER,
    PF_DEMO_IS_SPARSE,
    PF_DEMO_IS_ZERO
};

struct pf_demo_page {
    uint64_t key;
    uint64_t page;
    uint64_t version;
    enum pf_demo_kind kind;
};

static inline struct pf_demo_page pf_demo_page_of(const struct pf_demo_header *header,
                                                  uint64_t page, uint32_t version)
{
    uint64_t key = pf_demo_mix(pf_demo_mix(header->seed ^ pf_demo_mix(page)) ^ version);
    struct pf_demo_page out = {key, page, version, PF_DEMO_IS_ZERO};
    uint64_t choice = key % 8;

    switch (header->content) {
    case PF_DEMO_RANDOM:
        out.kind = PF_DEMO_IS_RANDOM;
        break;
    case PF_DEMO_TEXT:
        out.kind = PF_DEMO_IS_TEXT;
        break;
    case PF_DEMO_MARKER:
        out.kind = PF_DEMO_IS_MARKER;
        break;
    default:
        out.kind = choice < 3   ? PF_DEMO_IS_RANDOM
                   : choice < 6 ? PF_DEMO_IS_TEXT
                   : choice < 7 ? PF_DEMO_IS_SPARSE
                                : PF_DEMO_IS_ZERO;
        break;
    }
    return out;
}

/* The word at `index` of a page. */
static inline uint64_t pf_demo_word(const struct pf_demo_page *page, uint64_t index)
{
    switch (page->kind) {
    case PF_DEMO_IS_RANDOM:
        return pf_demo_mix(page->key + index);
    case PF_DEMO_IS_TEXT:
        return pf_demo_words[pf_demo_mix(page->key + index) >> 60].word;
    case PF_DEMO_IS_MARKER:
        return index == 0   ? page->page
               : index == 1 ? page->version
                            : pf_demo_marker.words[index & 1];
    case PF_DEMO_IS_SPARSE:
        return index == 0 ? page->page : index == 1 ? page->version : 0;
    default:
        return 0;
    }
}

#endif
