/* api/request.c - the way of one request, in the order in which it may be refused.
 *
 * First what the head alone tells: path, method, a credential at all, media type, length. Then who asks and whether
 * they may. Only then is the body read: strangers cannot make us hold megabytes. Faults of headers, body and query are
 * collected and told together. Whatever a handler makes lies behind `before`, so request_repeat can run it again
 * (api/answer.c). */
#include "api/request.h"
#include "api/private.h"
#include "base/budget.h"
#include "base/clock.h"
#include "base/params.h"
#include "service/box/reading.h"
#include "service/core/public_url.h"

/* ---- the beginning ---- */

struct request *request_new(struct exchange *x)
{
    struct arena *a = arena_new_in(&budget_api, API_ARENA);
    struct request *r = arena_alloc(a, sizeof *r);

    call_init(&r->call, x->api->svc, a, "api");
    r->x = x;
    r->method = "";
    r->began = clock_monotonic();
    r->type = "application/json";
    buf_init(&r->out, API_ANSWER);
    r->is_unix = x->line->is_unix;
    r->uid = x->line->uid;
    call_client(&r->call, x->line->stream);
    if (r->is_unix) {
        r->call.client_ip = r->call.client_net = NO_BYTES;
        r->call.client_loopback = true;
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
    return r->x->head.chunked || r->x->head.length > 0;
}

/* RFC 9110 8.4: what we do not unpack is refused, and never read as if it were not packed. */
static bool coding_fits(struct request *r)
{
    struct bytes coding = r->content_encoding;

    if (!coding.n || bytes_equal_nocase(coding, BYTES("identity")) || !has_body(r))
        return true;
    if (!bytes_equal_nocase(coding, BYTES("gzip")) && !bytes_equal_nocase(coding, BYTES("x-gzip")))
        return err_set(&r->call.err, ERR_MEDIA, "Content-Encoding may be gzip, or absent");
    r->x->unpack = unpack_new((size_t)PARAM_INT(api, unpack_ratio_max), API_UNPACK_FREE);
    return true;
}

static bool media_fits(struct request *r)
{
    unsigned flags = r->route->flags;

    if (!(flags & (ROUTE_JSON | ROUTE_STREAM)))
        return true;
    r->is_streamed = flags & ROUTE_STREAM && type_is(r, bytes_of(r->route->stream));
    r->is_form = flags & ROUTE_PARTS && type_is(r, BYTES("multipart/form-data"));
    if (r->is_streamed || r->is_form || (flags & ROUTE_JSON && type_is(r, BYTES("application/json"))))
        return true;
    if (!r->content_type.p && !has_body(r) && flags & ROUTE_JSON)
        return true; /* the missing body is then the fault */
    return err_set(&r->call.err, ERR_MEDIA, "Send %s%s%s%s", flags & ROUTE_JSON ? "application/json" : "",
                   flags & ROUTE_PARTS ? ", multipart/form-data" : "",
                   flags & ROUTE_JSON && flags & ROUTE_STREAM ? " or " : "", r->route->stream ? r->route->stream : "");
}

static size_t body_most(const struct request *r)
{
    if (r->is_streamed && type_is(r, BYTES("text/csv")))
        return (size_t)PARAM_INT(suppression, import_size);
    if (r->is_streamed && type_is(r, BYTES("application/json"))) /* a batch */
        return (size_t)PARAM_INT(batch, request_max);
    if (r->is_streamed)
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

/* May strangers ask it? */
static bool is_open(const struct route *route)
{
    return route->flags & ROUTE_OPEN || (route->flags & ROUTE_METRICS && PARAM_INT(api, metrics_open));
}

/* On the host of links in mails there is nothing else. */
static bool found_here(struct request *r)
{
    if (r->route->flags & ROUTE_PUBLIC || !public_url_is_host(r->host))
        return true;
    r->route = NULL;
    return err_set(&r->call.err, ERR_MISSING, "There is no such path");
}

/* What can be told from the header alone. */
static bool acceptable(struct request *r)
{
    if (r->malformed)
        return err_set(&r->call.err, ERR_BAD_JSON, "The request's header is malformed or ambiguous");
    if (atomic_load(&r->x->api->stopping))
        return err_set(&r->call.err, ERR_BUSY, "The server is stopping");
    if (!routed(r) || !found_here(r))
        return false;
    if (!is_open(r->route) && !r->authorization.p && !r->is_unix)
        return err_set(&r->call.err, ERR_AUTH, "Give an API key as `Authorization: Bearer …`");
    if (!media_fits(r) || !coding_fits(r))
        return false;
    r->x->in_max = body_most(r);
    if (r->x->head.length > 0 && (uint64_t)r->x->head.length > r->x->in_max)
        return err_set(&r->call.err, ERR_TOO_LARGE, "The body may have at most %zu bytes", r->x->in_max);
    return true;
}

static void head_take(struct request *r)
{
    struct bytes target = origin_form(r->x->head.target);

    r->method = arena_text(r->call.arena, r->x->head.method);
    r->call.reads = strcmp(r->method, "GET") == 0 || strcmp(r->method, "HEAD") == 0;
    bytes_cut(target, '?', &r->path, &r->query_text);
    head_read(r);
}

void request_free(struct request **r)
{
    struct arena *a;

    if (!*r)
        return;
    json_object_put((*r)->query);
    json_object_put((*r)->body);
    buf_clear(&(*r)->out);
    large_clear(*r);
    content_close(&(*r)->content.content);
    reading_end(&(*r)->call);
    buf_clear(&(*r)->place);
    follower_close(&(*r)->follower);
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

    p->good = schema_read(r->route->body, r->json, (size_t)PARAM_INT(api, json_values_max), &r->body, &c->err);
    if (p->good)
        schema_check(c, r->route->body, r->body);
}

static bool body_parse(struct request *r)
{
    struct parse p = { r, false };

    if (r->is_form ? !form_read(r) : !exchange_collect(r->x, &r->call.err))
        return false;
    if (r->is_form && !r->json.p) /* it lacks, and was told so */
        return true;
    if (!r->is_form)
        r->json = buf_bytes(&r->x->in);
    if (r->json.n <= API_SMALL)
        parse(&p);
    else if (!offload(POOL_CPU, parse, &p, &r->call.err))
        return false;
    if (!p.good && r->is_form)
        return err_set(&r->call.err, r->call.err.code, "The part message: %s",
                       arena_printf(r->call.arena, "%s", r->call.err.message));
    return p.good;
}

/* An Idempotency-Key needs the whole of a streamed body, to compare it. */
static bool body_read(struct request *r)
{
    if (r->is_streamed)
        return !r->key.p || exchange_collect(r->x, &r->call.err);
    if (r->route->flags & ROUTE_FORM)
        return exchange_collect(r->x, &r->call.err);
    if (r->route->flags & ROUTE_BODY_MAY_LACK && !has_body(r))
        return true;
    return !(r->route->flags & ROUTE_JSON) || body_parse(r);
}

static bool read_piece(void *ctx, struct bytes *chunk, struct err *e)
{
    struct request *r = ctx;

    if (!exchange_piece(r->x, chunk, e))
        return false;
    if (!chunk->n)
        *chunk = NO_BYTES;
    return true;
}

static bool read_collected(void *ctx, struct bytes *chunk, struct err *e)
{
    struct request *r = ctx;

    (void)e;
    *chunk = r->collected_read || !r->x->in.n ? NO_BYTES : buf_bytes(&r->x->in);
    r->collected_read = true;
    return true;
}

struct source body_source(struct request *r)
{
    return (struct source){ r->key.p ? read_collected : read_piece, r };
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

static bool idempotent(struct request *r)
{
    struct call *c = &r->call;
    struct bytes body = buf_bytes(&r->x->in);

    if (!r->key.p)
        return true;
    r->idempotency = (struct idempotency){
        .key = r->key,
        .route = arena_bytesf(c->arena, "%s %.*s?%.*s", r->method, SHOW(r->path), SHOW(r->query_text)),
        .render = answer_render,
        .ctx = r,
    };
    c->idempotency = &r->idempotency;
    r->idempotency.body_hash = idempotency_hash(c, body);
    return idempotency_begin(c);
}

/* ---- the fiber ---- */

static void answer_prepare(struct request *r)
{
    r->before = arena_mark(r->call.arena);
    r->operated = true;
    if (r->call.reads && !(r->route->flags & ROUTE_READS)) /* that is made of its body, which is not kept */
        large_init(r);
}

static bool operate(struct request *r)
{
    bool good;

    r->call.reads |= (r->route->flags & ROUTE_READS) != 0;
    if (!request_login(r) || !allowed(r))
        return false;
    headers_check(r);
    if (!body_read(r))
        return false;
    r->query = r->query_text.n ? schema_query(&r->call, r->route->query, r->query_text) : NULL;
    if (!call_check(&r->call) || !idempotent(r))
        return false;
    answer_prepare(r);
    good = true;
    if (r->idempotency.replayed && r->idempotency.answer.p)
        answer_replay(r);
    else
        good = r->route->run(r);
    if (r->key.p)
        idempotency_end(&r->call);
    return good;
}

bool request_repeat(struct request *r)
{
    bool good;

    r->call.deadline = clock_monotonic() + PARAM_INT(api, call_deadline);
    r->call.again = true;
    line_works(r->x->line, true);
    good = auth_current(&r->call) && r->route->run(r) && arena_check(r->call.arena, &r->call.err);
    line_works(r->x->line, false);
    return good;
}

/* A GET is made again from its query, which is small. */
void request_forget(struct request *r)
{
    reading_end(&r->call);
    exchange_forget_body(r->x);
    json_object_put(r->body);
    r->body = NULL;
    if (r->operated)
        arena_rewind(r->call.arena, r->before);
}

void request_run(struct request *r)
{
    struct api *api = r->x->api;

    atomic_fetch_add(&api->running, 1);
    head_take(r);
    if (acceptable(r)) {
        r->call.deadline =
            clock_monotonic() + PARAM_INT(api, call_deadline) + (r->is_streamed ? PARAM_INT(api, request_deadline) : 0);
        line_works(r->x->line, true);
        if (!operate(r) || !arena_check(r->call.arena, &r->call.err) || !large_check(r, &r->call.err))
            problem_write(r);
        line_works(r->x->line, false);
        request_answer(r);
    } else {
        struct err why = r->call.err;

        request_refuse(r, &why);
    }
    if (atomic_fetch_sub(&api->running, 1) == 1 && atomic_load(&api->stopping))
        signal_raise(api->ended);
}
