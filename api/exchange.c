/* api/exchange.c - request and answer on a connection's stream.
 *
 * Where a request was not read to its end nobody knows where the next one begins, and bytes taken for a request that
 * are none are how requests are smuggled. So `lost` and `broken` end the connection. Whether it is kept is decided when
 * the answer begins, since the header has to say so; a small rest of a body is read over for that. */
#include "api/exchange.h"
#include "api/private.h"
#include "api/request.h"
#include "base/budget.h"
#include "base/clock.h"
#include "base/params.h"
#include <time.h>

struct http_limits exchange_limits(void)
{
    return (struct http_limits){
        .head_max = (size_t)PARAM_INT(api, head_max),
        .fields_max = (size_t)PARAM_INT(api, fields_max),
        .extension_max = (size_t)PARAM_INT(api, chunk_extension_max),
        .trailer_max = (size_t)PARAM_INT(api, trailer_max),
    };
}

void exchange_begin(struct exchange *x)
{
    http_body_init(&x->body, &x->head);
    x->continued = !x->head.expects || http_body_ended(&x->body);
    x->line->reading = !http_body_ended(&x->body);
}

void exchange_clear(struct exchange *x)
{
    bool large = x->in_total > API_TRIM || (x->request && x->request->large.made > API_TRIM);

    request_free(&x->request);
    exchange_forget_body(x);
    unpack_free(&x->unpack);
    if (large) /* when all of it is free: the trim may come at once */
        atomic_store(&x->api->trim, true);
}

/* ---- the body ---- */

static bool malformed(struct exchange *x, enum http_result result, struct err *e)
{
    x->lost = true;
    if (result == HTTP_LARGE)
        return err_set(e, ERR_HEADERS_TOO_LARGE, "%s", x->body.why);
    x->request->malformed = true;
    return err_set(e, ERR_BAD_JSON, "%s", x->body.why);
}

static bool more(struct exchange *x, struct err *e)
{
    struct err why = { 0 };

    if (!x->continued && !stream_write(x->line->stream, BYTES("HTTP/1.1 100 Continue\r\n\r\n"), &why))
        x->lost = true;
    x->continued = true;
    if (!x->lost && stream_fill(x->line->stream, &why))
        return true;
    x->lost = true;
    return why.code == ERR_TIMEOUT ? err_set(e, ERR_TIMEOUT, "The request was not complete in time")
                                   : err_set(e, ERR_CLOSED, "The client went away");
}

/* With the framing taken off. */
static bool framed_piece(struct exchange *x, struct bytes *piece, struct err *e)
{
    const struct http_limits limits = exchange_limits();
    struct stream *s = x->line->stream;

    for (;;) {
        size_t used;
        enum http_result result = http_body_next(&x->body, stream_peek(s), &used, piece, &limits);

        stream_skip(s, used);
        x->line->reading = !http_body_ended(&x->body);
        if (used)
            x->continued = true; /* who sends already waits for no 100 */
        if (result == HTTP_BAD || result == HTTP_LARGE)
            return malformed(x, result, e);
        if (piece->n || result == HTTP_WHOLE)
            return true;
        if (!used && !more(x, e))
            return false;
    }
}

static bool unpacked_piece(struct exchange *x, struct bytes *piece, struct err *e)
{
    for (;;) {
        if (!unpack_next(x->unpack, &x->packed, piece, e))
            return false;
        if (piece->n)
            return true;
        if (!framed_piece(x, &x->packed, e))
            return false;
        if (!x->packed.n)
            return unpack_end(x->unpack, e);
    }
}

bool exchange_piece(struct exchange *x, struct bytes *piece, struct err *e)
{
    if (x->lost)
        return err_set(e, ERR_CLOSED, "The client went away");
    if (!(x->unpack ? unpacked_piece : framed_piece)(x, piece, e))
        return false;
    x->in_total += piece->n;
    return x->in_total <= x->in_max || err_set(e, ERR_TOO_LARGE, "The body is larger than %zu bytes", x->in_max);
}

/* Counts against the memory of all bodies together. */
static bool memory_take(struct exchange *x, size_t n)
{
    struct api *api = x->api;

    if (atomic_fetch_add(&api->body_memory, (int64_t)n) + (int64_t)n > PARAM_INT(api, body_memory)) {
        atomic_fetch_sub(&api->body_memory, (int64_t)n);
        return false;
    }
    if (!budget_take(&budget_api, n)) {
        atomic_fetch_sub(&api->body_memory, (int64_t)n);
        return false;
    }
    x->counted += n;
    return true;
}

bool exchange_keep(struct exchange *x, struct bytes piece, struct err *e)
{
    if (!memory_take(x, piece.n))
        return err_set(e, ERR_BUSY, "Too many large requests at once; try again later");
    buf_add(&x->in, piece);
    return true;
}

bool exchange_collect(struct exchange *x, struct err *e)
{
    struct bytes piece;

    buf_init(&x->in, x->in_max);
    for (;;) {
        if (!exchange_piece(x, &piece, e))
            return false;
        if (!piece.n)
            return true;
        if (!exchange_keep(x, piece, e))
            return false;
    }
}

void exchange_forget_body(struct exchange *x)
{
    buf_clear(&x->in);
    atomic_fetch_sub(&x->api->body_memory, (int64_t)x->counted);
    budget_give(&budget_api, x->counted);
    x->counted = 0;
}

/* ---- the answer ---- */

static void put(struct exchange *x, struct bytes text)
{
    struct err ignored = { 0 };

    if (!stream_write(x->line->stream, text, &ignored))
        x->broken = true;
}

static void put_text(struct exchange *x, const char *text)
{
    put(x, bytes_of(text));
}

/* RFC 9110 6.6.1; made once a second on each thread. */
static struct bytes date(void)
{
    static _Thread_local time_t made;
    static _Thread_local char text[32];
    time_t now = time(NULL);
    struct tm tm;

    if (now != made && gmtime_r(&now, &tm) && strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &tm))
        made = now;
    return bytes_of(text);
}

/* What is left of the body can be read over: it is little, and the client sends it. */
static bool rest_is_small(const struct exchange *x)
{
    return !x->lost &&
           (http_body_ended(&x->body) || (x->continued && !x->head.chunked && x->body.left <= (uint64_t)API_SMALL));
}

void exchange_answer(struct exchange *x, int status, int64_t size)
{
    char text[64];

    stream_deadline(x->line->stream, clock_monotonic() + PARAM_INT(api, answer_deadline));
    x->out_left = size;
    x->no_body = status == HTTP_NO_CONTENT || bytes_equal(x->head.method, BYTES("HEAD"));
    x->chunked = size < 0 && x->head.minor > 0;
    x->keep = x->head.keeps && rest_is_small(x) && !atomic_load(&x->api->stopping) && (size >= 0 || x->chunked);
    snprintf(text, sizeof text, "HTTP/1.1 %d %s\r\n", status, http_reason(status));
    put_text(x, text);
    exchange_field(x, "Date", date());
    if (!x->keep)
        exchange_field(x, "Connection", BYTES("close"));
    else if (!x->head.minor)
        exchange_field(x, "Connection", BYTES("keep-alive"));
    snprintf(text, sizeof text, "%lld", (long long)size);
    if (x->chunked)
        exchange_field(x, "Transfer-Encoding", BYTES("chunked"));
    else if (size >= 0 && status != HTTP_NO_CONTENT)
        exchange_field(x, "Content-Length", bytes_of(text));
}

void exchange_field(struct exchange *x, const char *name, struct bytes value)
{
    /* A line break in it would begin a field of somebody else's (response splitting): the field is left out. */
    if (bytes_has_ctl_line(value))
        return;
    put_text(x, name);
    put(x, BYTES(": "));
    put(x, value);
    put(x, BYTES("\r\n"));
}

void exchange_fields_end(struct exchange *x)
{
    put(x, BYTES("\r\n"));
}

static bool chunk_begin(struct exchange *x, size_t n, struct err *e)
{
    char size[24];

    snprintf(size, sizeof size, "%zx\r\n", n);
    return !x->chunked || stream_write(x->line->stream, bytes_of(size), e);
}

static bool chunk_end(struct exchange *x, struct err *e)
{
    return !x->chunked || stream_write(x->line->stream, BYTES("\r\n"), e);
}

/* stream_offer, again and again until then. */
static bool offer(struct stream *s, struct bytes piece, int64_t until, size_t *taken, struct err *e)
{
    for (*taken = 0;;) {
        struct err late = { 0 };
        size_t n;

        if (!stream_offer(s, bytes_from(piece, *taken), &n, e))
            return false;
        *taken += n;
        if (*taken == piece.n || !until)
            return true;
        if (!stream_await_room(s, until, &late))
            return late.code == ERR_TIMEOUT || err_set(e, late.code, "%s", late.message);
    }
}

bool exchange_offer_more(struct exchange *x, struct bytes rest, int64_t until, size_t *taken, struct err *e)
{
    bool good = offer(x->line->stream, rest, until, taken, e) && (*taken < rest.n || chunk_end(x, e));

    x->out_left -= (int64_t)*taken;
    x->broken = x->broken || !good;
    return good;
}

bool exchange_offer(struct exchange *x, struct bytes piece, size_t *taken, struct err *e)
{
    if (chunk_begin(x, piece.n, e))
        return exchange_offer_more(x, piece, 0, taken, e);
    x->broken = true;
    return false;
}

bool exchange_offer_rest(struct exchange *x, struct bytes rest, struct err *e)
{
    bool good = stream_write(x->line->stream, rest, e) && chunk_end(x, e) && stream_flush(x->line->stream, e);

    x->out_left -= (int64_t)rest.n;
    x->broken = x->broken || !good;
    return good;
}

bool exchange_write(struct exchange *x, struct bytes piece, struct err *e)
{
    bool good;

    if (x->no_body || !piece.n)
        return true;
    if (!x->chunked && x->out_left >= 0) {
        if ((uint64_t)x->out_left < piece.n)
            return err_set(e, ERR_INTERNAL, "An answer is longer than was said");
        x->out_left -= (int64_t)piece.n;
    }
    good = chunk_begin(x, piece.n, e) && stream_write(x->line->stream, piece, e) && chunk_end(x, e);
    x->broken = x->broken || !good;
    return good;
}

void exchange_write_end(struct exchange *x, bool failed)
{
    if (failed || (!x->no_body && !x->chunked && x->out_left > 0))
        x->broken = true;
    else if (x->chunked && !x->no_body)
        put(x, BYTES("0\r\n\r\n"));
}

bool exchange_settle(struct exchange *x)
{
    struct err ignored = { 0 };
    struct bytes piece;

    if (!x->keep || x->broken)
        return false;
    do
        if (!framed_piece(x, &piece, &ignored))
            return false;
    while (piece.n);
    return true;
}
