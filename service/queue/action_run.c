/* service/queue/action_run.c - does what actions ask for, a slice of each in turn.
 *
 * Rows are looked at narrowly; those that fit are loaded, judged and acted on in batches, message by message. Each
 * batch moves the action's place and counts on condition that nobody else has: what it says is done is done, once. Who
 * is faster with a delivery has it; it is left out, and counted as failed. */
#include "base/clock.h"
#include "base/log.h"
#include "base/params.h"
#include "net/wait.h"
#include "service/core/state.h"
#include "service/queue/action_private.h"
#include "service/queue/suspension.h"

#define RUN_ARENA   ((size_t)128 * 1024 * 1024)
#define LOOK_MS     1000 /* without a poke */
#define LOCK        BYTES("actions")
#define LOCK_MS     15000
#define COMMIT_MS   10000
#define AT_ONCE     20 /* actions that go on in turns */
#define IDS_AT_ONCE 64 /* of store_get_many */

struct running {
    struct service *svc;
    struct arena *arena; /* of a slice */
    struct action_row row;
    struct action_filter filter;
    struct order order;
    struct err *e;
};

/* A slice of what is looked at: narrow rows, or of ids whole ones. */
struct look {
    struct query query;
    struct delivery_row *rows;
    size_t n;
    bool last; /* of the step */
};

/* What one batch is about. */
struct part {
    struct delivery_row *rows; /* whole, those that fit the filter */
    struct message_row *messages;
    struct acts *acts;
    size_t n, n_acts;
    int64_t matched, done, failed; /* beside what is acted on */
};

/* ---- looking ---- */

static bool get_rows(struct running *x, const struct id *ids, size_t n, struct delivery_row *out, size_t *n_out)
{
    *n_out = 0;
    for (size_t i = 0; i < n; i += IDS_AT_ONCE) {
        size_t some = n - i < IDS_AT_ONCE ? n - i : IDS_AT_ONCE;
        struct delivery_row *found = arena_array(x->arena, some, sizeof *found);

        if (!store_get_many(x->svc->store, &delivery_kind, &ids[i], some, x->arena, found, x->e))
            return false;
        for (size_t j = 0; j < some; j++)
            if (!id_is_none(found[j].id))
                out[(*n_out)++] = found[j];
    }
    return true;
}

static size_t place_number(const struct action_row *row)
{
    int64_t n = 0;

    return row->place.p && bytes_to_int(row->place, &n) && n > 0 ? (size_t)n : 0;
}

/* What is given up may bring a report each, with its mail. */
static size_t batch_of(const struct running *x)
{
    if (x->row.dry_run && !x->filter.ids)
        return ACTION_SLICE;
    return x->order.act == ACT_BOUNCE ? ACTION_BOUNCES : ACTION_BATCH;
}

static bool look_at_ids(struct running *x, struct look *l)
{
    size_t from = place_number(&x->row), left = from < x->filter.n_ids ? x->filter.n_ids - from : 0;
    size_t n = left < batch_of(x) ? left : batch_of(x);

    l->rows = arena_array(x->arena, n ? n : 1, sizeof *l->rows);
    l->last = n == left;
    return get_rows(x, x->filter.ids + from, n, l->rows, &l->n);
}

static bool look(struct running *x, struct look *l)
{
    static const char *const only[] = { "id",      "account_id", "message_id", "body_id",     "site",    "email",
                                        "status",  "mode",       "created_at", "domain_id",   "held_by", "flow",
                                        "send_at", "due_at",     "final_at",   "lease_until", NULL };
    void *rows;

    *l = (struct look){ .last = true };
    if (x->filter.ids)
        return look_at_ids(x, l);
    if (!action_step(&x->filter, x->row.step, x->arena, &l->query))
        return true;
    l->query.only = only;
    l->query.after = x->row.place;
    if (!store_find(x->svc->store, &l->query, x->arena, &rows, &l->n, x->e))
        return false;
    l->rows = rows;
    l->last = l->n < l->query.limit;
    return true;
}

/* ---- one batch ---- */

static bool load_messages(struct running *x, struct part *p)
{
    struct id *ids = arena_array(x->arena, p->n ? p->n : 1, sizeof *ids);

    for (size_t i = 0; i < p->n; i++)
        ids[i] = p->rows[i].message_id;
    for (size_t i = 0; i < p->n; i += IDS_AT_ONCE)
        if (!store_get_many(x->svc->store, &message_kind, &ids[i], p->n - i < IDS_AT_ONCE ? p->n - i : IDS_AT_ONCE,
                            x->arena, &p->messages[i], x->e))
            return false;
    return true;
}

/* The acts on the message of row i; each message has its own. */
static struct acts *acts_of(struct running *x, struct part *p, size_t i)
{
    bool gone = id_is_none(p->messages[i].id);
    struct acts *a;

    for (size_t k = 0; k < p->n_acts; k++)
        if (id_equal(p->acts[k].list.message->id, p->rows[i].message_id))
            return &p->acts[k];
    if (gone)
        p->messages[i] = message_stand_in(&p->rows[i]);
    a = &p->acts[p->n_acts++];
    acts_begin(a, &x->order, &p->messages[i], x->arena, p->n - i);
    a->list.message_gone = gone;
    return a;
}

static bool has_tag(const struct running *x, const struct message_row *m)
{
    return !x->filter.tag.p || tag_holds(x->filter.tag, m->tags);
}

static bool is_full(const struct running *x, const struct part *p)
{
    return x->row.most && x->row.matched + p->matched >= x->row.most;
}

static void judge(struct running *x, struct part *p, size_t i)
{
    struct delivery_row *d = &p->rows[i];

    if (!action_fits(&x->filter, d) || !has_tag(x, &p->messages[i]) || is_full(x, p))
        return;
    p->matched++;
    switch (act_judge(x->order.act, d, store_now(x->svc->store))) {
    case ACT_FITS:
        p->done++;
        if (!x->row.dry_run)
            acts_take(acts_of(x, p, i), d, x->arena);
        break;
    case ACT_SO_ALREADY: p->done++; break;
    default: p->failed++; break;
    }
}

/* What is left of the action after this batch. */
struct next {
    int64_t step;
    struct bytes place;
    bool over;
};

static void add_progress(struct running *x, const struct part *p, const struct next *next, struct batch *b)
{
    struct cond *same = arena_array(x->arena, 3, sizeof *same);
    struct set *sets = arena_array(x->arena, 7, sizeof *sets);
    size_t n = 0;
    int64_t lost = 0;

    for (size_t i = 0; i < p->n_acts; i++)
        lost += (int64_t)acts_lost(&p->acts[i]);
    same[0] = COND("status", IS, V_TEXT(BYTES("running")));
    same[1] = COND("step", IS, V_INT(x->row.step));
    same[2] = COND("place", IS, V_TEXT(x->row.place));
    sets[n++] = SET("matched", V_INT(x->row.matched + p->matched));
    sets[n++] = SET("done", V_INT(x->row.done + p->done - lost));
    sets[n++] = SET("failed", V_INT(x->row.failed + p->failed + lost));
    sets[n++] = SET("step", V_INT(next->step));
    sets[n++] = SET("place", V_TEXT(next->place));
    if (next->over) {
        sets[n++] = SET("status", V_TEXT(BYTES("done")));
        sets[n++] = SET("finished_at", V_TIME(store_now(x->svc->store)));
    }
    batch_update(b, &action_kind, x->row.id, same, 3, sets, n);
}

static void move_on(struct running *x, const struct part *p, const struct next *next)
{
    int64_t lost = 0;

    for (size_t i = 0; i < p->n_acts; i++) {
        lost += (int64_t)acts_lost(&p->acts[i]);
        acts_tell(x->svc, &p->acts[i]);
    }
    x->row.matched += p->matched;
    x->row.done += p->done - lost;
    x->row.failed += p->failed + lost;
    x->row.step = next->step;
    x->row.place = next->place;
    if (!next->over)
        return;
    x->row.status = BYTES("done");
    log_info("action", LOG_BYTES("id", id_text(x->arena, action_kind.prefix, x->row.id)), LOG_BYTES("do", x->row.act),
             LOG_BYTES("who", x->row.author), LOG_INT("matched", x->row.matched), LOG_INT("done", x->row.done),
             LOG_INT("failed", x->row.failed), LOG_TEXT("dry_run", x->row.dry_run ? "yes" : NULL));
}

static bool mend(struct part *p, struct batch_failure f)
{
    for (size_t i = 0; i < p->n_acts; i++)
        if (acts_mend(&p->acts[i], f))
            return true;
    return false;
}

/* The action's own row is operation 0: who fails there has been overtaken by another node, and leaves it. */
static bool commit(struct running *x, struct part *p, const struct next *next)
{
    for (size_t i = 0; i < p->n_acts; i++)
        if (!acts_ready(x->svc, &p->acts[i], x->e))
            return false;
    for (size_t tries = 3 * p->n + 8; tries > 0; tries--) {
        struct batch *b = batch_new(x->arena);

        *x->e = (struct err){ 0 };
        add_progress(x, p, next, b);
        for (size_t i = 0; i < p->n_acts; i++)
            if (!acts_add(&p->acts[i], b, x->arena, store_now(x->svc->store), x->e))
                return false;
        if (!arena_check(x->arena, x->e))
            return false;
        if (store_commit(x->svc->store, b, clock_monotonic() + COMMIT_MS, x->e)) {
            move_on(x, p, next);
            return true;
        }
        if (x->e->code != ERR_CONFLICT || batch_failure(b).operation == 0 || !mend(p, batch_failure(b)))
            return false;
    }
    return false;
}

static struct bytes place_behind(struct running *x, const struct look *l, size_t i)
{
    if (x->filter.ids)
        return arena_bytesf(x->arena, "%zu", place_number(&x->row) + batch_of(x));
    return store_cursor(&l->query, &l->rows[i], x->arena);
}

/* What the batch is about. Who counts alone, and by nothing that the message says, needs no more than was looked at. */
static bool load(struct running *x, const struct look *l, const size_t *which, size_t n, struct part *p)
{
    struct id *ids = arena_array(x->arena, n ? n : 1, sizeof *ids);

    for (size_t i = 0; i < n; i++) {
        ids[i] = l->rows[which[i]].id;
        p->rows[i] = l->rows[which[i]];
    }
    p->n = n;
    p->messages = arena_array(x->arena, n ? n : 1, sizeof *p->messages);
    if (x->row.dry_run && !x->filter.tag.p)
        return true;
    return get_rows(x, ids, n, p->rows, &p->n) && load_messages(x, p);
}

/* Rows `from` up to the next so many that fit: one batch. *to: behind the last one that was looked at. */
static bool act_on_some(struct running *x, const struct look *l, size_t from, size_t *to)
{
    size_t most = batch_of(x), *which = arena_array(x->arena, most, sizeof *which);
    struct part p = { .rows = arena_array(x->arena, most, sizeof *p.rows),
                      .acts = arena_array(x->arena, most, sizeof *p.acts) };
    struct next next = { .step = x->row.step };
    struct query further;
    size_t n = 0, i;
    bool ok;

    for (i = from; i < l->n && n < most; i++)
        if (action_fits(&x->filter, &l->rows[i]))
            which[n++] = i;
    *to = i;
    if (!load(x, l, which, n, &p))
        return false;
    for (size_t k = 0; k < p.n; k++)
        judge(x, &p, k);
    if (i < l->n || !l->last)
        next.place = i ? place_behind(x, l, i - 1) : NO_BYTES;
    else
        next.over = x->filter.ids || !action_step(&x->filter, ++next.step, x->arena, &further);
    next.over = next.over || is_full(x, &p);
    ok = commit(x, &p, &next);
    for (size_t k = 0; k < p.n_acts; k++)
        acts_end(&p.acts[k]);
    return ok;
}

/* ---- one slice ---- */

/* It cannot be read, and never will. */
static bool give_up(struct running *x)
{
    struct batch *b = batch_new(x->arena);
    struct set sets[] = { SET("status", V_TEXT(BYTES("failed"))),
                          SET("finished_at", V_TIME(store_now(x->svc->store))) };

    batch_update(b, &action_kind, x->row.id, NULL, 0, sets, 2);
    return store_commit(x->svc->store, b, clock_monotonic() + COMMIT_MS, x->e);
}

static bool slice(struct running *x)
{
    struct look l;

    if (!action_filter_read(&x->row, x->arena, &x->filter) || !act_read(x->row.act, &x->order.act))
        return give_up(x);
    x->order.reason = x->row.reason;
    x->order.author = x->row.author;
    if (!look(x, &l))
        return false;
    for (size_t at = 0; bytes_equal(x->row.status, BYTES("running"));) {
        if (!act_on_some(x, &l, at, &at))
            return false;
        if (at >= l.n)
            break;
    }
    return true;
}

static bool open_actions(struct service *svc, struct arena *a, struct action_row **rows, size_t *n, struct err *e)
{
    struct query q = { .kind = &action_kind, .index = "running", .n_conds = 1, .limit = AT_ONCE };
    void *found;

    q.conds[0] = COND("status", IS, V_TEXT(BYTES("running")));
    if (!store_find(svc->store, &q, a, &found, n, e))
        return false;
    *rows = found;
    return true;
}

bool actions_round(struct service *svc, size_t *n, struct err *e)
{
    struct arena *a = arena_new(RUN_ARENA), *list = arena_new(RUN_ARENA);
    struct action_row *rows = NULL;
    bool ok = open_actions(svc, list, &rows, n, e);

    for (size_t i = 0; ok && i < *n; i++) {
        struct running x = { .svc = svc, .arena = a, .row = rows[i], .e = e };

        arena_reset(a);
        ok = slice(&x);
        if (!ok && e->code == ERR_CONFLICT) { /* somebody else goes on with it */
            *e = (struct err){ 0 };
            ok = true;
        }
    }
    arena_free(&a);
    arena_free(&list);
    return ok;
}

/* ---- background ---- */

void actions_poke(struct service *svc)
{
    signal_raise(svc->acting);
}

/* Rounds until nothing is open, under the lock. */
static bool rounds(struct service *svc, int64_t token, struct err *e)
{
    int64_t renewed = clock_monotonic();
    size_t n = 1;

    while (n && !atomic_load(&svc->stopping) && !net_stopping()) {
        if (clock_monotonic() - renewed > LOCK_MS / 3) {
            if (!store_lock_renew(svc->store, LOCK, token, LOCK_MS, e))
                return false;
            renewed = clock_monotonic();
        }
        if (!actions_round(svc, &n, e))
            return false;
    }
    return true;
}

static bool any_open(struct service *svc, struct err *e)
{
    struct arena *a = arena_new(RUN_ARENA);
    struct action_row *rows;
    size_t n = 0;
    bool ok = open_actions(svc, a, &rows, &n, e);

    arena_free(&a);
    return ok && n > 0;
}

static void look_once(struct service *svc)
{
    struct err e = { 0 };
    int64_t token;

    if (any_open(svc, &e) && store_lock(svc->store, LOCK, LOCK_MS, &token, &e)) {
        if (!rounds(svc, token, &e))
            log_warn("action", LOG_TEXT("error", e.message), LOG_TEXT("where", e.where));
        store_unlock(svc->store, LOCK, token);
    }
}

void actions_run(struct service *svc)
{
    while (!atomic_load(&svc->stopping) && !net_stopping()) {
        uint64_t seen = signal_count(svc->acting);

        look_once(svc);
        if (!signal_wait(svc->acting, seen, clock_monotonic() + LOOK_MS) && net_stopping())
            break;
    }
}
