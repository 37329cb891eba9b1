#include "api/private.h"
#include "api/request.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"

/* ---- for handlers ---- */

static struct id id_of(const struct shape *shape, const void *row)
{
    return *(const struct id *)(const void *)((const char *)row + shape->id);
}

static struct bytes location_of(struct request *r, const struct shape *shape, const void *row)
{
    char text[ID_TEXT + 1];
    struct bytes id = id_format(shape->prefix, id_of(shape, row), text);

    return arena_bytesf(r->call.arena, "%s%.*s", shape->path, SHOW(id));
}

bool answer_render(void *ctx, const void *out, struct buf *answer, struct bytes *location)
{
    struct request *r = ctx;
    struct jw w;

    if (!r->kept)
        return false;
    jw_init(&w, answer);
    r->kept->write(&w, out, &r->call);
    if (r->idempotency.status == HTTP_CREATED)
        *location = location_of(r, r->kept, out);
    return true;
}

void answer_kept(struct request *r, int status, const struct shape *shape)
{
    r->idempotency.status = status;
    r->kept = shape;
}

/* Where nothing but the object's id could be kept, the object is read again. */
static const struct reread {
    const char *name, *prefix, *path;
    unsigned scope;
    bool (*get)(struct request *r);
} rereads[] = {
    { "message_cancel", "msg", "", SCOPE_MESSAGES_READ, api_message_get },
    { "entry_append", "ent", "/v1/entries/", SCOPE_MAIL_READ, api_entry_summary },
};

/* The first answer showed the object to whoever made it, so this one does too, without the scope for reading. 404 when
 * it has gone since. */
static bool reread(struct request *r, const struct reread *how)
{
    struct principal *who = arena_alloc(r->call.arena, sizeof *who);
    int status = r->idempotency.status;
    bool good;

    *who = *r->call.who;
    who->scopes |= how->scope;
    r->call.who = who;
    r->replayed = true;
    r->idempotency.replayed = false;
    r->parameter[0] = id_text(r->call.arena, how->prefix, r->idempotency.ref);
    good = how->get(r);
    if (good && status == HTTP_CREATED)
        r->location = arena_bytesf(r->call.arena, "%s%.*s", how->path, SHOW(r->parameter[0]));
    if (good)
        r->status = status;
    return good;
}

/* The answer that was kept, instead of doing it again. */
bool answer_replay(struct request *r)
{
    r->status = r->idempotency.status;
    r->call.err = (struct err){ 0 };
    for (size_t i = 0; !r->idempotency.answer.p && i < sizeof rereads / sizeof *rereads; i++)
        if (strcmp(r->route->name, rereads[i].name) == 0)
            return reread(r, &rereads[i]);
    r->location = r->idempotency.location;
    r->replayed = true;
    buf_reset(&r->out);
    buf_add(&r->out, r->idempotency.answer);
    return true;
}

bool answer_object(struct request *r, int status, const struct shape *shape, const void *row)
{
    struct jw w;

    if (r->idempotency.replayed)
        return answer_replay(r);
    jw_init(&w, &r->out);
    shape->write(&w, row, &r->call);
    r->status = status;
    if (status == HTTP_CREATED)
        r->location = location_of(r, shape, row);
    return true;
}

bool answer_list(struct request *r, const struct page_out *page, const struct shape *shape, const void *rows, size_t n,
                 size_t size)
{
    struct jw w;

    jw_init(&w, &r->out);
    jw_object(&w);
    jw_key_text(&w, "object", BYTES("list"));
    jw_key(&w, "data");
    jw_array(&w);
    for (size_t i = 0; i < n; i++)
        shape->write(&w, (const char *)rows + i * size, &r->call);
    jw_array_end(&w);
    jw_key_bool(&w, "has_more", page->has_more);
    jw_key_text(&w, "next", page->next);
    jw_key_text(&w, "previous", page->previous);
    jw_object_end(&w);
    r->status = HTTP_OK;
    return true;
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
    exchange_field(x, "Cache-Control", BYTES("no-store"));
    exchange_field(x, "X-Content-Type-Options", BYTES("nosniff"));
    if (r->location.p)
        exchange_field(x, "Location", r->location);
    if (r->allow.p)
        exchange_field(x, "Allow", r->allow);
    if (r->disposition.p)
        exchange_field(x, "Content-Disposition", r->disposition);
    if (r->replayed)
        exchange_field(x, "Idempotency-Replayed", BYTES("true"));
    if (strncmp(r->type, "text/html", 9) == 0 || r->content.content)
        exchange_field(x, "Content-Security-Policy", BYTES("default-src 'none'; style-src 'unsafe-inline'; sandbox"));
    if (r->is_error && r->status == HTTP_UNAUTHORIZED)
        exchange_field(x, "WWW-Authenticate", BYTES("Bearer realm=\"postrider\""));
    if (r->is_error && r->status == HTTP_UNSUPPORTED_MEDIA_TYPE)
        exchange_field(x, "Accept-Encoding", BYTES("gzip")); /* RFC 9110 12.5.3 */
    if (r->is_error && r->status == HTTP_TOO_MANY_REQUESTS)
        exchange_field(x, "Retry-After", BYTES("30"));
    if (r->is_error && r->status == HTTP_SERVICE_UNAVAILABLE)
        exchange_field(x, "Retry-After", BYTES("5"));
}

/* Streams what answer_content promised, until it ends or the client is gone. */
static bool content_send(struct request *r, struct err *e)
{
    struct bytes piece = NO_BYTES;
    bool good = true;

    while (!r->x->no_body && (good = content_next(r->content.content, &piece, e)) && piece.n)
        if (!(good = exchange_write(r->x, piece, e)))
            break;
    content_close(&r->content.content);
    return good;
}

static void send(struct request *r)
{
    struct bytes body = r->fixed.p ? r->fixed : buf_bytes(&r->out);
    struct err e = { 0 };
    bool good;

    exchange_answer(r->x, r->status, r->content.content ? r->content.size : (int64_t)body.n);
    fields(r);
    exchange_fields_end(r->x);
    good = r->content.content ? content_send(r, &e) : exchange_write(r->x, body, &e);
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
    if (!r->is_error || r->call.err.code != ERR_CLOSED) /* nobody is there */
        send(r);
    else
        r->x->broken = true;
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
