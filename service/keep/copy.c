/* service/keep/copy.c - the copy itself, and how far it is.
 *
 * Where it stands is written by the batch that brings the rows, on condition that nobody else has gone on: a batch
 * whose outcome is unknown is found out by reading the place again, and none is brought twice. A database that is away
 * is waited for. A copy that is not finished is no store: no server opens it. */
#include "service/keep/copy.h"
#include "base/clock.h"
#include "base/params.h"
#include "service/keep/copy_private.h"
#include <unistd.h>

enum { COMMIT_MS = 30000, PATIENCE_MS = 300000, PAUSE_US = 250000, PROGRESS_ARENA = 1 << 20, BATCH_ARENA = 1 << 26 };

/* There is one row, and one node that copies: an earlier copy that was killed does not count as alive. */
static const struct id the_copy = { { 'c', 'o', 'p', 'y', 1 } };

struct copy {
    const struct copy_options *o;
    struct store *from, *to;
    const struct kind *step; /* what is copied now: NULL when all is */
    struct buf place;        /* how far it is, and how many rows: as it stands in TO */
    int64_t rows;
    int64_t since; /* monotonic ms of the last slice */
};

bool copy_at(const char *side, const struct err *why, struct err *e)
{
    *e = *why;
    snprintf(e->message, sizeof e->message, "%s: %.*s", side, (int)(sizeof e->message - 8), why->message);
    return false;
}

/* ---- how far it is ---- */

static bool load(struct store *st, struct arena *a, struct copy_row *row, bool *there, struct err *e)
{
    return store_look(st, &copy_kind, the_copy, a, row, there, e);
}

bool copy_is_whole(struct store *st, struct err *e)
{
    struct arena *a = arena_new(PROGRESS_ARENA);
    struct copy_row row = { .id = NO_ID };
    bool there, ok = load(st, a, &row, &there, e);

    if (ok && there && !row.done_at)
        ok = err_set(e, ERR_INVALID,
                     "the store is a copy that has not been finished: run `postrider store copy` again with the same "
                     "FROM and TO, or begin with an empty TO");
    arena_free(&a);
    return ok;
}

static const struct kind *step_kind(struct bytes step)
{
    for (const struct kind *const *k = all_kinds; *k; k++)
        if (bytes_equal(step, bytes_of((*k)->name)))
            return *k;
    return bytes_equal(step, bytes_of(chunk_kind.name)) ? &chunk_kind : NULL;
}

/* What comes behind a kind: the next of the list, the chunks, nothing. */
static const struct kind *step_behind(const struct kind *k)
{
    const struct kind *const *at = all_kinds;

    if (k == &chunk_kind)
        return NULL;
    while (*at != k)
        at++;
    if (at[1] == &copy_kind)
        at++;
    return at[1] ? at[1] : &chunk_kind;
}

static struct value step_value(const struct kind *k)
{
    return V_TEXT(k ? bytes_of(k->name) : NO_BYTES);
}

static struct value place_value(struct bytes place)
{
    return V_TEXT(place.n ? place : NO_BYTES);
}

static bool take_progress(struct copy *c, const struct copy_row *row, struct err *e)
{
    c->step = row->step.p ? step_kind(row->step) : NULL;
    c->rows = row->rows;
    buf_reset(&c->place);
    buf_add(&c->place, row->place);
    return c->step || !row->step.p ||
           err_set(e, ERR_INVALID, "TO: the copy was begun by another version of postrider: go on with that one");
}

/* As TO says, after an error that leaves open whether a slice came through. */
static bool reload(struct copy *c, struct err *e)
{
    struct arena *a = arena_new(PROGRESS_ARENA);
    struct copy_row row = { .id = NO_ID };
    struct err why = { 0 };
    bool there, ok;

    if (!load(c->to, a, &row, &there, &why))
        ok = copy_at("TO", &why, e);
    else if (!there)
        ok = err_set(e, ERR_CONFLICT, "TO was emptied meanwhile");
    else
        ok = take_progress(c, &row, e);
    arena_free(&a);
    return ok;
}

/* ---- a slice ---- */

/* The first operation of a batch: on condition that nobody else has gone on. */
static void advance(const struct copy *c, struct batch *b, const struct kind *step, struct bytes place, int64_t rows,
                    struct arena *a)
{
    struct cond *same = arena_array(a, 3, sizeof *same);
    struct set *sets = arena_array(a, 3, sizeof *sets);

    same[0] = COND("step", IS, step_value(c->step));
    same[1] = COND("place", IS, place_value(buf_bytes(&c->place)));
    same[2] = COND("rows", IS, V_INT(c->rows));
    sets[0] = SET("step", step_value(step));
    sets[1] = SET("place", place_value(place));
    sets[2] = SET("rows", V_INT(rows));
    batch_update(b, &copy_kind, the_copy, same, 3, sets, 3);
}

static void add_rows(struct batch *b, const struct walk *w)
{
    const struct blob_chunk *chunks = (const void *)w->rows;

    for (size_t i = 0; i < w->n; i++) {
        if (w->kind == &chunk_kind)
            batch_blob_put(b, chunks[i].id, (unsigned)chunks[i].n, chunks[i].bytes);
        else
            batch_insert(b, w->kind, w->rows + i * w->kind->size, NULL, 0);
    }
}

static bool commit(const struct copy *c, struct batch *b, struct err *e)
{
    struct err why = { 0 };

    if (store_commit(c->to, b, clock_monotonic() + COMMIT_MS, &why))
        return true;
    if (why.code == ERR_CONFLICT && batch_failure(b).operation == 0)
        return err_set(e, ERR_IN_USE, "TO: another copy into it is at work");
    if (why.code == ERR_CONFLICT)
        return err_set(e, ERR_CONFLICT, "TO: %.150s; it was changed meanwhile: empty it, and copy again", why.message);
    return copy_at("TO", &why, e);
}

/* The rows of the slice, or, behind the last one, the step to the next kind. */
static bool bring(struct copy *c, const struct walk *w, struct err *e)
{
    struct arena *a = arena_new(BATCH_ARENA);
    struct batch *b = batch_new(a);
    const struct kind *step = w->n ? w->kind : step_behind(w->kind);
    struct bytes place = w->n ? walk_place(w) : NO_BYTES;
    int64_t rows = w->n ? c->rows + (int64_t)w->n : 0;
    bool ok;

    advance(c, b, step, place, rows, a);
    add_rows(b, w);
    ok = commit(c, b, e);
    if (ok) {
        c->step = step;
        c->rows = rows;
        buf_reset(&c->place);
        buf_add(&c->place, place);
        c->since = clock_monotonic();
    }
    arena_free(&a);
    return ok;
}

/* What is left of the step's kind. */
static bool copy_kind_rows(struct copy *c, struct err *e)
{
    const struct kind *k = c->step;
    struct err why = { 0 };
    struct walk w;
    bool ok = true;

    walk_begin(&w, c->from, k, buf_bytes(&c->place));
    while (ok && c->step == k) {
        ok = walk_slice(&w, &why) ? bring(c, &w, e) : copy_at("FROM", &why, e);
        if (ok && w.n && c->o->tell)
            c->o->tell(c->o->arg, COPY_ROWS, k->name, c->rows);
    }
    walk_end(&w);
    return ok;
}

/* A database may be away for a while. */
static bool copy_all(struct copy *c, struct err *e)
{
    c->since = clock_monotonic();
    while (c->step) {
        struct err why = { 0 };

        if (copy_kind_rows(c, &why))
            continue;
        do {
            if (why.code != ERR_BUSY || clock_monotonic() - c->since > PATIENCE_MS) {
                *e = why;
                return false;
            }
            usleep(PAUSE_US);
            why = (struct err){ 0 };
        } while (!reload(c, &why));
    }
    return true;
}

/* ---- before and after ---- */

static bool open_side(const char *side, const char *url, bool existing, struct store **out, struct err *e)
{
    struct store_options s = { .url = url,
                               .kinds = all_kinds,
                               .schema = SCHEMA_VERSION,
                               .node = the_copy,
                               .readers = 2,
                               .existing = existing,
                               .alone = true };
    struct err why = { 0 };

    if (!store_open(&s, out, &why))
        return copy_at(side, &why, e);
    store_end_earlier(*out); /* of a copy that was killed */
    return true;
}

static bool has_rows(struct store *st, const struct kind *k, bool *any, struct err *e)
{
    static const char *const only[] = { "id", NULL };
    struct query q = { .kind = k, .limit = 1, .only = only };
    struct arena *a = arena_new(PROGRESS_ARENA);
    void *rows;
    size_t n;
    bool ok = store_find(st, &q, a, &rows, &n, e);

    *any = ok && n > 0;
    arena_free(&a);
    return ok;
}

/* A whole store that this build knows, and somebody has used. */
static bool check_from(struct store *from, struct err *e)
{
    struct err why = { 0 };
    bool any;

    if (!store_knows_all(from, &why) || !copy_is_whole(from, &why) || !has_rows(from, &account_kind, &any, &why))
        return copy_at("FROM", &why, e);
    return any || err_set(e, ERR_MISSING, "FROM holds nothing: no server has ever used it. Is its name right?");
}

static bool check_empty(struct store *to, struct err *e)
{
    struct err why = { 0 };
    bool any;

    for (const struct kind *const *k = all_kinds; *k; k++) {
        if (!has_rows(to, *k, &any, &why))
            return copy_at("TO", &why, e);
        if (any)
            return err_set(e, ERR_INVALID,
                           "TO is not empty: it holds rows of the kind %s. Name a new database, or empty it",
                           (*k)->name);
    }
    return true;
}

static bool copy_begin(struct copy *c, int64_t now, struct err *e)
{
    struct arena *a = arena_new(PROGRESS_ARENA);
    struct batch *b = batch_new(a);
    struct copy_row row = {
        .id = the_copy, .origin = store_identity(c->from), .step = bytes_of(all_kinds[0]->name), .started_at = now
    };
    struct err why = { 0 };
    bool ok;

    batch_insert(b, &copy_kind, &row, NULL, 0);
    ok = check_empty(c->to, e) &&
         (store_commit(c->to, b, clock_monotonic() + COMMIT_MS, &why) || copy_at("TO", &why, e));
    arena_free(&a);
    return ok;
}

/* Begins, or finds where it was. */
static bool find_place(struct copy *c, struct copy_report *out, struct err *e)
{
    struct arena *a = arena_new(PROGRESS_ARENA);
    struct copy_row row = { .id = NO_ID };
    struct err why = { 0 };
    bool ok = load(c->to, a, &row, &out->resumed, &why) || copy_at("TO", &why, e);

    out->started_at = out->resumed ? row.started_at : clock_wall();
    if (ok && out->resumed && row.origin != store_identity(c->from))
        ok = err_set(e, ERR_INVALID, "TO holds a copy of another store than FROM. Name a new database, or empty it");
    ok = ok && (out->resumed || copy_begin(c, out->started_at, e)) && reload(c, e);
    out->done_at = row.done_at;
    out->was_done = row.done_at != 0;
    arena_free(&a);
    return ok;
}

static bool finish(struct copy *c, struct copy_report *out, struct err *e)
{
    struct arena *a = arena_new(PROGRESS_ARENA);
    struct batch *b = batch_new(a);
    struct set done = SET("done_at", V_TIME(clock_wall()));
    bool ok;

    batch_update(b, &copy_kind, the_copy, NULL, 0, &done, 1);
    ok = commit(c, b, e);
    out->done_at = done.value.number;
    arena_free(&a);
    return ok;
}

/* A copy that was finished counts as one only as long as nobody has gone on: what is new in FROM is not in TO, and what
 * is new in TO must not be lost with it. */
static bool is_still_whole(struct copy *c, struct copy_report *out, struct err *e)
{
    struct err why = { 0 };
    struct bytes where, rest;

    if (copy_check(c->from, c->to, c->o, out, &why))
        return true;
    if (why.code != ERR_CONFLICT) {
        *e = why;
        return false;
    }
    bytes_cut(bytes_of(why.message), ':', &where, &rest);
    return err_set(e, ERR_CONFLICT,
                   "TO is a finished copy, but FROM or TO has gone on since: %.*s. If TO is in use, go on with it; to "
                   "bring what is new in FROM, empty TO, and copy again",
                   SHOW(bytes_head(where, 80)));
}

static bool run(struct copy *c, struct copy_report *out, struct err *e)
{
    if (!check_from(c->from, e) || !open_side("TO", c->o->to, false, &c->to, e))
        return false;
    if (store_identity(c->from) == store_identity(c->to))
        return err_set(e, ERR_INVALID, "FROM and TO are the same database");
    if (!store_knows_all(c->to, e) || !find_place(c, out, e))
        return false;
    if (out->was_done)
        return is_still_whole(c, out, e);
    return copy_all(c, e) && copy_check(c->from, c->to, c->o, out, e) && finish(c, out, e);
}

bool copy_run(const struct copy_options *o, struct copy_report *out, struct err *e)
{
    struct copy c = { .o = o };
    bool ok;

    *out = (struct copy_report){ 0 };
    buf_init(&c.place, PROGRESS_ARENA);
    ok = open_side("FROM", o->from, true, &c.from, e) && run(&c, out, e);
    buf_clear(&c.place);
    store_close(&c.to);
    store_close(&c.from);
    return ok;
}
