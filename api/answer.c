/* api/answer.c - answers, and how they get onto the connection.
 *
 * An answer is made whole before its first byte leaves, so what fails still becomes a proper error; only contents of
 * mail are streamed. What a slow reader has not taken is not kept: see large_send. Every header is written here, so
 * that none is forgotten on some path. */
#include "api/private.h"
#include "api/request.h"
#include "base/clock.h"
#include "base/crypt.h"
#include "base/log.h"
#include "base/metrics.h"
#include "service/identity/auth.h"

/* ---- for handlers ---- */

/* The first member of every table is the object's id. */
static struct bytes location_of(struct request *r, const struct members *m, const void *row)
{
    const struct member *x = m->base ? m->base->all : m->all;
    const struct id *id = (const void *)((const char *)row + x->offset);
    char text[ID_TEXT + 1];

    return arena_bytesf(r->call.arena, "%s%.*s", m->path, SHOW(id_format(x->prefix, *id, text)));
}

bool answer_render(void *ctx, const void *out, struct buf *answer, struct bytes *location)
{
    struct request *r = ctx;
    struct jw w;

    if (!r->kept)
        return false;
    jw_init(&w, answer);
    members_write(&w, r->kept, out);
    if (r->idempotency.status == HTTP_CREATED)
        *location = location_of(r, r->kept, out);
    return true;
}

void answer_kept(struct request *r, int status, const struct members *m)
{
    r->idempotency.status = status;
    r->kept = m;
}

void answer_replay(struct request *r)
{
    r->status = r->idempotency.status;
    r->location = r->idempotency.location;
    r->replayed = true;
    buf_reset(&r->out);
    buf_add(&r->out, r->idempotency.answer);
}

bool answer_object(struct request *r, int status, const struct members *m, const void *row)
{
    struct jw w;

    r->status = status; /* first: a large answer begins to leave while it is made */
    jw_init(&w, &r->out);
    members_write(&w, m, row);
    r->replayed = r->idempotency.replayed; /* the service has given what it was once more */
    if (status == HTTP_CREATED)
        r->location = location_of(r, m, row);
    return true;
}

void answer_list_begin(struct request *r, struct jw *w)
{
    r->status = HTTP_OK;
    jw_init(w, &r->out);
    jw_object(w);
    jw_key_text(w, "object", BYTES("list"));
    jw_key(w, "data");
    jw_array(w);
}

bool answer_list_end(struct jw *w, const struct page_out *page)
{
    jw_array_end(w);
    jw_key_bool(w, "has_more", page->has_more);
    jw_key_text(w, "next", page->next);
    jw_key_text(w, "previous", page->previous);
    jw_key_time(w, "searched_to", page->searched_to);
    jw_object_end(w);
    return true;
}

bool answer_list(struct request *r, const struct page_out *page, const struct members *m, const void *rows, size_t n,
                 size_t size)
{
    struct jw w;

    answer_list_begin(r, &w);
    for (size_t i = 0; i < n; i++)
        members_write(&w, m, (const char *)rows + i * size);
    return answer_list_end(&w, page);
}

bool answer_done(struct request *r)
{
    r->status = HTTP_NO_CONTENT;
    return true;
}

bool answer_text(struct request *r, const char *type, struct bytes text)
{
    r->status = HTTP_OK;
    r->type = type;
    r->fixed = text;
    return true;
}

bool answer_content(struct request *r, const char *type, const struct content_out *content)
{
    r->status = HTTP_OK;
    r->type = type;
    r->content = *content;
    return true;
}

/* ---- onto the connection ---- */

static void fields(struct request *r)
{
    struct exchange *x = r->x;
    char id[ID_TEXT + 1];

    exchange_field(x, "Request-Id", id_format("req", r->call.request, id));
    if (r->status != HTTP_NO_CONTENT)
        exchange_field(x, "Content-Type", bytes_of(r->type));
    /* Mail and keys are in these answers: no cache keeps them, and no browser runs what a sender wrote. */
    exchange_field(x, "Cache-Control", BYTES("no-store"));
    exchange_field(x, "X-Content-Type-Options", BYTES("nosniff"));
    if (r->route && r->route->flags & ROUTE_PUBLIC) { /* who has the link may do what it is for */
        exchange_field(x, "Referrer-Policy", BYTES("no-referrer"));
        exchange_field(x, "X-Robots-Tag", BYTES("noindex, nofollow"));
    }
    if (r->location.p)
        exchange_field(x, "Location", r->location);
    if (r->allow.p)
        exchange_field(x, "Allow", r->allow);
    if (r->etag.p && !r->is_error)
        exchange_field(x, "ETag", r->etag);
    if (r->disposition.p)
        exchange_field(x, "Content-Disposition", r->disposition);
    if (r->replayed)
        exchange_field(x, "Idempotency-Replayed", BYTES("true"));
    if (strncmp(r->type, "text/html", 9) == 0 || r->content.content)
        exchange_field(x, "Content-Security-Policy",
                       r->policy && !r->is_error ? bytes_of(r->policy)
                                                 : BYTES("default-src 'none'; style-src 'unsafe-inline'; sandbox"));
    if (r->is_error && r->status == HTTP_UNAUTHORIZED)
        exchange_field(x, "WWW-Authenticate", BYTES("Bearer realm=\"postrider\""));
    if (r->is_error && r->status == HTTP_UNSUPPORTED_MEDIA_TYPE)
        exchange_field(x, "Accept-Encoding", BYTES("gzip")); /* RFC 9110 12.5.3 */
    if (r->is_error && r->status == HTTP_TOO_MANY_REQUESTS)
        exchange_field(x, "Retry-After", BYTES("30"));
    if (r->is_error && r->status == HTTP_SERVICE_UNAVAILABLE)
        exchange_field(x, "Retry-After", BYTES("5"));
}

void answer_begin(struct request *r, int64_t size)
{
    exchange_answer(r->x, r->status, size);
    fields(r);
    exchange_fields_end(r->x);
}

static bool whole_send(struct request *r, struct err *e)
{
    struct bytes body = r->fixed.p ? r->fixed : buf_bytes(&r->out);

    answer_begin(r,
                 (int64_t)(body.n + (r->is_error ? 0 : r->large.made))); /* made: of a HEAD, its size alone is told */
    request_forget(r);
    return exchange_write(r->x, body, e);
}

static void send(struct request *r)
{
    struct err e = { 0 };
    bool good, goes_on = r->goes_on && !r->is_error;

    if (r->content.content && !r->large.begun) {
        answer_begin(r, r->content.size);
        r->large.begun = true;
    }
    if (goes_on)
        answer_begin(r, -1);
    good = goes_on          ? r->x->no_body || r->goes_on(r, &e)
           : r->large.begun ? r->x->no_body || large_send(r, &e)
                            : whole_send(r, &e);
    exchange_write_end(r->x, !good);
    if (!good && e.code != ERR_CLOSED && e.code != ERR_TIMEOUT)
        log_warn("api", LOG_BYTES("id", id_text(r->call.arena, "req", r->call.request)), LOG_TEXT("error", e.message));
}

static void log_request(struct request *r)
{
    bool writes = strcmp(r->method, "GET") != 0 && strcmp(r->method, "HEAD") != 0;
    enum log_level level = r->status >= 500 && r->call.err.code != ERR_CLOSED ? LOG_WARN
                           : writes                                           ? LOG_INFO
                                                                              : LOG_DEBUG;
    const struct call *c = &r->call;
    char id[ID_TEXT + 1];

    metric_add(METRIC_api_requests_total, 1);
    metric_observe(METRIC_api_request_seconds, clock_monotonic() - r->began);
    if (!log_wants(level))
        return;
    LOG_AT(level, "api", LOG_BYTES("id", id_format("req", c->request, id)), LOG_TEXT("method", r->method),
           LOG_TEXT("route", r->route->path), LOG_INT("status", r->status), LOG_INT("ms", clock_monotonic() - r->began),
           LOG_BYTES("who", c->who ? c->who->name : NO_BYTES), LOG_BYTES("client", c->client_ip),
           LOG_TEXT("error", r->is_error ? c->err.message : NULL),
           LOG_TEXT("where", r->is_error ? c->err.where : NULL));
}

void request_answer(struct request *r)
{
    if (r->out.overflowed) {
        buf_clear(&r->out);
        buf_init(&r->out, API_SMALL);
        err_set(&r->call.err, ERR_INTERNAL, "The answer is too large");
        problem_write(r);
    }
    log_request(r);
    if (r->is_error && (r->call.err.code == ERR_CLOSED || r->large.begun)) /* nobody is there, or half of an answer */
        r->x->broken = true;
    else
        send(r);
}

void request_refuse(struct request *r, const struct err *e)
{
    r->call.err = *e;
    problem_write(r);
    metric_add(METRIC_api_requests_total, 1);
    log_debug("api", LOG_BYTES("id", id_text(r->call.arena, "req", r->call.request)), LOG_TEXT("method", r->method),
              LOG_BYTES("path", r->path), LOG_INT("status", r->status), LOG_TEXT("error", e->message));
    send(r);
}
