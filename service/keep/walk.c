/* service/keep/walk.c - one slice after the other, and the place behind it as text.
 *
 * The place outlives the slice and the process, so a copy that was broken off goes on. How large rows are nobody knows
 * before they are read: a slice that does not fit its memory is read again, half as long. */
#include "service/keep/walk.h"
#include "base/clock.h"
#include "base/params.h"

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
