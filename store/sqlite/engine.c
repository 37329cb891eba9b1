/* store/sqlite/engine.c - the table of the engine, opening and closing.
 *
 * Before SQLite is let at the file the log is judged (log_check.c), for SQLite would quietly do without it. Each read
 * takes a connection of the pool around it. The last to close is the writer, which brings the log home; the mark goes
 * before that, so that a crash in between is no loss. */
#include "base/params.h"
#include "store/sqlite/log_check.h"
#include "store/sqlite/sqlite.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { PLAIN_READERS = 8 }; /* connections for threads that are no store workers */

static void close_store(struct store *st)
{
    struct sqlite_store *s = (struct sqlite_store *)st;
    struct conn *c = s->writing;

    writer_stop(s);
    readers_close(s);
    if (c) { /* the last to close brings the log home; before that, so that a crash in between is none */
        log_unmark(s->path);
        conn_close(c);
        free(c);
    }
    tables_clear(&s->tables);
    locks_free(&s->locks);
    pthread_mutex_destroy(&s->readers_lock);
    pthread_cond_destroy(&s->readers_free);
    pthread_mutex_destroy(&s->state_lock);
    free(s->path);
    free(s);
}

static struct sqlite_store *store_new(const struct store_options *o, struct bytes path)
{
    struct sqlite_store *s = calloc(1, sizeof *s);

    if (!s || !(s->path = strndup(path.p, path.n)))
        die("out of memory: a store");
    s->node = o->node;
    s->max_readers = o->readers + PLAIN_READERS;
    pthread_mutex_init(&s->readers_lock, NULL);
    pthread_cond_init(&s->readers_free, NULL);
    pthread_mutex_init(&s->state_lock, NULL);
    s->locks = locks_new();
    atomic_store(&s->room, true);
    atomic_store(&s->room_checked, -1000000);
    tables_init(&s->tables, o->kinds);
    return s;
}

/* For our own eyes; SQLite gives the files beside it the same mode. */
static bool make_file(const char *path, struct err *e)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0)
        return err_set(e, ERR_INVALID, "%s: %s", path, strerror(errno));
    close(fd);
    return true;
}

static bool open_store(const struct store_options *o, struct bytes path, struct store **out, struct err *e)
{
    struct sqlite_store *s = store_new(o, path);
    struct conn *c = calloc(1, sizeof *c);

    if (!c)
        die("out of memory: a connection");
    if ((!o->existing || file_is_filled(s->path, e)) && (!o->alone || file_is_free(s->path, e)) &&
        log_check(s->path, o->accept_loss, e) && make_file(s->path, e) && conn_open(s->path, true, c, e)) {
        s->writing = c;
        if (schema_open(s, c, o->schema, e) && writer_start(s, c, e)) {
            if (conn_is_synchronous())
                log_mark(s->path, s->log_number);
            *out = &s->store;
            return true;
        }
    } else {
        free(c);
    }
    close_store(&s->store);
    return false;
}

/* ---- reading: a connection of the pool around each ---- */

static bool get(struct store *st, const struct kind *k, const struct id *ids, size_t n, struct arena *a, void *rows,
                struct err *e)
{
    struct sqlite_store *s = (struct sqlite_store *)st;
    struct conn *c = reader_take(s, e);
    bool ok = c != NULL, found;

    if (!c)
        return false;
    if (n > 1) /* one state for all */
        ok = conn_step(c, "BEGIN", e);
    for (size_t i = 0; ok && i < n; i++)
        ok = select_get(c, k, ids[i], ALL_FIELDS, a, (char *)rows + i * k->size, &found, e);
    if (n > 1 && !sqlite3_get_autocommit(c->db))
        read_end(c);
    reader_give(s, c);
    return ok;
}

/* Runs `call` with a reader `c`. */
#define READ(st, call)                                                                                                 \
    struct sqlite_store *s = (struct sqlite_store *)(st);                                                              \
    struct conn *c = reader_take(s, e);                                                                                \
    bool ok = c && (call);                                                                                             \
                                                                                                                       \
    if (c)                                                                                                             \
        reader_give(s, c);                                                                                             \
    return ok

static bool get_by(struct store *st, const struct unique_key *key, struct arena *a, void *row, struct err *e)
{
    READ(st, select_by(c, key, a, row, e));
}

static bool rows_find(struct store *st, const struct plan *p, struct arena *a, struct rows *out, struct err *e)
{
    READ(st, select_plan(c, p, NULL, a, out, e));
}

static bool blob_get(struct store *st, struct id id, unsigned n, struct arena *a, struct bytes *out, struct err *e)
{
    READ(st, select_blob(c, id, n, a, out, e));
}

static bool blob_walk(struct store *st, const struct blob_chunk *after, size_t limit, struct arena *a, struct rows *out,
                      struct err *e)
{
    READ(st, select_blobs(c, after, limit, a, out, e));
}

static bool knows_all(struct store *st, struct err *e)
{
    READ(st, select_knows_all(s, c, e));
}

/* A place is eight bytes: the number of the row before it. */
static bool place_read(struct bytes place, int64_t *seq)
{
    uint64_t n = 0;

    for (size_t i = 0; i < place.n; i++)
        n = n << 8 | (uint8_t)place.p[i];
    *seq = (int64_t)n;
    return (place.n == 0 || place.n == 8) && n <= INT64_MAX;
}

static struct bytes place_write(int64_t seq, struct arena *a)
{
    char *p = arena_alloc(a, 8);

    for (int i = 0; i < 8; i++)
        p[i] = (char)((uint64_t)seq >> (56 - 8 * i));
    return (struct bytes){ p, 8 };
}

static bool watch_read(struct store *st, const struct watch *w, struct bytes *place, struct arena *a, struct rows *out,
                       struct err *e)
{
    struct sqlite_store *s = (struct sqlite_store *)st;
    struct conn *c;
    int64_t seq;
    bool ok;

    if (!place_read(*place, &seq))
        return err_set(e, ERR_INVALID, "not a place in the feed of %s", w->kind->name);
    c = reader_take(s, e);
    ok = c && select_watch(c, w, &seq, a, out, e);
    if (c)
        reader_give(s, c);
    if (ok)
        *place = place_write(seq, a);
    return ok;
}

static bool watch_end(struct store *st, const struct kind *k, struct arena *a, struct bytes *place, struct err *e)
{
    struct sqlite_store *s = (struct sqlite_store *)st;
    struct conn *c = reader_take(s, e);
    int64_t seq = 0;
    bool ok = c && select_watch_end(c, k, &seq, e);

    if (c)
        reader_give(s, c);
    if (ok)
        *place = place_write(seq, a);
    return ok;
}

static struct signal *watch_signal(struct store *st, const struct kind *k)
{
    return table_signal(&((struct sqlite_store *)st)->tables, k);
}

/* A walk over one table shows what a start would show; a whole check of a large file would cost too much. */
static bool probe(const char *url, struct bytes place, char *found, size_t n, struct err *e)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *q = NULL;
    int rc = sqlite3_open_v2(place.p, &db, SQLITE_OPEN_READONLY, NULL);

    (void)url;
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(db, "SELECT count(*) FROM message", -1, &q, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(q);
    if (rc == SQLITE_ROW)
        snprintf(found, n, "%s opens, %lld messages", place.p, sqlite3_column_int64(q, 0));
    else
        err_set(e, access(place.p, F_OK) == 0 ? ERR_INVALID : ERR_MISSING, "%.120s: %.100s", place.p,
                sqlite3_errmsg(db));
    sqlite3_finalize(q);
    sqlite3_close(db);
    return rc == SQLITE_ROW;
}

static int64_t now(struct store *st)
{
    (void)st;
    return clock_wall();
}

const struct engine engine_sqlite = {
    .schemes = { "sqlite" },
    .open = open_store,
    .close = close_store,
    .probe = probe,
    .now = now,
    .has_room = state_has_room,
    .is_up = state_is_up,
    .commit = writer_commit,
    .commit_begin = writer_commit_begin,
    .commit_end = writer_commit_end,
    .lazy_mark = writer_lazy_mark,
    .get = get,
    .get_by = get_by,
    .find = rows_find,
    .blob_get = blob_get,
    .claim = writer_claim,
    .lock = lock_take,
    .lock_renew = lock_renew,
    .unlock = lock_end,
    .watch_read = watch_read,
    .watch_end = watch_end,
    .watch_signal = watch_signal,
    .knows_all = knows_all,
    .blob_walk = blob_walk,
};
