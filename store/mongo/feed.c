/* store/mongo/feed.c - reading what has been committed, in its order: see lane.c.
 *
 * Ends of the lanes and rows are read in one snapshot, each lane as a range of one index, and merged by id. A lane that
 * was shown as far as it goes stands at its end, whatever was deleted on the way: a cursor never waits for a row that
 * is gone. */
#include "store/mongo/mongo.h"
#include <assert.h>

enum { PLACE_BYTES = 10 };

/* A place is, for each lane in which the kind has rows, two bytes of its number and eight of how far. */
struct places {
    struct mongo_store *store;
    size_t table, n;
    struct {
        int32_t lane;
        int64_t from, to; /* read up to; committed up to */
        struct gather found;
        size_t shown;
    } at[LANES_MAX];
    struct kind wide; /* with the number as a last field */
};

static int64_t number_at(const char *p, size_t n)
{
    uint64_t out = 0;

    for (size_t i = 0; i < n; i++)
        out = out << 8 | (uint8_t)p[i];
    return (int64_t)out;
}

static bool places_read(struct places *p, struct bytes place)
{
    if (place.n % PLACE_BYTES != 0 || place.n / PLACE_BYTES > LANES_MAX)
        return false;
    for (size_t i = 0; i < place.n; i += PLACE_BYTES) {
        p->at[p->n].lane = (int32_t)number_at(place.p + i, 2);
        p->at[p->n].from = p->at[p->n].to = number_at(place.p + i + 2, 8);
        if (p->at[p->n].from < 0 || p->at[p->n].from >> LANE_BITS || (p->n && p->at[p->n].lane <= p->at[p->n - 1].lane))
            return false;
        p->n++;
    }
    return true;
}

static struct bytes places_write(const struct places *p, struct arena *a)
{
    char *out = arena_alloc(a, p->n * PLACE_BYTES + 1);

    for (size_t i = 0; i < p->n; i++) {
        char *at = out + i * PLACE_BYTES;

        at[0] = (char)(p->at[i].lane >> 8);
        at[1] = (char)p->at[i].lane;
        for (int j = 0; j < 8; j++)
            at[2 + j] = (char)(p->at[i].from >> (56 - 8 * j));
    }
    return (struct bytes){ out, p->n * PLACE_BYTES };
}

/* Lanes come in order, and so do the places. */
static bool note_end(void *arg, const struct lane_row *row)
{
    struct places *p = arg;
    int64_t to = row->seq[p->table];
    size_t i = 0;

    while (i < p->n && p->at[i].lane < row->number)
        i++;
    if (i == p->n || p->at[i].lane != row->number) {
        if (!to || p->n == LANES_MAX)
            return true;
        memmove(&p->at[i + 1], &p->at[i], (p->n - i) * sizeof p->at[0]);
        memset(&p->at[i], 0, sizeof p->at[i]);
        p->at[i].lane = row->number;
        p->n++;
    }
    if (to > p->at[i].to)
        p->at[i].to = to;
    return true;
}

static void widen(struct kind *wide, const struct kind *k)
{
    struct field *fields = calloc(k->n_fields + 1, sizeof *fields);

    if (!fields)
        die("out of memory: fields");
    memcpy(fields, k->fields, k->n_fields * sizeof *fields);
    fields[k->n_fields] = (struct field){ "_seq", FIELD_INT, k->size };
    *wide = *k;
    wide->fields = fields;
    wide->n_fields = k->n_fields + 1;
    wide->size = k->size + sizeof(int64_t);
}

static struct places *places_new(struct mongo_store *s, const struct kind *k)
{
    struct places *p = calloc(1, sizeof *p);

    if (!p)
        die("out of memory: a place");
    p->store = s;
    p->table = table_number(&s->tables, k);
    widen(&p->wide, k);
    return p;
}

static void places_free(struct places *p)
{
    for (size_t i = 0; i < p->n; i++)
        free(p->at[i].found.rows);
    free((void *)(uintptr_t)p->wide.fields);
    free(p);
}

static bool read_ends(struct places *p, mongoc_client_t *c, const bson_t *session, struct err *e)
{
    return lanes_read(p->store, c, &(struct lanes){ .session = session, .each = note_end, .arg = p }, e);
}

/* ---- reading the feed ---- */

struct part {
    const struct watch *watch;
    const bson_t *session;
    struct arena *arena;
};

/* What lies behind `from` in the lane: of all, or of those that have the value. */
static void part_of_lane(const struct places *p, size_t i, const struct watch *w, bson_t *filter, bson_t *opts)
{
    const struct index *x = w->index ? kind_index(w->kind, w->index) : NULL;
    int64_t base = (int64_t)p->at[i].lane << LANE_BITS, limit = w->limit > INT32_MAX ? INT32_MAX : (int64_t)w->limit;

    if (x)
        document_value(filter, x->fields[0], &w->value);
    BCON_APPEND(filter, "_seq", "{", "$gt", BCON_INT64(base | p->at[i].from), "$lte", BCON_INT64(base | p->at[i].to),
                "}");
    BCON_APPEND(opts, "sort", "{", "_seq", BCON_INT32(1), "}", "hint", BCON_UTF8(x ? x->name : "_seq"), "limit",
                BCON_INT64(limit), "batchSize", BCON_INT64(limit));
}

static bool read_feed(struct places *p, mongoc_client_t *c, size_t i, const struct part *part, struct err *e)
{
    mongoc_collection_t *collection = mongo_snapshot_collection(p->store, c, p->wide.name);
    bson_t filter = BSON_INITIALIZER, opts = BSON_INITIALIZER;
    bool ok;

    part_of_lane(p, i, part->watch, &filter, &opts);
    bson_concat(&opts, part->session);
    p->at[i].found.kind = &p->wide;
    ok = mongo_read(p->store, collection, &filter, &opts, ALL_FIELDS, &p->at[i].found, part->arena, e);
    bson_destroy(&filter);
    bson_destroy(&opts);
    mongoc_collection_destroy(collection);
    return ok;
}

/* In one snapshot: a primary that was just elected may not know yet that a majority has the rows whose marks the one
 * before has shown us, and they would be passed over. */
static bool read_feeds(struct places *p, const struct watch *w, struct arena *a, struct err *e)
{
    mongoc_client_t *c = mongo_reach(p->store, e);
    mongoc_client_session_t *session = NULL;
    bson_t opts;
    struct part part = { w, &opts, a };
    bool ok;

    if (!c)
        return false;
    ok = mongo_snapshot_begin(p->store, c, &session, &opts, e) && read_ends(p, c, &opts, e);
    for (size_t i = 0; ok && w->limit && i < p->n; i++)
        if (p->at[i].from < p->at[i].to)
            ok = read_feed(p, c, i, &part, e);
    mongo_snapshot_end(session, &opts);
    mongo_leave(p->store, c);
    return ok;
}

static const char *head(const struct places *p, size_t i)
{
    return p->at[i].shown < p->at[i].found.n ? p->at[i].found.rows + p->at[i].shown * p->wide.size : NULL;
}

/* The next row: of the lanes' first ones the one with the oldest id. */
static const char *next_row(struct places *p)
{
    const char *best = NULL;
    size_t lane = 0;

    for (size_t i = 0; i < p->n; i++) {
        const char *row = head(p, i);

        if (row && (!best || memcmp(row, best, sizeof(struct id)) < 0)) {
            best = row;
            lane = i;
        }
    }
    if (best)
        p->at[lane].shown++;
    return best;
}

/* A lane of which all was shown has been read up to its end, whatever was deleted on the way. */
static void move_on(struct places *p, size_t limit)
{
    const struct field *seq = &p->wide.fields[p->wide.n_fields - 1];

    for (size_t i = 0; i < p->n; i++) {
        size_t shown = p->at[i].shown;

        if (shown == p->at[i].found.n && shown < limit)
            p->at[i].from = p->at[i].to;
        else if (shown)
            p->at[i].from = value_of(seq, p->at[i].found.rows + (shown - 1) * p->wide.size).number &
                            (((int64_t)1 << LANE_BITS) - 1);
    }
}

static bool merge(struct places *p, size_t limit, struct arena *a, struct rows *out, struct err *e)
{
    size_t size = p->store->tables.at[p->table].kind->size, most = 0;
    const char *row;

    for (size_t i = 0; i < p->n; i++)
        most += p->at[i].found.n;
    most = most < limit ? most : limit;
    out->n = 0;
    out->row = arena_try(a, (most ? most : 1) * size);
    if (!out->row)
        return arena_refused(a, "The answer of the store", e);
    while (out->n < most && (row = next_row(p)))
        memcpy((char *)out->row + out->n++ * size, row, size);
    move_on(p, limit);
    return true;
}

bool mongo_watch_read(struct store *st, const struct watch *w, struct bytes *place, struct arena *a, struct rows *out,
                      struct err *e)
{
    struct places *p = places_new((struct mongo_store *)st, w->kind);
    bool ok = places_read(p, *place) || err_set(e, ERR_INVALID, "not a place in the feed of %s", w->kind->name);

    assert(w->kind->fields[0].offset == 0);
    ok = ok && read_feeds(p, w, a, e) && merge(p, w->limit, a, out, e);
    if (ok)
        *place = places_write(p, a);
    places_free(p);
    return ok;
}

bool mongo_watch_end(struct store *st, const struct kind *k, struct arena *a, struct bytes *place, struct err *e)
{
    struct mongo_store *s = (struct mongo_store *)st;
    struct places *p = places_new(s, k);
    mongoc_client_t *c = mongo_reach(s, e);
    bool ok = c && read_ends(p, c, NULL, e);

    for (size_t i = 0; i < p->n; i++)
        p->at[i].from = p->at[i].to;
    if (ok)
        *place = places_write(p, a);
    mongo_leave(s, c);
    places_free(p);
    return ok;
}
