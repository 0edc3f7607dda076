/*
 * What: what must not get in: changed records and handshake messages, and records that are
 * authentic but wrong. The last kind is made with the keys of the source's own memory, which
 * only a test in the same process can read.
 */
#include <string.h>
#include "../../native/helper/state.h"
#include "tests.h"

#define RECORD_ROOM 65536u

struct forged {
    struct pf_record_header header;
    uint64_t runs[4];
    uint8_t text[8 * PF_PAGE_BYTES];
};

static uint32_t hello_state(struct side *side)
{
    struct pf_hello hello;
    struct answer answer = side_do(side, PF_COMMAND_HELLO, 0, 0, 0, NULL, 0);

    memcpy(&hello, answer.output, sizeof(hello));
    return hello.state;
}

static bool all_bytes(const uint8_t *at, uint64_t bytes, uint8_t value)
{
    return at[0] == value && memcmp(at, at + 1, bytes - 1) == 0;
}

/* Every bit of a small record, every truncation: refused, RAM untouched, session alive. */
void test_tampered_records(void)
{
    static uint8_t record[RECORD_ROOM], changed[RECORD_ROOM];
    struct pair pair, other;
    struct answer answer;
    uint32_t bytes;

    pair_create(&pair, 1, 1);
    memset(pair.source->ram, 'a', pair.source->ram_bytes);
    memset(pair.destination->ram, 0x77, pair.destination->ram_bytes);
    answer = export_run(&pair, 2, 2, PF_CODEC_LZ4, 0);
    CHECK_STATUS(answer, PF_STATUS_OK);
    CHECK(answer.written < 512);
    memcpy(record, answer.output, bytes = answer.written);
    for (uint32_t bit = 0; bit < 8 * bytes; bit++) {
        memcpy(changed, record, bytes);
        changed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        answer = side_do(pair.destination, PF_COMMAND_IMPORT, 0, 0, 0, changed, bytes);
        CHECK(answer.response.status == PF_STATUS_RECORD ||
              answer.response.status == PF_STATUS_TAG ||
              answer.response.status == PF_STATUS_SESSION);
        CHECK(answer.response.status == PF_STATUS_TAG || bit < 8 * 80);
    }
    for (uint32_t short_by = 1; short_by < bytes; short_by++) {
        answer = side_do(pair.destination, PF_COMMAND_IMPORT, 0, 0, 0, record, bytes - short_by);
        CHECK_STATUS(answer, PF_STATUS_RECORD);
    }
    pair_create(&other, 1, 1);
    answer = side_do(other.destination, PF_COMMAND_IMPORT, 0, 0, 0, record, bytes);
    CHECK_STATUS(answer, PF_STATUS_SESSION);
    CHECK_EQUAL(answer.response.detail, PF_FIELD_SESSION);
    pair_destroy(&other);
    answer = side_do(pair.destination, PF_COMMAND_TOKEN_CHECK, 0, 0, 0, record, bytes);
    CHECK_STATUS(answer, PF_STATUS_RECORD);
    CHECK_EQUAL(answer.response.detail, PF_FIELD_KIND);
    CHECK(all_bytes(pair.destination->ram, pair.destination->ram_bytes, 0x77));
    CHECK_STATUS(side_do(pair.destination, PF_COMMAND_IMPORT, 0, 0, 0, record, bytes),
                 PF_STATUS_OK);
    CHECK(all_bytes(pair.destination->ram + 2 * PF_PAGE_BYTES, 2 * PF_PAGE_BYTES, 'a'));
    pair_destroy(&pair);
}

static struct answer step(struct side *side, uint64_t number, uint64_t context_bytes,
                          const void *input, uint32_t bytes)
{
    return side_do(side, PF_COMMAND_HANDSHAKE, number, context_bytes, 0, input, bytes);
}

void test_tampered_handshakes(void)
{
    struct side *source = side_create(2, 4096, PF_AES_AUTO);
    struct side *destination = side_create(1, 4096, PF_AES_AUTO);
    uint8_t secret[64] = {9}, one[96], two[128], three[64], changed[128];
    struct answer answer;

    CHECK_STATUS(side_do(source, PF_COMMAND_SECRET_SET, 0, 0, 0, secret, 31),
                 PF_STATUS_ARGUMENT);
    CHECK_STATUS(side_do(source, PF_COMMAND_SECRET_SET, 0, 0, 0, secret, 64), 0);
    CHECK_STATUS(side_do(destination, PF_COMMAND_SECRET_SET, 0, 0, 0, secret, 64), 0);
    answer = step(source, PF_HANDSHAKE_INITIATE, 0, NULL, 0);
    memcpy(one, answer.output, sizeof(one));
    memcpy(changed, one, sizeof(one));
    memset(changed + 32, 0, 32); /* a public key of small order */
    CHECK_STATUS(step(destination, PF_HANDSHAKE_RESPOND, 0, changed, 96), PF_STATUS_POINT);
    CHECK_STATUS(step(destination, PF_HANDSHAKE_RESPOND, 0, one, 95), PF_STATUS_HANDSHAKE);
    CHECK_STATUS(step(destination, PF_HANDSHAKE_CONFIRM, 0, one, 64), PF_STATUS_STATE);
    answer = step(destination, PF_HANDSHAKE_RESPOND, 0, one, 96);
    CHECK_STATUS(answer, PF_STATUS_OK);
    memcpy(two, answer.output, sizeof(two));
    for (uint32_t bit = 0; bit < 8 * sizeof(two); bit++) {
        memcpy(changed, two, sizeof(two));
        changed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        answer = step(source, PF_HANDSHAKE_FINISH, 0, changed, sizeof(two));
        CHECK(answer.response.status == PF_STATUS_HANDSHAKE ||
              answer.response.status == PF_STATUS_SECRET);
    }
    answer = step(source, PF_HANDSHAKE_FINISH, 0, two, sizeof(two));
    CHECK_STATUS(answer, PF_STATUS_OK);
    memcpy(three, answer.output, sizeof(three));
    for (uint32_t bit = 0; bit < 8 * sizeof(three); bit++) {
        memcpy(changed, three, sizeof(three));
        changed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        answer = step(destination, PF_HANDSHAKE_CONFIRM, 0, changed, sizeof(three));
        CHECK(answer.response.status == PF_STATUS_HANDSHAKE ||
              answer.response.status == PF_STATUS_SECRET);
    }
    CHECK_STATUS(step(destination, PF_HANDSHAKE_CONFIRM, 0, three, sizeof(three)), PF_STATUS_OK);
    CHECK_EQUAL(hello_state(destination), PF_STATE_DESTINATION);
    CHECK_EQUAL(hello_state(source), PF_STATE_SOURCE);

    /* Another context, or another secret: the source refuses message 2. */
    for (int other = 0; other < 2; other++) {
        side_do(source, PF_COMMAND_RESET, 0, 0, 0, NULL, 0);
        side_do(destination, PF_COMMAND_RESET, 0, 0, 0, NULL, 0);
        side_do(source, PF_COMMAND_SECRET_SET, 0, 0, 0, secret, 64);
        secret[0] ^= (uint8_t)other;
        side_do(destination, PF_COMMAND_SECRET_SET, 0, 0, 0, secret, 64);
        answer = step(source, PF_HANDSHAKE_INITIATE, 0, NULL, 0);
        changed[0] = 1;
        memcpy(changed + 1, answer.output, 96);
        answer = step(destination, PF_HANDSHAKE_RESPOND, !other, changed + other, 97 - other);
        CHECK_STATUS(answer, PF_STATUS_OK);
        answer = step(source, PF_HANDSHAKE_FINISH, 0, answer.output, 128);
        CHECK_STATUS(answer, PF_STATUS_SECRET);
        CHECK_EQUAL(hello_state(source), PF_STATE_HANDSHAKE);
    }
    side_destroy(source);
    side_destroy(destination);
}

/* Seals what the test wants with the source's key, and imports it. */
static struct answer import_forged(struct pair *pair, struct forged *forged)
{
    static uint8_t record[RECORD_ROOM];
    struct pf_device *source = pair->source->device;
    struct pf_record_header *header = &forged->header;
    const uint32_t aad = sizeof(*header) + header->list_bytes;

    memcpy(record, header, sizeof(*header));
    memcpy(record + sizeof(*header), forged->runs, header->list_bytes);
    memcpy(record + aad, forged->text, header->sealed_bytes);
    pf_gcm_seal(source->gcm, &source->session.pages_keys[0], header->counter, record, aad,
                record + aad, header->sealed_bytes, record + aad + header->sealed_bytes);
    return side_do(pair->destination, PF_COMMAND_IMPORT, 0, 0, 0, record,
                   aad + header->sealed_bytes + 16);
}

static void make_forged(struct pair *pair, struct forged *forged)
{
    memset(forged, 0, sizeof(*forged));
    forged->header = (struct pf_record_header){
        .magic = PF_RECORD_MAGIC, .version = PF_RECORD_VERSION, .kind = PF_KIND_PAGES,
        .counter = 1, .epoch = 1, .list_bytes = 16, .pages = 3, .data_pages = 2,
        .sealed_bytes = 2 * PF_PAGE_BYTES, .plain_bytes = 2 * PF_PAGE_BYTES};
    memcpy(forged->header.session, pair->source->device->session.id, 16);
    forged->runs[0] = 7 | 1ull << PF_RUN_COUNT_SHIFT;
    forged->runs[1] = 9 | PF_RUN_ZERO;
    memset(forged->text, 'f', sizeof(forged->text));
}

static void spoil(struct forged *forged, uint32_t violation)
{
    struct pf_record_header *header = &forged->header;
    const struct pf_padding padding = {2 * PF_PAGE_BYTES, PF_CODEC_NONE, {0, 1, 0}};

    switch (violation) {
    case PF_VIOLATION_EPOCH:
        header->epoch = 2;
        break;
    case PF_VIOLATION_PAGE_TWICE: /* the second record of the two */
        header->counter = 2;
        break;
    case PF_VIOLATION_BLOCK:
        forged->runs[1] = (1ull << 40) | PF_RUN_ZERO;
        break;
    case PF_VIOLATION_LIST:
        forged->runs[1] = 8 | PF_RUN_ZERO; /* overlaps */
        break;
    case PF_VIOLATION_CONTENT:
        header->flags = PF_RECORD_F_PADDED;
        header->sealed_bytes = 3 * PF_PAGE_BYTES;
        memset(forged->text + 8, 0, sizeof(forged->text) - 8);
        memcpy(forged->text, &padding, sizeof(padding));
        break;
    case PF_VIOLATION_WINDOW:
        header->counter = PF_STREAM_WINDOW + 1;
        break;
    default:
        break;
    }
}

void test_violations(void)
{
    for (uint32_t violation = 0; violation <= PF_VIOLATION_WINDOW; violation++) {
        struct pair pair;
        struct forged forged;
        struct answer answer, honest;

        pair_create(&pair, 1, 1);
        memset(pair.destination->ram, 0x77, pair.destination->ram_bytes);
        make_forged(&pair, &forged);
        if (violation == 0 || violation == PF_VIOLATION_PAGE_TWICE) {
            CHECK_STATUS(import_forged(&pair, &forged), PF_STATUS_OK);
            memset(pair.destination->ram, 0x77, pair.destination->ram_bytes);
        }
        if (violation != 0) {
            spoil(&forged, violation);
            answer = import_forged(&pair, &forged);
            CHECK_STATUS(answer, PF_STATUS_VIOLATION);
            CHECK_EQUAL(answer.response.detail, violation);
            CHECK_EQUAL(hello_state(pair.destination), PF_STATE_FAILED);
            honest = export_run(&pair, 100, 1, 0, 0);
            answer = import_record(&pair, &honest);
            CHECK_STATUS(answer, PF_STATUS_VIOLATION);
            CHECK_EQUAL(answer.response.detail, violation);
            CHECK_EQUAL(pair.destination->device->keys_present, 0);
        }
        CHECK(all_bytes(pair.destination->ram, pair.destination->ram_bytes, 0x77));
        pair_destroy(&pair);
    }
}

static struct answer make_token(struct pair *pair, bool start)
{
    const struct pf_request request = {.command = PF_COMMAND_TOKEN_MAKE,
                                       .flags = start ? PF_TOKEN_F_START : 0,
                                       .arg = {pair->source->device->epoch}};
    struct answer answer = side_run(pair->source, 0, &request, NULL, 0, 4096);

    CHECK_STATUS(answer, PF_STATUS_OK);
    return answer;
}

static struct answer check_token(struct pair *pair, const struct answer *token)
{
    return side_do(pair->destination, PF_COMMAND_TOKEN_CHECK, 0, 0, 0, token->output,
                   token->written);
}

/* The source's own memory is changed to make it seal what it never would. */
void test_token_violations(void)
{
    struct pair pair;
    struct answer answer, token;

    pair_create(&pair, 1, 1); /* a start token although most pages never came */
    answer = export_run(&pair, 0, 100, 0, 0);
    CHECK_STATUS(import_record(&pair, &answer), PF_STATUS_OK);
    memset(pair.source->device->ever, 0xff, pair.source->ram_bytes / PF_PAGE_BYTES / 8);
    token = make_token(&pair, true);
    answer = check_token(&pair, &token);
    CHECK_STATUS(answer, PF_STATUS_VIOLATION);
    CHECK_EQUAL(answer.response.detail, PF_VIOLATION_INCOMPLETE);
    CHECK_EQUAL(answer.response.value[0], 100);
    pair_destroy(&pair);

    pair_create(&pair, 1, 1); /* fewer records counted than came */
    answer = export_run(&pair, 0, 100, 0, 0);
    CHECK_STATUS(import_record(&pair, &answer), PF_STATUS_OK);
    pair.source->device->session.sealed[0].counter = 0;
    token = make_token(&pair, false);
    answer = check_token(&pair, &token);
    CHECK_STATUS(answer, PF_STATUS_VIOLATION);
    CHECK_EQUAL(answer.response.detail, PF_VIOLATION_TOKEN);
    pair_destroy(&pair);

    pair_create(&pair, 1, 1); /* a page after the start token */
    transfer(&pair, PF_CODEC_NONE, 0);
    end_epoch(&pair, true);
    pair.source->device->state = PF_STATE_SOURCE;
    answer = export_run(&pair, 0, 1, 0, 0);
    CHECK_STATUS(answer, PF_STATUS_OK);
    answer = import_record(&pair, &answer);
    CHECK_STATUS(answer, PF_STATUS_VIOLATION);
    CHECK_EQUAL(answer.response.detail, PF_VIOLATION_AFTER_START);
    pair_destroy(&pair);
}
