#include "api/request.h"
#include "api/private.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/params.h"

/* ---- the beginning, on the library's thread ---- */

static struct request *request_new(struct exchange *x, const char *method)
{
    struct arena *a = arena_new(API_ARENA);
    struct request *r = arena_alloc(a, sizeof *r);
    struct line *line = x->line;

    call_init(&r->call, x->api->svc, a, "api");
    r->x = x;
    r->method = arena_text(a, bytes_of(method));
    r->began = clock_monotonic();
    r->type = "application/json";
    buf_init(&r->out, (size_t)64 * 1024 * 1024); /* the largest answers are an entry's two texts, escaped */
    r->is_unix = line->is_unix; /* the connection may end before the fiber does: what the fiber needs is copied */
    r->uid = line->uid;
    r->call.client_loopback = line->is_unix || line->peer.loopback;
    r->call.client_tls = line->tls;
    if (!line->is_unix) {
        r->call.client_ip = arena_copy(a, bytes_of(line->peer.text));
        r->call.client_net = arena_copy(a, bytes_of(line->peer.net));
    }
    return r;
}

/* "https://host/path" (RFC 9112 3.2.2) means "/path". */
static struct bytes origin_form(struct bytes target)
{
    size_t at;

    if (target.n && target.p[0] == '/')
        return target;
    at = bytes_find(target, ':');
    if (at + 2 >= target.n || target.p[at + 1] != '/' || target.p[at + 2] != '/')
        return target;
    target = bytes_from(target, at + 3);
    return bytes_from(target, bytes_find(target, '/'));
}

/* The media type without its parameters. */
static bool type_is(const struct request *r, struct bytes type)
{
    return bytes_equal_nocase(bytes_trim(bytes_head(r->content_type, bytes_find(r->content_type, ';'))), type);
}

static bool has_body(const struct request *r)
{
    return r->chunked || r->length > 0;
}

static bool media_fits(struct request *r)
{
    unsigned flags = r->route->flags;

    if (!(flags & (ROUTE_JSON | ROUTE_STREAM)))
        return true;
    r->is_rfc822 = flags & ROUTE_STREAM && type_is(r, BYTES("message/rfc822"));
    if (r->is_rfc822 || (flags & ROUTE_JSON && type_is(r, BYTES("application/json"))))
        return true;
    if (!r->content_type.p && !has_body(r) && flags & ROUTE_JSON)
        return true; /* the missing body is then the fault */
    return err_set(&r->call.err, ERR_MEDIA, "Send %s",
                   !(flags & ROUTE_STREAM) ? "application/json"
                   : flags & ROUTE_JSON    ? "application/json or message/rfc822"
                                           : "message/rfc822");
}

static size_t body_most(const struct request *r)
{
    if (r->is_rfc822)
        return (size_t)PARAM_INT(message, size_max);
    return r->route->flags & ROUTE_JSON ? (size_t)PARAM_INT(api, request_max) : API_SMALL;
}

static bool routed(struct request *r)
{
    struct route_match m;
    enum route_result result = route_find(r->method, r->path, r->call.arena, &m);

    r->route = m.route;
    r->allow = m.allow;
    memcpy(r->parameter, m.parameters, sizeof r->parameter);
    switch (result) {
    case ROUTE_FOUND: return true;
    case ROUTE_NO_PATH: return err_set(&r->call.err, ERR_MISSING, "There is no such path");
    case ROUTE_NO_METHOD: return err_set(&r->call.err, ERR_METHOD, "This path takes %.*s", SHOW(r->allow));
    case ROUTE_MALFORMED: break;
    }
    r->malformed = true;
    return err_set(&r->call.err, ERR_BAD_JSON, "The path is not well encoded");
}

/* What can be told from the header alone. */
static bool acceptable(struct request *r)
{
    if (r->malformed)
        return err_set(&r->call.err, ERR_BAD_JSON, "The request's header is malformed or ambiguous");
    if (atomic_load(&r->x->api->stopping))
        return err_set(&r->call.err, ERR_BUSY, "The server is stopping");
    if (!routed(r))
        return false;
    if (!(r->route->flags & ROUTE_OPEN) && !r->authorization.p && !r->is_unix &&
        !(strcmp(r->route->name, "system_metrics") == 0 && PARAM_INT(api, metrics_open)))
        return err_set(&r->call.err, ERR_AUTH, "Give an API key as `Authorization: Bearer …`");
    if (!media_fits(r))
        return false;
    if (r->length > 0 && (uint64_t)r->length > body_most(r))
        return err_set(&r->call.err, ERR_TOO_LARGE, "The body may have at most %zu bytes", body_most(r));
    return true;
}

enum body_plan request_begin(struct exchange *x, const char *method)
{
    struct request *r = request_new(x, method);
    struct bytes target = origin_form(x->target);

    x->request = r;
    bytes_cut(target, '?', &r->path, &r->query_text);
    head_read(r);
    if (!acceptable(r)) {
        request_refuse(r, &r->call.err);
        return !r->malformed && !r->chunked && r->length <= (int64_t)API_SMALL ? BODY_DROP : BODY_REFUSE;
    }
    if (!(r->route->flags & (ROUTE_JSON | ROUTE_STREAM)))
        return BODY_DROP;
    if (r->is_rfc822 || r->chunked || r->length > (int64_t)API_SMALL)
        return BODY_WAIT;
    x->in_max = API_SMALL;
    buf_init(&x->in, API_SMALL);
    return BODY_COLLECT;
}

void request_free(struct request **r)
{
    struct arena *a;

    if (!*r)
        return;
    json_object_put((*r)->query);
    json_object_put((*r)->body);
    buf_clear(&(*r)->out);
    buf_clear(&(*r)->piece);
    a = (*r)->call.arena;
    arena_free(&a);
    *r = NULL;
}

/* ---- the body ---- */

struct parse {
    struct request *r;
    bool good;
};

/* On a worker thread when the body is large. */
static void parse(void *arg)
{
    struct parse *p = arg;
    struct request *r = p->r;
    struct call *c = &r->call;

    p->good = json_read(buf_bytes(&r->x->in), &r->body, &c->err);
    if (p->good)
        schema_check(c, r->route->body, r->body);
}

static bool body_parse(struct request *r)
{
    struct parse p = { r, false };

    if (!exchange_collect(r->x, &r->call.err))
        return false;
    if (r->x->in.n <= API_SMALL)
        parse(&p);
    else if (!offload(POOL_CPU, parse, &p, &r->call.err))
        return false;
    return p.good;
}

/* An Idempotency-Key needs the whole of a streamed body, to compare it. */
static bool body_read(struct request *r)
{
    if (r->is_rfc822) {
        exchange_accept(r->x, body_most(r), r->key.p ? 0 : API_STEP);
        return !r->key.p || exchange_collect(r->x, &r->call.err);
    }
    exchange_accept(r->x, body_most(r), 0);
    return !(r->route->flags & ROUTE_JSON) || body_parse(r);
}

static bool read_piece(void *ctx, struct bytes *chunk, struct err *e)
{
    struct request *r = ctx;

    if (!r->piece.max)
        buf_init(&r->piece, r->key.p ? body_most(r) : API_STEP + API_CHUNK_MOST);
    if (!exchange_piece(r->x, &r->piece, e))
        return false;
    *chunk = r->piece.n ? buf_bytes(&r->piece) : NO_BYTES;
    return true;
}

struct source body_source(struct request *r)
{
    return (struct source){ read_piece, r };
}

/* ---- checks before the operation ---- */

/* The headers that have a form of their own; what is wrong joins the faults of the body. */
static void headers_check(struct request *r)
{
    struct call *c = &r->call;
    const struct format *ascii = schema_format(FORMAT_ascii);

    if (!(r->route->flags & ROUTE_POST))
        r->key = NO_BYTES;
    if (r->key.p && (!r->key.n || r->key.n > 255 || !ascii->right(r->key, c->arena))) {
        call_fault(c, "/Idempotency-Key", "invalid_key", "1 to 255 printable ASCII characters");
        r->key = NO_BYTES;
    }
}

static bool allowed(struct request *r)
{
    const struct principal *who = r->call.who;

    if (!who) /* an open route, or metrics that are */
        return true;
    if (who->kind == WHO_USER && !(r->route->flags & ROUTE_USER))
        return err_set(&r->call.err, ERR_SCOPE,
                       "An address and password reach that user's own mail only; use an API key");
    return who->kind == WHO_USER || !r->route->scopes || call_may(&r->call, r->route->scopes);
}

static bool render_kept(void *ctx, const void *out, struct buf *answer, struct bytes *location);

static bool idempotent(struct request *r)
{
    struct call *c = &r->call;
    struct bytes body = buf_bytes(&r->x->in);

    if (!r->key.p)
        return true;
    r->idempotency = (struct idempotency){
        .key = r->key,
        .route = arena_bytesf(c->arena, "%s %.*s?%.*s", r->method, SHOW(r->path), SHOW(r->query_text)),
        .render = render_kept,
        .ctx = r,
    };
    c->idempotency = &r->idempotency;
    r->idempotency.body_hash = idempotency_hash(c, body);
    return idempotency_begin(c);
}

/* ---- answers ---- */

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

static bool render_kept(void *ctx, const void *out, struct buf *answer, struct bytes *location)
{
    struct request *r = ctx;
    struct jw w;

    if (!r->kept)
        return false;
    jw_init(&w, answer);
    r->kept->write(&w, out, &r->call);
    if (r->idempotency.status == MHD_HTTP_CREATED)
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
    if (good && status == MHD_HTTP_CREATED)
        r->location = arena_bytesf(r->call.arena, "%s%.*s", how->path, SHOW(r->parameter[0]));
    if (good)
        r->status = status;
    return good;
}

/* The answer that was kept, instead of doing it again. */
static bool answer_replay(struct request *r)
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
    if (status == MHD_HTTP_CREATED)
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
    r->status = MHD_HTTP_OK;
    return true;
}

bool answer_done(struct request *r)
{
    r->status = MHD_HTTP_NO_CONTENT;
    return true;
}

bool answer_text(struct request *r, const char *type, struct bytes text)
{
    r->status = MHD_HTTP_OK;
    r->type = type;
    r->fixed = text;
    return true;
}

bool answer_content(struct request *r, const char *type, const struct content_out *content)
{
    r->status = MHD_HTTP_OK;
    r->type = type;
    r->content = *content;
    return true;
}

static void header(struct MHD_Response *m, const char *name, const char *value)
{
    MHD_add_response_header(m, name, value);
}

static void headers_add(struct request *r, struct MHD_Response *m)
{
    char id[ID_TEXT + 1];
    struct arena *a = r->call.arena;

    id_format("req", r->call.request, id);
    header(m, "Request-Id", id);
    if (r->status != MHD_HTTP_NO_CONTENT)
        header(m, MHD_HTTP_HEADER_CONTENT_TYPE, r->type);
    header(m, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    header(m, "X-Content-Type-Options", "nosniff");
    if (r->location.p)
        header(m, MHD_HTTP_HEADER_LOCATION, arena_text(a, r->location));
    if (r->allow.p)
        header(m, MHD_HTTP_HEADER_ALLOW, arena_text(a, r->allow));
    if (r->disposition.p)
        header(m, MHD_HTTP_HEADER_CONTENT_DISPOSITION, arena_text(a, r->disposition));
    if (r->replayed)
        header(m, "Idempotency-Replayed", "true");
    if (strncmp(r->type, "text/html", 9) == 0 || r->content.content)
        header(m, "Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox");
    if (r->is_error && r->status == MHD_HTTP_UNAUTHORIZED)
        header(m, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer realm=\"postrider\"");
    if (r->is_error && (r->status == MHD_HTTP_TOO_MANY_REQUESTS || r->status == MHD_HTTP_SERVICE_UNAVAILABLE))
        header(m, MHD_HTTP_HEADER_RETRY_AFTER, r->status == MHD_HTTP_SERVICE_UNAVAILABLE ? "5" : "30");
    if (atomic_load(&r->x->api->stopping))
        header(m, MHD_HTTP_HEADER_CONNECTION, "close");
}

/* The response owns the answer's memory from here. */
static struct MHD_Response *response_make(struct request *r)
{
    struct MHD_Response *m;

    if (r->out.overflowed) {
        buf_clear(&r->out);
        buf_init(&r->out, API_SMALL);
        err_set(&r->call.err, ERR_INTERNAL, "The answer is too large");
        problem_write(r);
    }
    if (r->content.content) {
        m = exchange_stream(r->x, r->content.size);
    } else if (r->fixed.p) {
        m = MHD_create_response_from_buffer(r->fixed.n, (void *)(uintptr_t)r->fixed.p, MHD_RESPMEM_PERSISTENT);
    } else {
        m = MHD_create_response_from_buffer(r->out.n, r->out.p, MHD_RESPMEM_MUST_FREE);
        r->out = (struct buf){ .max = r->out.max };
    }
    if (!m)
        die("out of memory: a response");
    headers_add(r, m);
    return m;
}

void request_refuse(struct request *r, const struct err *e)
{
    r->call.err = *e;
    problem_write(r);
    r->x->response = response_make(r);
    r->x->status = (unsigned)r->status;
    metric_add(METRIC_api_requests_total, 1);
    log_debug("api", LOG_BYTES("id", id_text(r->call.arena, "req", r->call.request)), LOG_TEXT("method", r->method),
              LOG_BYTES("path", r->path), LOG_INT("status", r->status), LOG_TEXT("error", e->message));
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

/* Streams what answer_content promised, until it ends or the client is gone. */
static void content_send(struct request *r)
{
    struct err e = { 0 };
    struct bytes piece = NO_BYTES;
    bool good;

    while ((good = content_next(r->content.content, &piece, &e)) && piece.n)
        if (!(good = exchange_write(r->x, piece, &e)))
            break;
    if (!good && e.code != ERR_CLOSED)
        log_warn("api", LOG_BYTES("id", id_text(r->call.arena, "req", r->call.request)), LOG_TEXT("error", e.message));
    exchange_write_end(r->x, !good);
    content_close(&r->content.content);
}

/* ---- the fiber ---- */

static bool operate(struct request *r)
{
    bool good;

    if (!request_login(r) || !allowed(r))
        return false;
    headers_check(r);
    if (!body_read(r))
        return false;
    r->query = r->query_text.n ? schema_query(&r->call, r->route->query, r->query_text) : NULL;
    if (!call_check(&r->call) || !idempotent(r))
        return false;
    good = r->idempotency.replayed ? answer_replay(r) : r->route->run(r);
    if (!good && !r->replayed && r->idempotency.replayed)
        good = answer_replay(r); /* another request with this key was first */
    if (r->key.p)
        idempotency_end(&r->call);
    return good;
}

void request_run(void *arg)
{
    struct request *r = arg;
    struct exchange *x = r->x;
    struct api *api = x->api;
    struct MHD_Response *response;

    r->call.deadline =
        clock_monotonic() + PARAM_INT(api, call_deadline) + (r->is_rfc822 ? PARAM_INT(api, request_deadline) : 0);
    if (!operate(r))
        problem_write(r);
    log_request(r);
    response = response_make(r);
    exchange_answer(x, (unsigned)r->status, response);
    if (r->content.content)
        content_send(r);
    exchange_drop(x);
    api_request_ended(api);
}
