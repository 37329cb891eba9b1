/* Reports: any mail read as one, any text as words of another server and as rules; a report that we write about it is a
 * report again, for the same recipient. */
#include "base/params.h"
#include "mail/bounce.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct mime_limits limits = { .depth = 10,
                                           .parts = 50,
                                           .part_header = 4096,
                                           .top_header = 16384,
                                           .fields = { .header_value = 65536, .html = 1 << 20 } };
static struct classifier *classifier;

static void read_it(struct bytes message, struct arena *a, struct bounce *b)
{
    struct bounce_reading how = {
        .limits = &limits, .classifier = classifier, .recipients_max = 20, .text_max = 65536
    };

    bounce_read(&how, message, a, b);
    assert(b->n <= 20);
    for (size_t i = 0; i < b->n; i++)
        assert(b->recipients[i].meaning.why < WHYS && b->recipients[i].action < DSN_ACTIONS);
    assert(b->kind != BOUNCE_REPORT || b->n);
}

static void write_it(struct bytes text, struct arena *a)
{
    struct dsn_recipient one = { .address = BYTES("bo@example.net"),
                                 .original = text,
                                 .status = BYTES("5.1.1"),
                                 .remote_mta = text,
                                 .reply = text,
                                 .reason = text };
    struct dsn d = { .host = BYTES("mx.example.org"),
                     .to = BYTES("ana@example.org"),
                     .message_id = BYTES("<r@x>"),
                     .envelope_id = text,
                     .header = text,
                     .whole = text,
                     .date = 1,
                     .recipients = &one,
                     .n = 1 };
    struct bounce b;
    struct buf out;
    struct err e = { 0 };

    buf_init(&out, 8 << 20);
    if (dsn_write(&d, a, &out, &e)) {
        read_it(buf_bytes(&out), a, &b);
        assert(b.kind == BOUNCE_REPORT && b.n == 1 && bytes_equal(b.recipients[0].final, one.address));
    }
    buf_clear(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    struct bytes text = { size ? (const char *)data : "", size };
    struct arena *a = arena_new(64 << 20);
    struct classifier *own = NULL;
    struct bounce b;
    struct err e = { 0 };

    if (!ready) {
        params_init();
        assert(classifier_new(NO_BYTES, &classifier, &e));
    }
    ready = true;
    read_it(text, a, &b);
    write_it(text, a);
    if (classifier_new(text, &own, &e))
        classify(own, &(struct refusal){ .code = 550, .text = text });
    classifier_free(&own);
    arena_free(&a);
    return 0;
}
