/* The demo guest's workload. See workload.h. Freestanding: no library, no vector registers. */
#include "workload.h"

#include "content.h"

#define WORDS (PF_DEMO_PAGE / sizeof(uint64_t))
#define WRITES_PER_TICK_MAX 65536ull
#define FILL_VERSION 1u
/* Accessed and dirty, which the CPU sets in the page tables (Intel SDM 3A, 4.8). */
#define TABLE_BITS_OF_CPU 0x60ull

static struct pf_demo_header *header_of(const struct pf_demo *demo)
{
    return (struct pf_demo_header *)(demo->ram + PF_DEMO_HEADER);
}

static volatile uint64_t *words_at(const struct pf_demo *demo, uint64_t address)
{
    return (volatile uint64_t *)(demo->ram + address);
}

static volatile uint32_t *version_of(const struct pf_demo *demo, uint64_t page)
{
    return (volatile uint32_t *)(demo->ram + PF_DEMO_TABLE + page * sizeof(uint32_t));
}

static uint64_t table_page_of(uint64_t page)
{
    return (PF_DEMO_TABLE + page * sizeof(uint32_t)) / PF_DEMO_PAGE;
}

static void written(const struct pf_demo *demo, uint64_t page)
{
    if (demo->written != 0)
        demo->written(demo->context, page);
}

static int holds(const struct pf_demo *demo, uint64_t page)
{
    return demo->holds == 0 || demo->holds(demo->context, page);
}

uint64_t pf_demo_first_page(uint64_t ram_bytes)
{
    uint64_t table = ram_bytes / PF_DEMO_PAGE * sizeof(uint32_t);

    return (PF_DEMO_TABLE + table + PF_DEMO_PAGE - 1) / PF_DEMO_PAGE;
}

uint64_t pf_demo_pages(uint64_t ram_bytes)
{
    return ram_bytes / PF_DEMO_PAGE - pf_demo_first_page(ram_bytes);
}

uint64_t pf_demo_reach(const struct pf_demo *demo)
{
    const struct pf_demo_header *header = header_of(demo);
    uint64_t pages = pf_demo_pages(demo->ram_bytes);
    uint64_t reach = header->fill_pages > header->working_set_pages ? header->fill_pages
                                                                    : header->working_set_pages;

    return reach < pages ? reach : pages;
}

static uint64_t sum_of(const struct pf_demo *demo, uint64_t from, uint64_t to, uint64_t sum)
{
    for (uint64_t at = from; at < to; at += sizeof(uint64_t)) {
        uint64_t word = *words_at(demo, at);
        if (at >= PF_DEMO_PAGE_TABLES)
            word &= ~TABLE_BITS_OF_CPU;
        sum = pf_demo_mix(sum ^ word);
    }
    return sum;
}

static uint64_t seal_of(const struct pf_demo *demo)
{
    uint64_t bytes = __builtin_offsetof(struct pf_demo_header, seal);

    return sum_of(demo, PF_DEMO_HEADER, PF_DEMO_HEADER + bytes, 1);
}

static uint64_t constants_of(const struct pf_demo *demo)
{
    uint64_t bytes = __builtin_offsetof(struct pf_demo_header, constants);

    return sum_of(demo, PF_DEMO_HEADER, PF_DEMO_HEADER + bytes, 3);
}

static uint64_t fixed_sum_of(const struct pf_demo *demo)
{
    const struct pf_demo_header *header = header_of(demo);
    uint64_t image_end = header->image_end;
    uint64_t tables_end = header->tables_end;
    uint64_t sum = 2;

    if (image_end == 0)
        return sum;
    if (image_end > PF_DEMO_PAGE_TABLES)
        image_end = PF_DEMO_PAGE_TABLES;
    if (tables_end > PF_DEMO_TABLE)
        tables_end = PF_DEMO_TABLE;
    sum = sum_of(demo, PF_DEMO_DESCRIPTORS, PF_DEMO_STACKS, sum);
    sum = sum_of(demo, PF_DEMO_IMAGE, image_end, sum);
    return sum_of(demo, PF_DEMO_PAGE_TABLES, tables_end, sum);
}

/* What is wrong with what never changes, at any time. */
static uint64_t count_bad_constants(const struct pf_demo *demo)
{
    const struct pf_demo_header *header = header_of(demo);

    return (header->magic != PF_DEMO_MAGIC || header->constants != constants_of(demo)) +
           (uint64_t)(header->fixed_sum != fixed_sum_of(demo));
}

static void write_page(const struct pf_demo *demo, uint64_t page, uint32_t version)
{
    struct pf_demo_page content = pf_demo_page_of(header_of(demo), page, version);
    volatile uint64_t *out = words_at(demo, page * PF_DEMO_PAGE);

    *version_of(demo, page) = version;
    for (uint64_t i = 0; i < WORDS; i++)
        out[i] = pf_demo_word(&content, i);
    written(demo, page);
    written(demo, table_page_of(page));
}

void pf_demo_begin(const struct pf_demo *demo, const struct pf_demo_header *wanted)
{
    struct pf_demo_header *header = header_of(demo);
    uint64_t pages = pf_demo_pages(demo->ram_bytes);

    header->seed = wanted->seed;
    header->rate = wanted->rate < PF_DEMO_RATE_MAX ? wanted->rate : PF_DEMO_RATE_MAX;
    header->working_set_pages =
        wanted->working_set_pages < pages ? wanted->working_set_pages : pages;
    header->fill_pages = wanted->fill_pages < pages ? wanted->fill_pages : pages;
    header->content = wanted->content;
}

void pf_demo_fill(const struct pf_demo *demo, uint64_t first, uint64_t count)
{
    uint64_t base = pf_demo_first_page(demo->ram_bytes);

    for (uint64_t index = first; index - first < count; index++)
        write_page(demo, base + index, FILL_VERSION);
}

void pf_demo_seal(const struct pf_demo *demo, uint64_t image_end, uint64_t tables_end)
{
    struct pf_demo_header *header = header_of(demo);

    header->magic = PF_DEMO_MAGIC;
    header->versions = header->fill_pages * FILL_VERSION;
    header->image_end = image_end;
    header->tables_end = tables_end;
    header->fixed_sum = fixed_sum_of(demo);
    header->constants = constants_of(demo);
    header->seal = seal_of(demo);
    written(demo, PF_DEMO_HEADER / PF_DEMO_PAGE);
}

/* A page as it lies in RAM against what it must hold. */
static int differs(const struct pf_demo *demo, const struct pf_demo_page *content)
{
    const volatile uint64_t *found = words_at(demo, content->page * PF_DEMO_PAGE);
    uint64_t difference = 0;

    if (!holds(demo, content->page))
        return content->kind != PF_DEMO_IS_ZERO;
    for (uint64_t i = 0; i < WORDS; i++)
        difference |= found[i] ^ pf_demo_word(content, i);
    return difference != 0;
}

struct pf_demo_result pf_demo_check(const struct pf_demo *demo, uint64_t first, uint64_t count,
                                    unsigned scope)
{
    struct pf_demo_result result = {0, 0, 0};
    uint64_t reach = pf_demo_reach(demo);
    uint64_t base = pf_demo_first_page(demo->ram_bytes);

    for (uint64_t index = first; index < reach && index - first < count; index++) {
        uint64_t page = base + index;
        uint32_t version = holds(demo, table_page_of(page)) ? *version_of(demo, page) : 0;
        if (version == 0)
            continue;
        result.versions += version;
        struct pf_demo_page content = pf_demo_page_of(header_of(demo), page, version);
        unsigned is = content.kind == PF_DEMO_IS_ZERO ? PF_DEMO_ZERO_PAGES : PF_DEMO_DATA_PAGES;
        if ((scope & is) == 0)
            continue;
        result.pages++;
        if (differs(demo, &content))
            result.bad++;
    }
    return result;
}

uint64_t pf_demo_check_own(const struct pf_demo *demo)
{
    const struct pf_demo_header *header = header_of(demo);

    if (!holds(demo, PF_DEMO_HEADER / PF_DEMO_PAGE) || header->magic != PF_DEMO_MAGIC)
        return 1;
    return count_bad_constants(demo) + (header->seal != seal_of(demo) || header->damaged != 0);
}

static void check_step(const struct pf_demo *demo, struct pf_demo_header *header, uint64_t request)
{
    if (header->check_request != request) {
        header->check_request = request;
        header->check_next = 0;
        header->check_pages = 0;
        header->check_bad = count_bad_constants(demo);
        header->check_versions = 0;
        header->check_done = 0;
    }
    if (header->check_done != 0)
        return;
    struct pf_demo_result result =
        pf_demo_check(demo, header->check_next, PF_DEMO_CHECK_PAGES, PF_DEMO_DATA_PAGES);
    header->check_pages += result.pages;
    header->check_bad += result.bad;
    header->check_versions += result.versions;
    header->check_next += PF_DEMO_CHECK_PAGES;
    if (header->check_next < pf_demo_reach(demo))
        return;
    header->check_bad += header->check_versions != header->versions;
    header->check_bad += header->damaged != 0;
    header->check_done = 1;
}

static void measure_gap(struct pf_demo_header *header, const struct pf_demo_input *input)
{
    uint64_t gap = input->now_ns - header->last_tick_ns;

    if (header->clock != 0 && header->clock != input->clock)
        header->longest_gap_ns = PF_DEMO_GAP_UNKNOWN;
    if (header->clock == input->clock && header->last_tick_ns < input->now_ns &&
        gap > header->longest_gap_ns) {
        header->longest_gap_ns = gap;
        header->longest_gap_at_ns = input->now_ns;
    }
    header->clock = input->clock;
    header->last_tick_ns = input->now_ns;
    if (input->mark != 0 && header->mark != input->mark) {
        header->mark = input->mark;
        header->longest_gap_ns = 0;
        header->longest_gap_at_ns = input->now_ns;
    }
}

static void dirty_page(const struct pf_demo *demo, struct pf_demo_header *header, uint64_t index)
{
    uint64_t page = pf_demo_first_page(demo->ram_bytes) + index;
    uint32_t before = *version_of(demo, page);
    uint32_t version = before + 1 == 0 ? FILL_VERSION : before + 1;

    write_page(demo, page, version);
    header->writes++;
    header->versions += (uint64_t)version - before;
    /* The running check has counted the version that was. */
    if (header->check_request != 0 && header->check_done == 0 && index < header->check_next)
        header->check_versions += (uint64_t)version - before;
}

void pf_demo_step(const struct pf_demo *demo, const struct pf_demo_input *input)
{
    struct pf_demo_header *header = header_of(demo);
    uint64_t pages = pf_demo_pages(demo->ram_bytes);

    if (header->seal != seal_of(demo))
        header->damaged++;
    uint64_t set = header->working_set_pages < pages ? header->working_set_pages : pages;
    uint64_t rate = header->rate < PF_DEMO_RATE_MAX ? header->rate : PF_DEMO_RATE_MAX;
    uint64_t owed = header->carry % PF_DEMO_TICKS_PER_SECOND + rate;
    uint64_t writes = owed / PF_DEMO_TICKS_PER_SECOND;

    measure_gap(header, input);
    header->carry = owed % PF_DEMO_TICKS_PER_SECOND;
    if (writes > WRITES_PER_TICK_MAX)
        writes = WRITES_PER_TICK_MAX;
    for (uint64_t i = 0; set > 0 && i < writes; i++)
        dirty_page(demo, header, pf_demo_mix(header->seed + header->writes) % set);
    if (input->check != 0)
        check_step(demo, header, input->check);
    header->ticks++;
    header->seal = seal_of(demo);
    written(demo, PF_DEMO_HEADER / PF_DEMO_PAGE);
}
