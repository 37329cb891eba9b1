/* service/queue/own_rules.c - one set of rules is the present one; a set that was replaced goes with its last user. Who
 * uses one holds it by a count under one mutex, for there are few who take one, and seldom: for a plan, or a report. */
#include "service/queue/own_rules.h"
#include "base/log.h"
#include "base/params.h"
#include "service/core/state.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>

#define FILE_MOST ((size_t)1024 * 1024)

struct own_rules {
    pthread_mutex_t mutex;
    struct rule_set *now;
    _Atomic uint64_t version;
};

static struct rule_set *set_new(struct own_rules *o, struct rules *read)
{
    struct rule_set *s = calloc(1, sizeof *s);

    if (!s)
        die("out of memory: rules");
    *s = (struct rule_set){ .rules = read ? read : rules_shipped(), .read = read, .of = o, .users = 1 };
    return s;
}

struct own_rules *own_rules_new(void)
{
    struct own_rules *o = calloc(1, sizeof *o);

    if (!o)
        die("out of memory: rules");
    pthread_mutex_init(&o->mutex, NULL);
    o->now = set_new(o, NULL);
    return o;
}

struct rule_set *rules_take(struct service *svc)
{
    struct own_rules *o = svc->rules;
    struct rule_set *s;

    pthread_mutex_lock(&o->mutex);
    s = o->now;
    s->users++;
    pthread_mutex_unlock(&o->mutex);
    return s;
}

void rules_leave(struct rule_set **r)
{
    struct rule_set *s = *r;
    bool last;

    *r = NULL;
    if (!s)
        return;
    pthread_mutex_lock(&s->of->mutex);
    last = --s->users == 0;
    pthread_mutex_unlock(&s->of->mutex);
    if (!last)
        return;
    rules_free(&s->read);
    free(s);
}

void own_rules_free(struct own_rules **o)
{
    if (!*o)
        return;
    rules_leave(&(*o)->now);
    pthread_mutex_destroy(&(*o)->mutex);
    free(*o);
    *o = NULL;
}

uint64_t rules_version(struct service *svc)
{
    return atomic_load_explicit(&svc->rules->version, memory_order_acquire);
}

static void replace(struct own_rules *o, struct rules *read)
{
    struct rule_set *s = set_new(o, read), *old;

    pthread_mutex_lock(&o->mutex);
    old = o->now;
    o->now = s;
    atomic_fetch_add(&o->version, 1);
    pthread_mutex_unlock(&o->mutex);
    rules_leave(&old);
}

/* A file is read in a moment, and seldom. */
static bool read_whole(struct bytes path, struct buf *out, struct err *e)
{
    struct arena *a = arena_new(64 * 1024);
    FILE *f = fopen(arena_text(a, path), "re");
    char piece[1024];
    size_t n;

    arena_free(&a);
    if (!f)
        return err_set(e, ERR_MISSING, "%.*s: %s", SHOW(path), strerror(errno));
    while ((n = fread(piece, 1, sizeof piece, f)) > 0)
        buf_add(out, (struct bytes){ piece, n });
    fclose(f);
    if (!out->n)
        return err_set(e, ERR_INVALID, "%.*s: it is empty", SHOW(path));
    return !out->overflowed || err_set(e, ERR_INVALID, "%.*s: over 1 MiB", SHOW(path));
}

bool rules_file_read(struct bytes path, struct rules **out, struct err *e)
{
    struct err why = { 0 };
    struct buf text;
    size_t line = 0;
    bool ok;

    buf_init(&text, FILE_MOST);
    ok = read_whole(path, &text, e);
    if (ok && !rules_read(buf_bytes(&text), out, &line, &why))
        ok = line ? err_set(e, ERR_INVALID, "%.*s:%zu: %s", SHOW(path), line, why.message)
                  : err_set(e, ERR_INVALID, "%.*s: %s", SHOW(path), why.message);
    buf_clear(&text);
    return ok;
}

bool own_rules_load(struct service *svc, struct err *e)
{
    struct bytes path = PARAM_TEXT(delivery, rules_file);
    struct rules *read = NULL;

    if (path.n && !rules_file_read(path, &read, e))
        return false;
    replace(svc->rules, read);
    if (path.n)
        log_info("rules", LOG_BYTES("file", path), LOG_TEXT("result", "read"));
    return true;
}

static void changed(enum param p, void *ctx)
{
    struct err e = { 0 };

    (void)p;
    if (!own_rules_load(ctx, &e))
        log_error("rules", LOG_TEXT("result", "not read: what was known before goes on"),
                  LOG_TEXT("reason", e.message));
}

void own_rules_follow(struct service *svc)
{
    param_on_change(PARAM_delivery_rules_file, changed, svc);
    changed(PARAM_delivery_rules_file, svc);
}
