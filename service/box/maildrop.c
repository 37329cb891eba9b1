/* service/box/maildrop.c - a POP3 session on an INBOX: a lock, a list, read-ahead, and the deletions of QUIT.
 *
 * Nothing is deleted before QUIT (RFC 1939 6). Then it goes in batches, each on condition that its entries are what
 * they were just read as: what was moved or deleted meanwhile is left. A batch that meets a change is tried with fewer
 * entries, so that one which somebody keeps changing does not save the others. Store calls run as jobs; the session's
 * fiber sleeps meanwhile. */
#include "service/box/maildrop.h"
#include "base/budget.h"
#include "base/params.h"
#include "service/body/body.h"
#include "service/body/seal.h"
#include "service/body/surrogate.h"
#include "service/box/gone.h"
#include "service/box/snapshot.h"
#include "service/core/state.h"
#include <assert.h>

/* Entries looked up at once for QUIT. */
#define LOOKUP     64
#define PAGE_ARENA ((size_t)16 * 1024 * 1024)
/* Entries that one batch of QUIT deletes: a transaction of 100,000 is more than a MongoDB with a small cache holds. */
#define DELETE_AT_ONCE 10000
/* A batch that met entries which were changed meanwhile is tried again with so much fewer, since a few that somebody
 * goes on changing must not keep the others; one entry alone so often. */
#define DELETE_FEWER 10
#define DELETE_TRIES 10

struct maildrop {
    struct store *store;
    struct id account_id, user_id, inbox_id;
    struct crypt_key user_key;
    struct snapshot *snapshot;
    const struct maildrop_item *items; /* the snapshot's */
    size_t n;
    struct bytes lock_name;
    int64_t lock_token;
    char lock_text[8 + ID_TEXT];
    /* read-ahead: entries and bodies of items[first] … */
    struct arena *window;
    size_t first, count;
    struct entry_row *entries;
    struct body_row *bodies;
};

static bool lock(struct maildrop *m, struct call *c)
{
    char id[ID_TEXT + 1];
    int n;

    id_format(user_kind.prefix, m->user_id, id);
    n = snprintf(m->lock_text, sizeof m->lock_text, "pop3:%s", id);
    m->lock_name = (struct bytes){ m->lock_text, (size_t)n };
    if (store_lock(m->store, m->lock_name, PARAM_INT(maildrop, lock), &m->lock_token, &c->err))
        return true;
    m->lock_name = NO_BYTES;
    return c->err.code == ERR_IN_USE ? err_set(&c->err, ERR_IN_USE, "Another session has this maildrop") : false;
}

bool maildrop_open(struct call *c, struct maildrop **out)
{
    struct directory_user user;
    struct maildrop *m;

    assert(c->who && c->who->kind == WHO_USER);
    if (!directory_user(c, c->who->id, &user))
        return false;
    m = calloc(1, sizeof *m);
    if (!m)
        die("out of memory");
    m->store = c->store;
    m->account_id = user.account_id;
    m->user_id = user.id;
    m->inbox_id = user.inbox_id;
    if (!seal_user_key(c->svc, &user, &m->user_key, &c->err) || !lock(m, c) ||
        !snapshot_take(c, m->inbox_id, (size_t)PARAM_INT(maildrop, messages_max), &m->snapshot))
        goto failed;
    m->items = snapshot_items(m->snapshot);
    m->n = snapshot_count(m->snapshot);
    *out = m;
    return true;
failed:
    maildrop_close(&m);
    return false;
}

size_t maildrop_count(const struct maildrop *m)
{
    return m->n;
}

struct maildrop_item maildrop_item(const struct maildrop *m, size_t i)
{
    assert(i < m->n);
    return m->items[i];
}

static size_t window_length(const struct maildrop *m, size_t i)
{
    size_t most = (size_t)PARAM_INT(maildrop, read_ahead), n = 1;
    int64_t bytes = m->items[i].size, limit = PARAM_INT(maildrop, read_ahead_bytes);

    while (n < most && i + n < m->n && bytes + m->items[i + n].size <= limit)
        bytes += m->items[i + n++].size;
    return n;
}

/* Entries and bodies from some item on, read in one trip to a store thread. */
struct read_job {
    struct maildrop *m;
    struct id *ids;
    size_t n;
    bool ok;
    struct err err;
};

static void read_window(void *arg)
{
    struct read_job *job = arg;
    struct maildrop *m = job->m;

    job->ok = store_get_many(m->store, &entry_kind, job->ids, job->n, m->window, m->entries, &job->err);
    for (size_t j = 0; job->ok && j < job->n; j++)
        job->ids[j] = m->entries[j].body_id;
    job->ok = job->ok && store_get_many(m->store, &body_kind, job->ids, job->n, m->window, m->bodies, &job->err);
}

static bool read_ahead(struct maildrop *m, size_t i, struct err *e)
{
    struct read_job job = { .m = m, .n = window_length(m, i) };

    m->count = 0;
    if (!m->window)
        m->window = arena_new_in(&budget_pop3, PAGE_ARENA + 64 * BODY_INLINE);
    arena_reset(m->window);
    job.ids = arena_array(m->window, job.n, sizeof *job.ids);
    m->entries = arena_array(m->window, job.n, sizeof *m->entries);
    m->bodies = arena_array(m->window, job.n, sizeof *m->bodies);
    for (size_t j = 0; j < job.n; j++)
        job.ids[j] = m->items[i + j].entry_id;
    if (!offload(POOL_STORE, read_window, &job, e))
        return false;
    if (!job.ok || !arena_check(m->window, &job.err)) {
        *e = job.err;
        arena_free(&m->window);
        return false;
    }
    m->first = i;
    m->count = job.n;
    return true;
}

static bool read_pieces(struct body_reader *r, bool (*each)(void *ctx, struct bytes piece, struct err *e), void *ctx,
                        struct err *e)
{
    struct bytes piece;

    do {
        if (!body_next(r, &piece, e))
            return false;
        if (piece.n && !each(ctx, piece, e))
            return false;
    } while (piece.n);
    return true;
}

bool maildrop_is_surrogate(const struct maildrop *m, size_t i, bool utf8)
{
    assert(i >= m->first && i < m->first + m->count);
    return m->entries[i - m->first].header_8bit && !utf8;
}

bool maildrop_read(struct maildrop *m, struct call *c, size_t i, bool utf8,
                   bool (*each)(void *ctx, struct bytes piece, struct err *e), void *ctx)
{
    struct body_reader *r = NULL;
    const struct entry_row *entry;
    struct crypt_key content;
    bool ok;

    assert(i < m->n);
    if ((i < m->first || i >= m->first + m->count) && !read_ahead(m, i, &c->err))
        return false;
    entry = &m->entries[i - m->first];
    if (id_is_none(entry->id))
        return err_set(&c->err, ERR_GONE, "The message was deleted elsewhere");
    if (!seal_open_user(&m->user_key, entry, &content, &c->err))
        return false;
    ok = body_open_row(m->store, &m->bodies[i - m->first], &content, &r, &c->err);
    if (ok && maildrop_is_surrogate(m, i, utf8))
        ok = surrogate_read(r, &budget_pop3, entry->trace, each, ctx, &c->err);
    else
        ok = ok && (!entry->trace.n || each(ctx, entry->trace, &c->err)) && read_pieces(r, each, ctx, &c->err);
    crypt_wipe(&content, sizeof content);
    body_close(&r);
    return ok;
}

/* ---- QUIT ---- */

struct removal {
    struct arena *arena;
    struct batch *batch;
    struct gone gone;
};

/* What was moved away or deleted meanwhile is in this maildrop no more, and left alone. */
static void remove_entry(struct maildrop *m, struct removal *r, const struct entry_row *row)
{
    if (!id_is_none(row->id) && id_equal(row->mailbox_id, m->inbox_id))
        gone_entry(&r->gone, row);
}

static bool look_up(struct maildrop *m, struct removal *r, const struct id *ids, size_t n, struct err *e)
{
    struct arena *a = arena_new(PAGE_ARENA);
    struct entry_row *all = arena_array(a, n, sizeof *all);
    bool ok = store_get_many(m->store, &entry_kind, ids, n, a, all, e);

    for (size_t i = 0; ok && i < n; i++)
        remove_entry(m, r, &all[i]);
    arena_free(&a);
    return ok;
}

/* At most `most` of what is marked from *at on; *at moves behind them. */
static bool gather(struct maildrop *m, struct removal *r, const uint8_t *marked, size_t most, size_t *at, struct err *e)
{
    struct id ids[LOOKUP];
    size_t n = 0, all = 0;
    bool ok = true;

    for (; ok && *at < m->n && all < most; ++*at) {
        if (!(marked[*at / 8] & (1u << (*at % 8))))
            continue;
        ids[n++] = m->items[*at].entry_id;
        all++;
        if (n == LOOKUP) {
            ok = look_up(m, r, ids, n, e);
            n = 0;
        }
    }
    return ok && (!n || look_up(m, r, ids, n, e));
}

/* One batch from *at on, which moves behind it; *n is how many it deleted. */
static bool delete_once(struct maildrop *m, struct call *c, const uint8_t *marked, size_t most, size_t *at, size_t *n)
{
    const struct gone_place here = { m->account_id, m->user_id, m->inbox_id };
    struct removal r = { .arena = arena_new((size_t)1 << 31) };
    size_t behind = *at;
    bool ok;

    r.batch = batch_new(r.arena);
    gone_begin(&r.gone, r.batch, r.arena, &here, most);
    ok = gather(m, &r, marked, most, &behind, &c->err);
    if (ok && r.gone.row->n) {
        gone_end(&r.gone);
        ok = store_commit(m->store, r.batch, c->deadline, &c->err);
    }
    if (ok) {
        directory_add_used(c->svc, m->user_id, -r.gone.bytes);
        *at = behind;
        *n = (size_t)r.gone.row->n;
    }
    arena_free(&r.arena);
    return ok;
}

bool maildrop_delete(struct maildrop *m, struct call *c, const uint8_t *marked, size_t n_marked, size_t *deleted)
{
    size_t most = DELETE_AT_ONCE, at = 0, n;
    int tries = 0;

    *deleted = 0;
    while (n_marked && at < m->n) {
        if (delete_once(m, c, marked, most, &at, &n)) {
            *deleted += n;
            tries = 0;
            most = most * 2 < DELETE_AT_ONCE ? most * 2 : DELETE_AT_ONCE;
            continue;
        }
        if (c->err.code != ERR_CONFLICT)
            return false;
        if (most == 1 && ++tries == DELETE_TRIES)
            return err_set(&c->err, ERR_BUSY, "The mailbox keeps changing");
        most = most / DELETE_FEWER ? most / DELETE_FEWER : 1;
        c->err = (struct err){ 0 };
    }
    return true;
}

bool maildrop_keep(struct maildrop *m, struct call *c)
{
    return store_lock_renew(m->store, m->lock_name, m->lock_token, PARAM_INT(maildrop, lock), &c->err);
}

void maildrop_close(struct maildrop **m)
{
    if (!*m)
        return;
    if ((*m)->lock_name.p)
        store_unlock((*m)->store, (*m)->lock_name, (*m)->lock_token);
    if ((*m)->window)
        arena_free(&(*m)->window);
    crypt_wipe(&(*m)->user_key, sizeof(*m)->user_key);
    snapshot_release(&(*m)->snapshot);
    free(*m);
    *m = NULL;
}
