/* service/keep/sync.c - derived values counted again, beside servers that go on changing them.
 *
 * One look finds what is off, a second must find it off by the same, and the batch demands that nothing has changed
 * since the second. So a look in the middle of somebody's work corrects nothing. Two arenas take turns, as two looks
 * are compared; pages have their own, so a mailbox of any size is counted in bounded memory. */
#include "service/keep/sync.h"
#include "base/clock.h"
#include "service/keep/copy.h"
#include "service/keep/sync_private.h"
#include "service/keep/walk.h"
#include <assert.h>

enum { TRIES = 5, PAGE = 1000, COMMIT_MS = 30000, LOOK_ARENA = 1 << 28, PAGE_ARENA = 1 << 25 };

/* ---- looking ---- */

struct looked *look_row(struct look *l, const struct kind *k, struct id id, struct bytes name)
{
    struct looked *t = arena_alloc(l->arena, sizeof *t);

    *t = (struct looked){ .kind = k, .id = id, .name = name };
    *l->last = t;
    l->last = &t->next;
    return t;
}

void looked_value(struct looked *t, const char *field, int64_t was, int64_t is)
{
    assert(t->n < LOOKED_VALUES);
    t->values[t->n++] = (struct derived){ field, was, is };
}

bool look_through(struct look *l, const struct looking *what)
{
    struct query q = { .kind = what->kind, .index = what->index, .n_conds = 1, .limit = PAGE, .only = what->only };
    void *rows;
    size_t n;

    q.conds[0] = COND(what->field, IS, V_ID(what->id));
    do {
        arena_reset(l->page);
        if (!store_find(l->st, &q, l->page, &rows, &n, l->e))
            return false;
        for (size_t i = 0; what->each && i < n; i++)
            what->each(what->arg, (const char *)rows + i * what->kind->size);
        if (what->page && n && !what->page(what->arg, rows, n))
            return false;
        if (n)
            q.after = arena_copy(l->arena, store_cursor(&q, (const char *)rows + (n - 1) * what->kind->size, l->page));
    } while (n == PAGE);
    return true;
}

static void count_one(void *arg, const void *row)
{
    (void)row;
    ++*(int64_t *)arg;
}

bool look_count(struct look *l, struct looking what, int64_t *n)
{
    const char *only[] = { "id", what.field, NULL };

    *n = 0;
    what.only = only;
    what.each = count_one;
    what.page = NULL;
    what.arg = n;
    return look_through(l, &what);
}

static bool look_at_account(struct look *l, struct id id)
{
    struct looking domains = { .kind = &domain_kind, .index = "account", .field = "account_id", .id = id };
    struct account_row row;
    int64_t n;
    bool there;

    if (!store_look(l->st, &account_kind, id, l->arena, &row, &there, l->e) || (there && !look_count(l, domains, &n)))
        return false;
    if (there)
        looked_value(look_row(l, &account_kind, id, row.name), "domains", row.domains, n);
    return true;
}

static bool look_at_domain(struct look *l, struct id id)
{
    struct looking addresses = { .kind = &address_kind, .index = "domain", .field = "domain_id", .id = id };
    struct looking keys = { .kind = &dkim_kind, .index = "domain", .field = "domain_id", .id = id };
    struct looked *looked;
    struct domain_row row;
    int64_t n = 0, n_keys = 0;
    bool there;

    if (!store_look(l->st, &domain_kind, id, l->arena, &row, &there, l->e) ||
        (there && (!look_count(l, addresses, &n) || !look_count(l, keys, &n_keys))))
        return false;
    if (!there)
        return true;
    looked = look_row(l, &domain_kind, id, row.name);
    looked_value(looked, "addresses", row.addresses, n);
    looked_value(looked, "dkim_keys", row.dkim_keys, n_keys);
    return true;
}

/* ---- judging ---- */

struct sync {
    struct store *st;
    const struct sync_options *o;
    struct sync_report *out;
    struct arena *arenas[2], *page; /* of the look and the one before it */
    struct err *e;
};

typedef bool (*look_fn)(struct look *l, struct id id);

static bool look(struct sync *s, look_fn at, struct id id, struct look *l)
{
    struct arena *older = s->arenas[1];

    s->arenas[1] = s->arenas[0];
    s->arenas[0] = older;
    arena_reset(older);
    *l = (struct look){ .st = s->st, .arena = older, .page = s->page, .last = &l->rows, .e = s->e };
    return at(l, id);
}

static int64_t off(const struct looked *t)
{
    int64_t n = 0;

    for (size_t i = 0; i < t->n; i++)
        n += t->values[i].was != t->values[i].is;
    return n;
}

static int64_t all_off(const struct look *l)
{
    int64_t n = 0;

    for (const struct looked *t = l->rows; t; t = t->next)
        n += off(t);
    return n;
}

/* Are the same values off by the same in both looks? They may have risen together meanwhile. */
static bool agree(const struct look *x, const struct look *y)
{
    const struct looked *a = x->rows, *b = y->rows;

    for (; a && b; a = a->next, b = b->next) {
        if (!id_equal(a->id, b->id) || a->n != b->n)
            return false;
        for (size_t i = 0; i < a->n; i++)
            if (a->values[i].was - a->values[i].is != b->values[i].was - b->values[i].is)
                return false;
    }
    return !a && !b;
}

static void add_looked(struct batch *b, const struct looked *t, struct arena *a)
{
    struct cond *same = arena_array(a, LOOKED_VALUES, sizeof *same);
    struct set *sets = arena_array(a, LOOKED_VALUES, sizeof *sets);
    size_t n = 0;

    for (size_t i = 0; i < t->n; i++) {
        same[i] = COND(t->values[i].field, IS, V_INT(t->values[i].was));
        if (t->values[i].was != t->values[i].is)
            sets[n++] = SET(t->values[i].field, V_INT(t->values[i].is));
    }
    batch_update(b, t->kind, t->id, same, t->n, sets, n);
}

/* *done is false when something has changed. */
static bool mend(struct sync *s, const struct look *l, bool *done)
{
    struct batch *b = batch_new(l->arena);
    struct err why = { 0 };

    for (const struct looked *t = l->rows; t; t = t->next)
        add_looked(b, t, l->arena);
    *done = s->o->dry_run || store_commit(s->st, b, clock_monotonic() + COMMIT_MS, &why);
    if (*done || why.code == ERR_CONFLICT)
        return true;
    *s->e = why;
    return false;
}

static void tell(struct sync *s, const struct look *l)
{
    for (const struct looked *t = l->rows; t; t = t->next)
        for (size_t i = 0; i < t->n; i++) {
            const struct derived *d = &t->values[i];
            struct sync_found found = { t->kind->name, id_text(l->arena, t->kind->prefix, t->id),
                                        t->name,       d->field,
                                        d->was,        d->is };

            if (d->was != d->is && s->o->found)
                s->o->found(s->o->arg, &found);
        }
}

static bool settle(struct sync *s, look_fn at, struct id id)
{
    struct look first, second;
    bool done = false;

    for (int try = 0; try < TRIES && !done; try++) {
        if (!look(s, at, id, &first))
            return false;
        if (!first.changed && !all_off(&first))
            return true;
        if (!look(s, at, id, &second))
            return false;
        if (first.changed || second.changed || !agree(&first, &second))
            continue;
        if (!mend(s, &second, &done))
            return false;
    }
    if (done) {
        s->out->off += all_off(&second);
        tell(s, &second);
    }
    s->out->busy += !done;
    return true;
}

static bool sync_kind(struct sync *s, const struct kind *k, look_fn at)
{
    struct walk w;
    const void *row = NULL;
    bool ok;

    walk_begin(&w, s->st, k, NO_BYTES);
    while ((ok = walk_row(&w, &row, s->e)) && row) {
        s->out->rows++;
        if (!settle(s, at, *(const struct id *)row)) {
            ok = false;
            break;
        }
    }
    walk_end(&w);
    return ok;
}

bool sync_run(struct store *st, const struct sync_options *o, struct sync_report *out, struct err *e)
{
    struct sync s = { .st = st, .o = o, .out = out, .e = e };
    bool ok;

    *out = (struct sync_report){ 0 };
    s.arenas[0] = arena_new(LOOK_ARENA);
    s.arenas[1] = arena_new(LOOK_ARENA);
    s.page = arena_new(PAGE_ARENA);
    ok = sync_kind(&s, &account_kind, look_at_account) && sync_kind(&s, &domain_kind, look_at_domain) &&
         sync_kind(&s, &user_kind, look_at_user) && sync_kind(&s, &message_kind, look_at_message);
    arena_free(&s.arenas[0]);
    arena_free(&s.arenas[1]);
    arena_free(&s.page);
    return ok;
}

/* As a node of its own: it takes nothing from a server's. */
bool sync_url(const char *url, bool alone, const struct sync_options *o, struct sync_report *out, struct err *e)
{
    struct store_options how = { .url = url,
                                 .kinds = all_kinds,
                                 .schema = SCHEMA_VERSION,
                                 .node = id_new(),
                                 .readers = 2,
                                 .existing = true,
                                 .alone = alone };
    struct store *st;
    bool ok = store_open(&how, &st, e) && copy_is_whole(st, e) && sync_run(st, o, out, e);

    store_close(&st);
    return ok;
}
