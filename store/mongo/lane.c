/* The order of commit without a counter that all would wait for.
 *
 * Each committer has a lane: a row of _lane that every one of its groups raises, in the group's own transaction. Within
 * a lane, groups follow one another, so its numbers are dense and in the order of commit. A place in the feed of a kind
 * is how far a reader is in each lane. A read first looks how far the lanes are: all up to there has been committed and
 * is visible. So nothing is left out, whatever commits meanwhile. What lies there is merged by id: a row that was made
 * after another had been committed never comes before it.
 *
 * The same mark tells whether a group whose commit had no answer is there. A lane belongs to a process as long as its
 * row in _process is renewed; a write by one that lost it finds another owner in the lane, and fails as a whole. */
#include "store/mongo/mongo.h"
#include <assert.h>

enum { LIVE_MS = 30000, DUPLICATE_KEY = 11000, TAKE_TRIES = 100 };

/* ---- processes ---- */

/* One update; *n rows matched. */
static bool update(struct mongo_store *s, mongoc_client_t *c, const char *name, const bson_t *filter,
                   const bson_t *change, const bson_t *opts, int64_t *n, bson_error_t *why)
{
    mongoc_collection_t *collection = mongo_collection(s, c, name);
    bson_t reply;
    bson_iter_t at;
    bool ok = mongoc_collection_update_one(collection, filter, change, opts, &reply, why);

    *n = ok && bson_iter_init_find(&at, &reply, "matchedCount") ? bson_iter_as_int64(&at) : 0;
    bson_destroy(&reply);
    mongoc_collection_destroy(collection);
    return ok;
}

/* Alive by the server's clock for LIVE_MS from now. */
bool process_renew(struct mongo_store *s, mongoc_client_t *c, struct err *e)
{
    bson_t filter = BSON_INITIALIZER, pipeline = BSON_INITIALIZER, stage, set;
    bson_t *upsert = BCON_NEW("upsert", BCON_BOOL(true));
    bson_error_t why;
    int64_t n;
    bool ok;

    document_id(&filter, "_id", s->process);
    bson_append_document_begin(&pipeline, "0", 1, &stage);
    bson_append_document_begin(&stage, "$set", -1, &set);
    document_id(&set, "node", s->node);
    BCON_APPEND(&set, "until", "{", "$add", "[", "$$NOW", BCON_INT64(LIVE_MS), "]", "}");
    bson_append_document_end(&stage, &set);
    bson_append_document_end(&pipeline, &stage);
    ok = update(s, c, "_process", &filter, &pipeline, upsert, &n, &why) || mongo_err(s, &why, e);
    bson_destroy(&filter);
    bson_destroy(&pipeline);
    bson_destroy(upsert);
    return ok;
}

/* There is one process of a node: earlier ones are dead, and their lanes free. */
bool process_begin(struct mongo_store *s, mongoc_client_t *c, struct err *e)
{
    mongoc_collection_t *process = mongo_collection(s, c, "_process");
    bson_t earlier = BSON_INITIALIZER;
    bson_error_t why;
    bool ok;

    document_id(&earlier, "node", s->node);
    ok = mongoc_collection_delete_many(process, &earlier, NULL, NULL, &why) || mongo_err(s, &why, e);
    bson_destroy(&earlier);
    mongoc_collection_destroy(process);
    return ok && process_renew(s, c, e);
}

void process_end(struct mongo_store *s, mongoc_client_t *c)
{
    bson_t lanes = BSON_INITIALIZER, self = BSON_INITIALIZER;
    bson_t *free = BCON_NEW("$unset", "{", "owner", BCON_BOOL(true), "}");
    mongoc_collection_t *lane = mongo_collection(s, c, "_lane"), *process = mongo_collection(s, c, "_process");
    bson_error_t why; /* whatever stays behind runs out by itself */

    document_id(&lanes, "owner", s->process);
    document_id(&self, "_id", s->process);
    if (mongoc_collection_update_many(lane, &lanes, free, NULL, NULL, &why))
        mongoc_collection_delete_one(process, &self, NULL, NULL, &why);
    mongoc_collection_destroy(lane);
    mongoc_collection_destroy(process);
    bson_destroy(free);
    bson_destroy(&lanes);
    bson_destroy(&self);
}

/* ---- reading lanes ---- */

static void read_seqs(const struct mongo_store *s, bson_iter_t *at, int64_t *seq)
{
    bson_iter_t kind;

    if (!bson_iter_recurse(at, &kind))
        return;
    while (bson_iter_next(&kind))
        for (size_t i = 0; i < s->n_tables; i++)
            if (strcmp(bson_iter_key(&kind), s->tables[i].kind->name) == 0)
                seq[i] = bson_iter_as_int64(&kind);
}

static void read_lane(const struct mongo_store *s, const bson_t *doc, struct lane_row *row)
{
    bson_iter_t at;

    row->owner = NO_ID;
    row->number = 0;
    row->group = 0;
    memset(row->seq, 0, s->n_tables * sizeof *row->seq);
    if (!bson_iter_init(&at, doc))
        return;
    while (bson_iter_next(&at)) {
        const char *key = bson_iter_key(&at);

        if (strcmp(key, "_id") == 0)
            row->number = (int32_t)bson_iter_as_int64(&at);
        else if (strcmp(key, "owner") == 0)
            document_read_id(&at, &row->owner);
        else if (strcmp(key, "group") == 0)
            row->group = bson_iter_as_int64(&at);
        else if (strcmp(key, "seq") == 0)
            read_seqs(s, &at, row->seq);
    }
}

bool lanes_read(struct mongo_store *s, mongoc_client_t *c, const bson_t *filter,
                bool (*each)(void *arg, const struct lane_row *row), void *arg, struct err *e)
{
    mongoc_collection_t *collection = mongo_collection(s, c, "_lane");
    bson_t *opts = BCON_NEW("sort", "{", "_id", BCON_INT32(1), "}");
    mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(collection, filter, opts, NULL);
    struct lane_row row = { .seq = calloc(s->n_tables + 1, sizeof *row.seq) };
    const bson_t *doc;
    bson_error_t why;
    bool more = true, ok;

    if (!row.seq)
        die("out of memory: a lane");
    while (more && mongoc_cursor_next(cursor, &doc)) {
        read_lane(s, doc, &row);
        more = each(arg, &row);
    }
    ok = !mongoc_cursor_error(cursor, &why) || mongo_err(s, &why, e);
    free(row.seq);
    mongoc_cursor_destroy(cursor);
    bson_destroy(opts);
    mongoc_collection_destroy(collection);
    return ok;
}

/* ---- taking one ---- */

/* Is the owner's row there, and renewed in time by the server's clock? */
static bool is_alive(struct mongo_store *s, mongoc_client_t *c, struct id owner, bool *alive, struct err *e)
{
    mongoc_collection_t *collection = mongo_collection(s, c, "_process");
    bson_t *filter = BCON_NEW("$expr", "{", "$gt", "[", "$until", "$$NOW", "]", "}");
    mongoc_cursor_t *cursor;
    const bson_t *doc;
    bson_error_t why;
    bool ok;

    document_id(filter, "_id", owner);
    cursor = mongoc_collection_find_with_opts(collection, filter, NULL, NULL);
    *alive = mongoc_cursor_next(cursor, &doc);
    ok = !mongoc_cursor_error(cursor, &why) || mongo_err(s, &why, e);
    mongoc_cursor_destroy(cursor);
    bson_destroy(filter);
    mongoc_collection_destroy(collection);
    return ok;
}

struct owners {
    struct {
        int32_t number;
        struct id owner;
    } lanes[LANES_MAX];
    size_t n;
};

static bool note_owner(void *arg, const struct lane_row *row)
{
    struct owners *o = arg;

    o->lanes[o->n].number = row->number;
    o->lanes[o->n].owner = row->owner;
    return ++o->n < LANES_MAX;
}

/* From its owner, who may be gone or nobody, unless somebody was faster. */
static bool take_over(struct mongo_store *s, mongoc_client_t *c, int32_t number, struct id owner, bool *mine,
                      struct err *e)
{
    bson_t filter = BSON_INITIALIZER, change = BSON_INITIALIZER, set;
    bson_error_t why;
    int64_t n;
    bool ok;

    bson_append_int32(&filter, "_id", -1, number);
    if (id_is_none(owner))
        bson_append_null(&filter, "owner", -1);
    else
        document_id(&filter, "owner", owner);
    bson_append_document_begin(&change, "$set", -1, &set);
    document_id(&set, "owner", s->process);
    bson_append_document_end(&change, &set);
    ok = update(s, c, "_lane", &filter, &change, NULL, &n, &why) || mongo_err(s, &why, e);
    *mine = ok && n == 1;
    bson_destroy(&filter);
    bson_destroy(&change);
    return ok;
}

static bool make_lane(struct mongo_store *s, mongoc_client_t *c, int32_t number, bool *mine, struct err *e)
{
    mongoc_collection_t *collection = mongo_collection(s, c, "_lane");
    bson_t *doc = BCON_NEW("_id", BCON_INT32(number), "group", BCON_INT64(0));
    bson_error_t why;

    document_id(doc, "owner", s->process);
    *mine = mongoc_collection_insert_one(collection, doc, NULL, NULL, &why);
    bson_destroy(doc);
    mongoc_collection_destroy(collection);
    return *mine || why.code == DUPLICATE_KEY || mongo_err(s, &why, e);
}

static bool take_lane(struct mongo_store *s, mongoc_client_t *c, int32_t *number, struct err *e)
{
    struct owners *o = calloc(1, sizeof *o);
    bson_t all = BSON_INITIALIZER;
    bool mine = false, alive, ok;

    if (!o)
        die("out of memory: lanes");
    ok = lanes_read(s, c, &all, note_owner, o, e);
    for (size_t i = 0; ok && !mine && i < o->n; i++) {
        alive = false;
        ok = id_is_none(o->lanes[i].owner) || is_alive(s, c, o->lanes[i].owner, &alive, e);
        if (ok && !alive)
            ok = take_over(s, c, *number = o->lanes[i].number, o->lanes[i].owner, &mine, e);
    }
    if (ok && !mine && o->n == LANES_MAX)
        ok = err_set(e, ERR_BUSY, "%d committers are at work on this database already", LANES_MAX);
    if (ok && !mine)
        ok = make_lane(s, c, *number = o->n ? o->lanes[o->n - 1].number + 1 : 1, &mine, e);
    if (ok && !mine)
        *number = 0;
    free(o);
    return ok;
}

struct wanted {
    struct mongo_store *store;
    struct lane *lane;
    bool ours;
};

static bool learn(void *arg, const struct lane_row *row)
{
    struct wanted *w = arg;

    w->ours = id_equal(row->owner, w->store->process);
    w->lane->group = row->group;
    memcpy(w->lane->seq, row->seq, w->store->n_tables * sizeof *row->seq);
    return false;
}

bool lane_ready(struct mongo_store *s, mongoc_client_t *c, struct lane *l, struct err *e)
{
    for (int try = 0; !l->known && try < TAKE_TRIES; try++) {
        struct wanted w = { s, l, false };
        bson_t filter = BSON_INITIALIZER;
        bool ok = l->number || take_lane(s, c, &l->number, e);

        bson_append_int32(&filter, "_id", -1, l->number);
        ok = ok && (!l->number || lanes_read(s, c, &filter, learn, &w, e));
        bson_destroy(&filter);
        if (!ok)
            return false;
        l->known = w.ours;
        if (!w.ours)
            l->number = 0;
    }
    return l->known || err_set(e, ERR_BUSY, "no lane to commit in could be had");
}

/* ---- the mark of a group ---- */

bool lane_mark(struct mongo_store *s, mongoc_client_t *c, const struct lane *l, const int64_t *seq,
               const bson_t *session, bool *ours, bson_error_t *why)
{
    bson_t filter = BSON_INITIALIZER, change = BSON_INITIALIZER, set;
    int64_t n;
    bool ok;

    bson_append_int32(&filter, "_id", -1, l->number);
    document_id(&filter, "owner", s->process);
    bson_append_int64(&filter, "group", -1, l->group);
    bson_append_document_begin(&change, "$set", -1, &set);
    bson_append_int64(&set, "group", -1, l->group + 1);
    for (size_t i = 0; i < s->n_tables; i++)
        if (seq[i] != l->seq[i]) {
            char name[128];

            snprintf(name, sizeof name, "seq.%s", s->tables[i].kind->name);
            bson_append_int64(&set, name, -1, seq[i]);
        }
    bson_append_document_end(&change, &set);
    ok = update(s, c, "_lane", &filter, &change, session, &n, why);
    *ours = n == 1;
    bson_destroy(&filter);
    bson_destroy(&change);
    return ok;
}

struct mark {
    const struct mongo_store *store;
    int64_t group;
    bool ours;
};

static bool read_mark(void *arg, const struct lane_row *row)
{
    struct mark *m = arg;

    m->group = row->group;
    m->ours = id_equal(row->owner, m->store->process);
    return false;
}

/* Written before it is read: who answers is the primary now, and has finished what was open on the row. In a lane that
 * another process took and went on in, our mark cannot be told from its own. */
bool lane_committed(struct mongo_store *s, mongoc_client_t *c, const struct lane *l, enum committed *out, struct err *e)
{
    bson_t filter = BSON_INITIALIZER, *change = BCON_NEW("$inc", "{", "asked", BCON_INT64(1), "}");
    struct mark mark = { s, -1, false };
    bson_error_t why;
    int64_t n;
    bool ok;

    bson_append_int32(&filter, "_id", -1, l->number);
    ok = (update(s, c, "_lane", &filter, change, NULL, &n, &why) || mongo_err(s, &why, e)) &&
         lanes_read(s, c, &filter, read_mark, &mark, e);
    *out = mark.group == l->group               ? COMMITTED_NO
           : mark.ours && mark.group > l->group ? COMMITTED_YES
                                                : COMMITTED_UNKNOWN;
    bson_destroy(&filter);
    bson_destroy(change);
    return ok;
}
