/* cli/mail_case.c - one case of `postrider mail`: its members, its answers of the DNS, its answer.
 *
 * A zone that a case brings stands before the one of --zone. The DNS is begun when the first question is asked. What a
 * verb has written is dropped when it fails, and the error stands in its place. */
#include "base/clock.h"
#include "base/crypt.h"
#include "cli/mail.h"
#include "net/fiber.h"
#include "service/core/lookup.h"
#include <json-c/json.h>

enum { ROUNDS_MAX = 200, ASK_MS = 20000 };

/* ---- what verbs read ---- */

static struct json_object *member_of(const struct mail_case *c, const char *member)
{
    return c->in ? json_member(c->in, member) : NULL;
}

struct bytes mail_text(const struct mail_case *c, const char *member)
{
    struct json_object *o = member_of(c, member);

    if (!o)
        return NO_BYTES;
    if (json_object_is_type(o, json_type_string))
        return json_text(c->in, member);
    return bytes_of(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
}

bool mail_flag(const struct mail_case *c, const char *member)
{
    return json_object_get_boolean(member_of(c, member));
}

int64_t mail_number(const struct mail_case *c, const char *member, int64_t other)
{
    struct json_object *o = member_of(c, member);

    return o ? json_object_get_int64(o) : other;
}

struct bytes *mail_texts(const struct mail_case *c, const char *member, size_t *n)
{
    struct json_object *o = member_of(c, member);
    struct bytes *one;

    if (!o || json_object_is_type(o, json_type_array))
        return json_texts(c->a, o, n);
    one = arena_alloc(c->a, sizeof *one);
    *one = mail_text(c, member);
    *n = 1;
    return one;
}

void mail_write_texts(struct mail_case *c, const char *name, const struct bytes *list, size_t n)
{
    jw_key(c->out, name);
    jw_array(c->out);
    for (size_t i = 0; i < n; i++)
        jw_text(c->out, list[i]);
    jw_array_end(c->out);
}

struct bytes mail_lines(struct arena *a, struct bytes text)
{
    size_t lines = 0, n = 0;
    char *out;

    for (size_t i = 0; i < text.n; i++)
        lines += text.p[i] == '\n';
    if (!lines || memmem(text.p, text.n, "\r\n", 2))
        return text;
    out = arena_array(a, text.n + lines, 1);
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '\n')
            out[n++] = '\r';
        out[n++] = text.p[i];
    }
    return (struct bytes){ out, n };
}

/* ---- the DNS ---- */

static bool dns_ready(struct err *e)
{
    const struct net_options net = { .loops = 1, .store_workers = 1, .cpu_workers = 1, .fibers_max = 100 };
    static bool ready;

    if (!ready)
        ready = net_start(&net, e) && dns_start(e);
    return ready;
}

static bool answer(struct mail_case *c, struct lookup *q)
{
    if (c->zone) {
        mail_zone_answer(c->zone, c->a, q);
        return true;
    }
    if (!dns_ready(&c->err))
        return false;
    lookup_ask(c->a, clock_monotonic() + ASK_MS, q);
    return true;
}

bool mail_ask(struct mail_case *c, struct lookups *l, void (*judge)(void *arg), void *arg)
{
    size_t asked = 0;

    for (int i = 0; i < ROUNDS_MAX; i++) {
        judge(arg);
        if (asked == l->n)
            return true;
        for (; asked < l->n; asked++)
            if (!answer(c, &l->list[asked]))
                return false;
    }
    return err_set(&c->err, ERR_INTERNAL, "It asks on and on");
}

/* ---- one case ---- */

bool mail_now(struct bytes text, int64_t *now, struct err *e)
{
    int64_t seconds;

    if (bytes_to_int(text, &seconds) && seconds >= 0 && seconds < INT64_MAX / 1000) {
        *now = seconds * 1000;
        return true;
    }
    return clock_parse_rfc3339(text, now) ||
           err_set(e, ERR_INVALID, "\"%.*s\" is no time: RFC 3339, or seconds since 1970", SHOW(text));
}

/* The main member, as text or as base64 of it (NAME_base64), for bytes that JSON cannot hold. */
static bool take_value(struct mail_case *c, const struct mail_verb *verb)
{
    char name[64];
    struct bytes coded;
    struct buf out;
    bool ok;

    if (!c->value.p)
        c->value = mail_text(c, verb->member);
    snprintf(name, sizeof name, "%s_base64", verb->member);
    coded = mail_text(c, name);
    if (!c->value.p && coded.p) {
        buf_init(&out, coded.n + 1);
        ok = crypt_from_base64(coded, CRYPT_BASE64_LINES, &out);
        c->value = arena_copy(c->a, buf_bytes(&out));
        buf_clear(&out);
        if (!ok)
            return err_set(&c->err, ERR_INVALID, "%s is not base64", name);
    }
    if (!c->value.p)
        c->value = BYTES("");
    if (verb->message)
        c->value = mail_lines(c->a, c->value);
    return true;
}

static bool prepare(const struct mail_verb *verb, struct json_object *zone, struct mail_case *c)
{
    struct json_object *own = member_of(c, "zone");
    struct bytes now = mail_text(c, "now");

    if (now.p && !mail_now(now, &c->now, &c->err))
        return false;
    zone = own ? own : zone;
    return (!zone || mail_zone_read(zone, c->a, &c->zone, &c->err)) && take_value(c, verb);
}

void mail_write_error(struct jw *w, const struct err *e)
{
    jw_key(w, "error");
    jw_object(w);
    jw_key_text(w, "code", bytes_of(err_row(e->code)->api));
    jw_key_text(w, "message", bytes_of(e->message));
    jw_object_end(w);
}

static void begin_answer(struct jw *w, struct buf *out, struct json_object *id)
{
    jw_init(w, out);
    jw_object(w);
    if (id) {
        jw_key(w, "id");
        jw_tree(w, id);
    }
}

bool mail_case_run(const struct mail_verb *verb, struct json_object *zone, struct mail_case *c, struct buf *out)
{
    struct json_object *id = member_of(c, "id");
    struct buf made;
    struct jw w, inner;
    bool ok;

    buf_init(&made, MAIL_OUTPUT_MAX);
    begin_answer(&inner, &made, id);
    c->out = &inner;
    ok = prepare(verb, zone, c) && verb->run(c) && arena_check(c->a, &c->err);
    if (ok)
        jw_object_end(&inner);
    if (ok && made.overflowed)
        ok = err_set(&c->err, ERR_TOO_LARGE, "The answer is too large");
    if (ok) {
        buf_add(out, buf_bytes(&made));
    } else {
        begin_answer(&w, out, id);
        mail_write_error(&w, &c->err);
        jw_object_end(&w);
    }
    buf_clear(&made);
    return ok;
}
