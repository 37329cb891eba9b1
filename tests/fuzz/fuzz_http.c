/* The readers of request heads, bodies and gzip: they survive anything, and how the octets arrive makes no difference.
 * The first octet chooses: 1 a chunked body, 2 gzip, 3 a body of parts, else a whole connection's requests. */
#include "http/body.h"
#include "http/multipart.h"
#include "http/unpack.h"
#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct http_limits limits = {
    .head_max = 4096, .fields_max = 50, .extension_max = 256, .trailer_max = 256
};

static enum http_result head_in_steps(struct bytes in, size_t step, struct http_scan *scan)
{
    enum http_result result = HTTP_MORE;

    *scan = (struct http_scan){ 0 };
    for (size_t n = 0; result == HTTP_MORE && n < in.n; n += step)
        result = http_head_scan(scan, bytes_head(in, n + step), &limits);
    assert(result == HTTP_MORE || result == HTTP_WHOLE || scan->why);
    return result;
}

/* How many octets it took; 0 when nothing behind it may be read. */
static size_t body_in_steps(struct bytes in, size_t step, const struct http_head *head, enum http_result *result)
{
    struct http_body b;
    size_t at = 0, have = step;

    http_body_init(&b, head);
    for (;;) {
        struct bytes data;
        size_t used;

        *result = http_body_next(&b, bytes_from(bytes_head(in, have), at), &used, &data, &limits);
        at += used;
        assert(at <= in.n);
        if (*result != HTTP_MORE)
            return *result == HTTP_WHOLE ? at : 0;
        if (!used && have >= in.n)
            return 0;
        have += used ? 0 : step;
    }
}

static size_t body(struct bytes in, const struct http_head *head)
{
    enum http_result whole, single;
    size_t n = body_in_steps(in, in.n + 1, head, &whole);

    assert(body_in_steps(in, 1, head, &single) == n && whole == single);
    return n;
}

static void requests(struct bytes in)
{
    while (in.n) {
        struct http_scan whole, single;
        enum http_result result = head_in_steps(in, in.n, &whole);
        struct arena *a = arena_new(1 << 20);
        struct http_head head;
        const char *why = NULL;

        assert(head_in_steps(in, 1, &single) == result && (result != HTTP_WHOLE || single.at == whole.at));
        if (result == HTTP_WHOLE)
            result = http_head_parse(bytes_head(in, whole.at), a, &head, &why);
        if (result == HTTP_WHOLE) {
            for (size_t i = 0; i < head.n; i++)
                assert(http_is_token(head.fields[i].name) && !bytes_has_ctl_line(head.fields[i].value));
            assert(!head.chunked || head.length < 0);
            in = bytes_from(in, whole.at);
            in = bytes_from(in, body(in, &head));
        }
        arena_free(&a);
        if (result != HTTP_WHOLE)
            return;
    }
}

static void gzip(struct bytes in)
{
    struct unpack *u = unpack_new(100, 1 << 16);
    struct bytes piece;
    struct err e = { 0 };
    size_t total = 0;

    while (unpack_next(u, &in, &piece, &e) && piece.n)
        total += piece.n;
    assert(total <= (1 << 16) + 100 * 65536);
    unpack_free(&u);
}

/* What was told of a body of parts: how often, and how many octets of them. */
struct told {
    size_t events[MULTIPART_BAD + 1], octets[MULTIPART_BAD + 1];
};

static struct told parts_in_steps(struct bytes in, size_t step)
{
    struct multipart m;
    struct told told = { .octets = { 0 } };
    size_t at = 0, have = 0, used;
    enum multipart_event event;

    assert(multipart_init(&m, BYTES("b"), 256));
    do {
        struct bytes out;

        event = multipart_next(&m, bytes_from(bytes_head(in, have), at), &used, &out);
        told.events[event] += event != MULTIPART_DATA && event != MULTIPART_MORE;
        told.octets[event] += out.n;
        at += used;
        assert(at <= in.n && (event != MULTIPART_BAD || m.why));
        if (event == MULTIPART_MORE)
            have += have < in.n ? step : 1;
    } while (event != MULTIPART_BAD && have <= in.n);
    return told;
}

static void parts(struct bytes in)
{
    struct told whole = parts_in_steps(in, in.n ? in.n : 1), single = parts_in_steps(in, 1);

    assert(memcmp(&whole, &single, sizeof whole) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct http_head chunked = { .length = -1, .chunked = true };
    struct bytes in = { (const char *)data + 1, size - 1 };

    if (!size || size > 65536)
        return 0;
    if (data[0] == 1)
        body(in, &chunked);
    else if (data[0] == 2)
        gzip(in);
    else if (data[0] == 3)
        parts(in);
    else
        requests(in);
    return 0;
}
