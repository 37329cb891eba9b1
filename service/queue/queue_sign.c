/* service/queue/queue_sign.c - signs what leaves as it leaves: see queue_sign.h.
 *
 * Who signs is in the signatures that are to be replaced (d=); where there are none yet, it is the author's domain. The
 * header is held, and one job of a cpu worker does the rest once the body has gone by. */
#include "service/queue/queue_sign.h"
#include "base/clock.h"
#include "base/params.h"
#include "net/fiber.h"
#include "service/body/seal.h"
#include "service/core/state.h"
#include "service/identity/directory.h"
#include "service/identity/dkim_signer.h"

#define LINES_MAX ((size_t)64 * 1024)
#define SIGNATURE "DKIM-Signature"

bool queue_is_signed(const struct message_row *m)
{
    return m->to_sign || header_count(m->trace, SIGNATURE) > 0;
}

/* The trace without signatures: what else we add, and they cover. */
static struct bytes bare(struct arena *a, struct bytes trace)
{
    char *text = arena_alloc(a, trace.n ? trace.n : 1);
    struct header field;
    size_t n = 0;

    while (header_next(&trace, &field))
        if (!bytes_equal_nocase(field.name, BYTES(SIGNATURE))) {
            memcpy(text + n, field.whole.p, field.whole.n);
            n += field.whole.n;
        }
    return (struct bytes){ text, n };
}

bool queue_open_bare(struct service *svc, struct arena *a, const struct work *w, struct content_out *out, struct err *e)
{
    struct message_row message = *w->message;
    struct work without = *w;

    message.trace = bare(a, message.trace);
    without.message = &message;
    return queue_open(svc, a, &without, out, e);
}

struct queue_signing {
    struct buf head;
    struct header_scan scan;
    bool head_done;
    struct dkim_body body;
    uint8_t hash[DKIM_HASH];
    /* of the job */
    struct dkim_signing by;
    struct buf *out;
    struct err err;
    bool ok;
};

void queue_sign_begin(struct queue_signing **out)
{
    struct queue_signing *s = calloc(1, sizeof *s);

    if (!s)
        die("out of memory");
    buf_init(&s->head, (size_t)PARAM_INT(message, header_max) + LINES_MAX);
    dkim_body_begin(&s->body);
    *out = s;
}

void queue_sign_drop(struct queue_signing **s)
{
    if (!*s)
        return;
    dkim_body_drop(&(*s)->body);
    buf_clear(&(*s)->head);
    free(*s);
    *s = NULL;
}

bool queue_sign_feed(struct queue_signing *s, struct bytes piece, struct err *e)
{
    size_t end;

    if (s->head_done) {
        dkim_body_feed(&s->body, piece);
        return true;
    }
    buf_add(&s->head, piece);
    if (s->head.overflowed)
        return err_set(e, ERR_HEADERS_TOO_LARGE, "The header is too large to be signed");
    s->head_done = header_whole(&s->scan, buf_bytes(&s->head), &end);
    if (s->head_done) {
        dkim_body_feed(&s->body, bytes_from(buf_bytes(&s->head), end));
        s->head.n = end;
    }
    return true;
}

/* id, account and name of the domain that signs. */
static bool find_domain(struct call *c, const struct message_row *m, struct domain_row *out)
{
    struct directory_domain domain;
    struct bytes tags, tag, key, value;
    struct header field;

    if (!header_find(m->trace, SIGNATURE, 0, &field))
        return store_get(c->store, &domain_kind, m->domain_id, c->arena, out, &c->err);
    for (tags = field.value; tags.n;) {
        bytes_cut(tags, ';', &tag, &tags);
        if (!bytes_cut(tag, '=', &key, &value) || !bytes_equal(bytes_trim(key), BYTES("d")))
            continue;
        if (!directory_domain(c, bytes_trim(value), &domain))
            return false;
        *out = (struct domain_row){ .id = domain.id, .account_id = domain.account_id, .name = domain.name };
        return true;
    }
    return err_set(&c->err, ERR_MISSING, "A signature names no domain");
}

static void sign_work(void *arg)
{
    struct queue_signing *s = arg;

    s->ok = dkim_sign(&s->by, buf_bytes(&s->head), s->hash, s->out, &s->err);
}

static bool sign(struct queue_signing *s, struct call *c, const struct domain_row *domain, struct bytes *lines)
{
    struct dkim_signer *signer;
    struct buf out;
    bool ok;

    if (!dkim_signer_get(c, domain, &signer))
        return false;
    buf_init(&out, LINES_MAX);
    s->out = &out;
    s->by = (struct dkim_signing){ .domain = domain->name, .now = clock_wall() };
    s->by.by = dkim_signer_by(signer, &s->by.n_by);
    dkim_body_end(&s->body, s->hash);
    ok = offload(POOL_CPU, sign_work, s, &c->err);
    if (ok && !s->ok) {
        c->err = s->err;
        ok = false;
    }
    if (ok)
        *lines = arena_copy(c->arena, buf_bytes(&out));
    buf_clear(&out);
    dkim_signer_put(&signer);
    return ok;
}

bool queue_sign_end(struct queue_signing **s, struct service *svc, struct arena *a, const struct work *w,
                    struct bytes *lines, struct err *e)
{
    struct domain_row domain;
    struct call c;
    bool ok, without;

    call_init(&c, svc, a, "delivery");
    ok = find_domain(&c, w->message, &domain);
    without = !ok && c.err.code == ERR_MISSING; /* nobody is left who could sign */
    ok = ok && sign(*s, &c, &domain, lines);
    queue_sign_drop(s);
    without =
        without || (!ok && c.err.code == ERR_UNSIGNED && bytes_equal(PARAM_TEXT(dkim, on_failure), BYTES("unsigned")));
    if (without) {
        *lines = BYTES("");
        return true;
    }
    if (!ok)
        *e = c.err;
    return ok;
}
