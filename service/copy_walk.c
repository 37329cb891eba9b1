/* service/copy_walk.c - a store read from end to end, and two compared: see copy_private.h. */
#include "base/clock.h"
#include "base/params.h"
#include "service/copy_private.h"
#include "store/value.h"

/* Longest text of a place: a cursor, or a chunk. */
enum { PLACE_MAX = 8192 };

static const struct field chunk_fields[] = { FIELD(ID, blob_chunk, id), FIELD(INT, blob_chunk, n),
                                             FIELD(BYTES, blob_chunk, bytes) };
const struct kind chunk_kind = {
    .name = "chunk", .prefix = "bod", .size = sizeof(struct blob_chunk), .fields = chunk_fields, .n_fields = 3
};

/* ---- walking ---- */

void walk_begin(struct walk *w, struct store *st, const struct kind *k, struct bytes place)
{
    size_t memory = (size_t)PARAM_INT(store, copy_memory);

    *w = (struct walk){ .st = st, .kind = k, .arena = arena_new(memory), .limit = (size_t)PARAM_INT(store, copy_rows) };
    if (k == &chunk_kind || k->large)
        w->limit = memory / STORE_CHUNK / 4;
    buf_init(&w->place, PLACE_MAX);
    buf_add(&w->place, place);
}

void walk_end(struct walk *w)
{
    buf_clear(&w->place);
    arena_free(&w->arena);
}

struct bytes walk_place(const struct walk *w)
{
    return w->place.n ? buf_bytes(&w->place) : NO_BYTES;
}

/* The place in blobs is "id/number". */
static bool chunk_at(struct bytes place, struct blob_chunk *out)
{
    struct bytes id, n;

    return bytes_cut(place, '/', &id, &n) && id_parse("", id, &out->id) && bytes_to_int(n, &out->n);
}

static struct bytes chunk_place(const struct blob_chunk *c, struct arena *a)
{
    return arena_bytesf(a, "%.*s/%lld", SHOW(id_text(a, "", c->id)), (long long)c->n);
}

static bool read_chunks(struct walk *w, struct bytes *place, struct err *e)
{
    struct blob_chunk after, *found;

    if (w->place.n && !chunk_at(buf_bytes(&w->place), &after))
        return err_set(e, ERR_INVALID, "not a place among the chunks");
    if (!store_blob_walk(w->st, w->place.n ? &after : NULL, w->limit, w->arena, &found, &w->n, e))
        return false;
    w->rows = (const char *)found;
    if (w->n)
        *place = chunk_place(&found[w->n - 1], w->arena);
    return true;
}

static bool read_rows(struct walk *w, struct bytes *place, struct err *e)
{
    struct query q = { .kind = w->kind, .limit = w->limit, .after = walk_place(w) };
    void *found;

    if (!store_find(w->st, &q, w->arena, &found, &w->n, e))
        return false;
    w->rows = found;
    if (w->n)
        *place = store_cursor(&q, w->rows + (w->n - 1) * w->kind->size, w->arena);
    return true;
}

static bool read_feed(struct walk *w, struct bytes *place, struct err *e)
{
    void *found;

    if (!store_watch(w->st, w->kind, walk_place(w), w->limit, clock_monotonic(), w->arena, &found, &w->n, place, e))
        return false;
    w->rows = found;
    return true;
}

bool walk_slice(struct walk *w, struct err *e)
{
    struct bytes place = NO_BYTES;
    struct err why = { 0 };
    bool ok;

    do {
        arena_reset(w->arena);
        why = (struct err){ 0 };
        ok = w->kind == &chunk_kind ? read_chunks(w, &place, &why)
             : w->kind->watched     ? read_feed(w, &place, &why)
                                    : read_rows(w, &place, &why);
    } while (!ok && why.code == ERR_TOO_LARGE && (w->limit /= 2) > 0);
    w->next = 0;
    if (!ok) {
        *e = why;
        return false;
    }
    if (w->n) {
        buf_reset(&w->place);
        buf_add(&w->place, place);
    }
    return true;
}

bool walk_row(struct walk *w, const void **row, struct err *e)
{
    if (w->next == w->n && !walk_slice(w, e))
        return false;
    *row = w->n ? w->rows + w->next++ * w->kind->size : NULL;
    return true;
}

/* ---- comparing ---- */

static struct bytes name_of(const struct kind *k, const void *row, struct arena *a)
{
    return id_text(a, k->prefix, value_of(&k->fields[0], row).id);
}

static bool differ(const struct kind *k, const void *row, const char *how, struct arena *a, struct err *e)
{
    return err_set(
        e, ERR_CONFLICT,
        "%s %.*s %s: one of the stores was changed meanwhile, or is damaged. Stop every server, empty TO, and "
        "copy again",
        k->name, SHOW(name_of(k, row, a)), how);
}

static bool same_rows(const struct kind *k, const void *x, const void *y, struct arena *a, struct err *e)
{
    int order = id_compare(value_of(&k->fields[0], x).id, value_of(&k->fields[0], y).id);

    if (order)
        return differ(k, k->watched || order < 0 ? x : y,
                      k->watched  ? "stands elsewhere in the feed of TO"
                      : order < 0 ? "is missing in TO"
                                  : "is only in TO",
                      a, e);
    for (size_t i = 1; i < k->n_fields; i++) {
        struct value from = value_of(&k->fields[i], x), to = value_of(&k->fields[i], y);

        if (value_is_null(&from) != value_is_null(&to) || value_compare(&from, &to) != 0)
            return differ(k, x, arena_printf(a, "differs in %s", k->fields[i].name), a, e);
    }
    return true;
}

/* Both next rows: *more is false when both stores have ended. */
static bool compare_next(struct walk *from, struct walk *to, bool *more, struct err *e)
{
    const void *x, *y;
    struct err why = { 0 };

    if (!walk_row(from, &x, &why))
        return copy_at("FROM", &why, e);
    if (!walk_row(to, &y, &why))
        return copy_at("TO", &why, e);
    *more = x && y;
    if (x && y)
        return same_rows(from->kind, x, y, from->arena, e);
    if (x)
        return differ(from->kind, x, "is missing in TO", from->arena, e);
    return !y || differ(from->kind, y, "is only in TO", from->arena, e);
}

static bool compare(struct walk *from, struct walk *to, const struct copy_options *o, int64_t *rows, struct err *e)
{
    bool more = true;

    for (*rows = 0; more; *rows += more) {
        if (o->tell && from->next == from->n)
            o->tell(o->arg, COPY_CHECK, from->kind->name, *rows);
        if (!compare_next(from, to, &more, e))
            return false;
    }
    return true;
}

static bool compare_kind(struct store *from, struct store *to, const struct kind *k, const struct copy_options *o,
                         struct copy_report *out, struct err *e)
{
    struct walk f, t;
    bool ok;

    walk_begin(&f, from, k, NO_BYTES);
    walk_begin(&t, to, k, NO_BYTES);
    out->counts[out->n].kind = k->name;
    ok = compare(&f, &t, o, &out->counts[out->n].rows, e);
    out->n += ok;
    walk_end(&f);
    walk_end(&t);
    return ok;
}

bool copy_check(struct store *from, struct store *to, const struct copy_options *o, struct copy_report *out,
                struct err *e)
{
    out->n = 0;
    for (const struct kind *const *k = all_kinds; *k; k++)
        if (*k != &copy_kind && !compare_kind(from, to, *k, o, out, e))
            return false;
    return compare_kind(from, to, &chunk_kind, o, out, e);
}
