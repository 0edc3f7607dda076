/*
 * What: the demo guest's workload: pure functions over guest RAM through a base pointer. The same
 * source runs in ring 3 of the kvm backend's VM and on the in-process backend's thread.
 * Who: one caller at a time. Nothing read from guest RAM is trusted further than `ram_bytes`: at a
 * destination the header comes from a peer.
 *
 * Guest RAM: page 1 holds the header, pages 2 up to PF_DEMO_TABLE the kvm backend's own, then a
 * table of one 32-bit version per page (0: never written), then the workload's pages. What a page
 * must hold follows from the seed, its number and its version; the header knows the sum of all
 * versions, so a page that came back to older content together with its version is found too.
 */
#ifndef PAGEFERRY_DEMO_WORKLOAD_H
#define PAGEFERRY_DEMO_WORKLOAD_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PF_DEMO_MAGIC 0x324f4d4544524650ull
#define PF_DEMO_PAGE 4096ull
#define PF_DEMO_HEADER 0x1000ull
/* The kvm backend's: GDT, IDT, TSS; stacks; from the guest's image on; its page tables. */
#define PF_DEMO_DESCRIPTORS 0x2000ull
#define PF_DEMO_STACKS 0x5000ull
#define PF_DEMO_IMAGE 0x10000ull
#define PF_DEMO_PAGE_TABLES 0x20000ull
#define PF_DEMO_TABLE 0x100000ull
#define PF_DEMO_RAM_MIN (4ull << 20)
#define PF_DEMO_RAM_MAX (64ull << 30)
#define PF_DEMO_RATE_MAX 10000000ull
#define PF_DEMO_TICKS_PER_SECOND 1000ull
/* A longest gap that nobody can tell: the guest came from another clock since the mark. */
#define PF_DEMO_GAP_UNKNOWN UINT64_MAX
/* What one tick of a check looks at. */
#define PF_DEMO_CHECK_PAGES 1024ull

enum pf_demo_content {
    PF_DEMO_MIXED = 0,
    PF_DEMO_RANDOM = 1,
    PF_DEMO_TEXT = 2,
    PF_DEMO_MARKER = 3,
};

/* What the VMM tells the guest with each tick. */
struct pf_demo_input {
    uint64_t now_ns; /* the host's CLOCK_MONOTONIC; never 0 */
    uint64_t clock;  /* names that clock: a gap is measured on one clock only */
    uint64_t mark;   /* 0, or: gaps count from the first tick with this mark on */
    uint64_t check;  /* 0, or the number of a request to check all pages, unique */
};

struct pf_demo_header {
    uint64_t magic;
    uint64_t seed;
    uint64_t rate; /* pages per second */
    uint64_t working_set_pages;
    uint64_t fill_pages;
    uint64_t content;
    uint64_t image_end; /* of the kvm backend's image and page tables, or 0 */
    uint64_t tables_end;
    uint64_t fixed_sum; /* over these and the descriptors, which never change */
    uint64_t constants; /* sum of all above */
    uint64_t ticks;
    uint64_t carry; /* thousandths of a page */
    uint64_t writes;
    uint64_t versions; /* sum of the table */
    uint64_t clock;
    uint64_t last_tick_ns;
    uint64_t mark;
    uint64_t longest_gap_ns;    /* between two ticks since the mark, or PF_DEMO_GAP_UNKNOWN */
    uint64_t longest_gap_at_ns; /* when it ended */
    uint64_t check_request;     /* whose the answer below is */
    uint64_t check_next;        /* index of the next page to check */
    uint64_t check_pages;
    uint64_t check_bad;
    uint64_t check_versions;
    uint64_t check_done;
    uint64_t damaged; /* ticks that did not find the header as the tick before had left it */
    uint64_t seal;    /* sum of all above */
};

/* Told of each page after it was written; may be null. */
typedef void (*pf_demo_written)(void *context, uint64_t page);
/* Whether anything lies behind a page; a hole is all zero, and reading it would allocate it. */
typedef int (*pf_demo_holds)(void *context, uint64_t page);

struct pf_demo {
    uint8_t *ram;
    uint64_t ram_bytes;
    pf_demo_written written; /* null: nobody asks */
    pf_demo_holds holds;     /* null: all pages do */
    void *context;
};

/* Pages that must be all zero are the host's to check: it sees which of them are holes. */
enum pf_demo_scope {
    PF_DEMO_DATA_PAGES = 1,
    PF_DEMO_ZERO_PAGES = 2,
    PF_DEMO_ALL_PAGES = 3,
};

struct pf_demo_result {
    uint64_t pages;
    uint64_t bad;
    uint64_t versions; /* sum over the table's entries that were looked at */
};

/* First page of the workload's own, how many there are, and how many it can ever have written. */
uint64_t pf_demo_first_page(uint64_t ram_bytes);
uint64_t pf_demo_pages(uint64_t ram_bytes);
uint64_t pf_demo_reach(const struct pf_demo *demo);

/* Writes the header of blank RAM; sizes are cut to what fits. */
void pf_demo_begin(const struct pf_demo *demo, const struct pf_demo_header *wanted);
/* Fills pages [first, first + count) of the workload's with content; any thread, once each. */
void pf_demo_fill(const struct pf_demo *demo, uint64_t first, uint64_t count);
/* After the fill, and after what lies below the table was written: from now on it is checked. */
void pf_demo_seal(const struct pf_demo *demo, uint64_t image_end, uint64_t tables_end);

/* One tick, and the next part of the check that is asked for. */
void pf_demo_step(const struct pf_demo *demo, const struct pf_demo_input *input);
/* Compares pages [first, first + count) of the workload's; writes nothing. */
struct pf_demo_result pf_demo_check(const struct pf_demo *demo, uint64_t first, uint64_t count,
                                    unsigned scope);
/* How many of the guest's own parts are not what they must be, while it is between ticks. */
uint64_t pf_demo_check_own(const struct pf_demo *demo);

#ifdef __cplusplus
}
#endif

#endif
