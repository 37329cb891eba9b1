/* service/box/snapshot.c - lists of INBOXes, kept by what their mailbox's counters said.
 *
 * A list is read in pages, between two looks at the counters. Only when both say the same do the pages belong together
 * and the list is kept; otherwise it serves this session alone. The mutex is held for looking up, never for reading. */
#include "service/box/snapshot.h"
#include "base/metrics.h"
#include "service/core/state.h"
#define uthash_fatal(message) die("out of memory: snapshots")
#include <uthash.h>

/* Entries read at once. */
#define PAGE       256
#define PAGE_ARENA ((size_t)16 * 1024 * 1024)

/* What says that a mailbox still holds the same entries. */
struct state {
    struct id mailbox;
    int64_t uid_next, total, bytes;
};

struct snapshot {
    UT_hash_handle hh;
    atomic_int users;
    struct state state;
    size_t n;
    struct maildrop_item items[];
};

struct snapshots {
    pthread_mutex_t mutex;
    struct snapshot *all; /* the one least recently used comes first */
    size_t bytes;
};

static size_t size_of(size_t n)
{
    return sizeof(struct snapshot) + n * sizeof(struct maildrop_item);
}

struct snapshots *snapshots_new(void)
{
    struct snapshots *s = calloc(1, sizeof *s);

    if (!s)
        die("out of memory: snapshots");
    pthread_mutex_init(&s->mutex, NULL);
    return s;
}

void snapshot_release(struct snapshot **s)
{
    if (*s && atomic_fetch_sub(&(*s)->users, 1) == 1)
        free(*s);
    *s = NULL;
}

static void drop(struct snapshots *all, struct snapshot *s)
{
    HASH_DEL(all->all, s);
    all->bytes -= size_of(s->n);
    snapshot_release(&s);
}

void snapshots_free(struct snapshots **s)
{
    struct snapshot *one, *next;

    if (!*s)
        return;
    HASH_ITER (hh, (*s)->all, one, next)
        drop(*s, one);
    pthread_mutex_destroy(&(*s)->mutex);
    free(*s);
    *s = NULL;
}

/* ---- what is kept ---- */

static bool same(const struct state *a, const struct state *b)
{
    return id_equal(a->mailbox, b->mailbox) && a->uid_next == b->uid_next && a->total == b->total &&
           a->bytes == b->bytes;
}

static void add(struct snapshots *all, struct snapshot *s)
{
    HASH_ADD(hh, all->all, state.mailbox, sizeof s->state.mailbox, s);
    all->bytes += size_of(s->n);
    atomic_fetch_add(&s->users, 1);
}

/* One of another length was read under another maildrop.messages_max. */
static struct snapshot *recall(struct snapshots *all, const struct state *now, size_t n)
{
    struct snapshot *s;

    pthread_mutex_lock(&all->mutex);
    HASH_FIND(hh, all->all, &now->mailbox, sizeof now->mailbox, s);
    if (s && (!same(&s->state, now) || s->n != n)) {
        drop(all, s);
        s = NULL;
    }
    if (s) {
        atomic_fetch_add(&s->users, 1);
        drop(all, s); /* and to the end of the line */
        add(all, s);
    }
    pthread_mutex_unlock(&all->mutex);
    return s;
}

static void snapshot_keep(struct snapshots *all, struct snapshot *s)
{
    size_t most = (size_t)PARAM_INT(maildrop, snapshot_memory);
    struct snapshot *old;

    if (size_of(s->n) > most)
        return;
    pthread_mutex_lock(&all->mutex);
    HASH_FIND(hh, all->all, &s->state.mailbox, sizeof s->state.mailbox, old);
    if (old)
        drop(all, old);
    while (all->all && all->bytes + size_of(s->n) > most)
        drop(all, all->all);
    add(all, s);
    pthread_mutex_unlock(&all->mutex);
}

/* ---- reading ---- */

static bool read_state(struct call *c, struct id mailbox, struct state *out)
{
    static const char *const only[] = { "id", "uid_next", "total", "bytes", NULL };
    struct query q = { .kind = &mailbox_kind, .n_conds = 1, .limit = 1, .only = only };
    struct mailbox_row *row;
    void *found;
    size_t n;

    q.conds[0] = COND("id", IS, V_ID(mailbox));
    if (!store_find(c->store, &q, c->arena, &found, &n, &c->err))
        return false;
    if (n == 0)
        return err_set(&c->err, ERR_MISSING, "No such mailbox");
    row = found;
    *out = (struct state){ mailbox, row->uid_next, row->total, row->bytes };
    return true;
}

/* The next page; *more is false at the end. */
static bool load_page(struct call *c, struct arena *a, struct query *q, struct snapshot *s, bool *more)
{
    struct entry_row *rows;
    void *found;
    size_t n;

    if (!store_find(c->store, q, a, &found, &n, &c->err))
        return false;
    rows = found;
    for (size_t i = 0; i < n; i++)
        s->items[s->n++] =
            (struct maildrop_item){ .entry_id = rows[i].id, .size = rows[i].size, .uid = (uint32_t)rows[i].uid };
    *more = n == q->limit;
    if (n)
        q->conds[1] = COND("uid", ABOVE, V_INT(rows[n - 1].uid));
    return true;
}

static bool load(struct call *c, struct snapshot *s, size_t most)
{
    static const char *const only[] = { "id", "uid", "size", "mailbox_id", NULL };
    struct query q = { .kind = &entry_kind, .index = "uid", .n_conds = 2, .only = only };
    struct arena *a = arena_new(PAGE_ARENA);
    bool more = true, ok = true;

    q.conds[0] = COND("mailbox_id", IS, V_ID(s->state.mailbox));
    q.conds[1] = COND("uid", ABOVE, V_INT(0));
    while (ok && more && s->n < most) {
        arena_reset(a);
        q.limit = most - s->n < PAGE ? most - s->n : PAGE;
        ok = load_page(c, a, &q, s, &more);
    }
    arena_free(&a);
    return ok;
}

static struct snapshot *snapshot_new(const struct state *state, size_t most)
{
    struct snapshot *s = calloc(1, size_of(most));

    if (!s)
        die("out of memory: a snapshot");
    atomic_init(&s->users, 1);
    s->state = *state;
    return s;
}

struct taking {
    struct call *c;
    struct id mailbox;
    size_t most;
    struct snapshot *taken;
};

/* On a store thread: all of its reads are one trip. */
static void snapshot_load(void *arg)
{
    struct taking *t = arg;
    struct snapshots *all = t->c->svc->snapshots;
    struct state before, after;
    size_t n;

    if (!read_state(t->c, t->mailbox, &before))
        return;
    n = (size_t)before.total < t->most ? (size_t)before.total : t->most;
    if ((t->taken = recall(all, &before, n))) {
        metric_add(METRIC_maildrop_snapshots_reused_total, 1);
        return;
    }
    t->taken = snapshot_new(&before, n);
    if (!load(t->c, t->taken, n) || !read_state(t->c, t->mailbox, &after))
        snapshot_release(&t->taken);
    else if (same(&before, &after) && t->taken->n == n) /* its pages belong together */
        snapshot_keep(all, t->taken);
}

bool snapshot_take(struct call *c, struct id mailbox, size_t most, struct snapshot **out)
{
    struct taking t = { .c = c, .mailbox = mailbox, .most = most };

    *out = NULL;
    if (!offload(POOL_STORE, snapshot_load, &t, &c->err))
        return false;
    *out = t.taken;
    return t.taken != NULL;
}

size_t snapshot_count(const struct snapshot *s)
{
    return s->n;
}

const struct maildrop_item *snapshot_items(const struct snapshot *s)
{
    return s->items;
}
