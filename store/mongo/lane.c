/* The order of commit without a counter that all would wait for.
 *
 * Each committer has a lane, a shard of the log: a row of _lane that every one of its groups raises, in the group's own
 * transaction. Within a lane, groups follow one another, so its numbers are dense and in the order of commit. A place
 * in the feed of a kind is how far a reader is in each lane. A read first looks how far the lanes are: all up to there
 * has been committed and is visible. So nothing is left out, whatever commits meanwhile. What lies there is merged by
 * id: a row that was made after another had been committed never comes before it.
 *
 * The same mark tells whether a group whose commit had no answer is there. A lane belongs to a process as long as its
 * row in _process is renewed; a write by one that lost it finds another owner in the lane, and fails as a whole. Who
 * takes a lane notes how far its owner had come, so that an owner who was only slow can still tell. */
#include "store/mongo/mongo.h"

enum { TAKE_TRIES = 100 };

/* ---- reading lanes ---- */

static void read_seqs(const struct mongo_store *s, bson_iter_t *at, int64_t *seq)
{
    bson_iter_t kind;

    if (!bson_iter_recurse(at, &kind))
        return;
    while (bson_iter_next(&kind))
        for (size_t i = 0; i < s->tables.n; i++)
            if (strcmp(bson_iter_key(&kind), s->tables.at[i].kind->name) == 0)
                seq[i] = bson_iter_as_int64(&kind);
}

static void read_lane(const struct mongo_store *s, const bson_t *doc, struct lane_row *row)
{
    bson_iter_t at;

    row->owner = NO_ID;
    row->number = 0;
    row->group = 0;
    memset(row->seq, 0, s->tables.n * sizeof *row->seq);
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

static bool read_once(struct mongo_store *s, mongoc_client_t *c, const struct lanes *which, const bson_t *filter,
                      bson_error_t *why)
{
    mongoc_collection_t *collection =
        which->session ? mongo_snapshot_collection(s, c, "_lane") : mongo_collection(s, c, "_lane");
    bson_t *opts = BCON_NEW("sort", "{", "_id", BCON_INT32(1), "}");
    mongoc_cursor_t *cursor;
    struct lane_row row = { .seq = calloc(s->tables.n + 1, sizeof *row.seq) };
    const bson_t *doc;
    bool more = true, ok;

    if (!row.seq)
        die("out of memory: a lane");
    if (which->session)
        bson_concat(opts, which->session);
    cursor = mongoc_collection_find_with_opts(collection, filter, opts, NULL);
    while (more && mongoc_cursor_next(cursor, &doc)) {
        read_lane(s, doc, &row);
        more = which->each(which->arg, &row);
    }
    ok = !mongoc_cursor_error(cursor, why);
    free(row.seq);
    mongoc_cursor_destroy(cursor);
    bson_destroy(opts);
    mongoc_collection_destroy(collection);
    return ok;
}

bool lanes_read(struct mongo_store *s, mongoc_client_t *c, const struct lanes *which, struct err *e)
{
    bson_t filter = BSON_INITIALIZER;
    bson_error_t why;
    bool ok;

    if (which->number)
        bson_append_int32(&filter, "_id", -1, which->number);
    ok = read_once(s, c, which, &filter, &why);
    for (int try = 0; !ok && why.code == SNAPSHOT_UNAVAILABLE && try < SNAPSHOT_TRIES; try++) {
        usleep(SNAPSHOT_PAUSE_US);
        ok = read_once(s, c, which, &filter, &why);
    }
    bson_destroy(&filter);
    return ok || mongo_err(s, &why, e);
}

/* ---- taking one ---- */

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
    bson_t filter = BSON_INITIALIZER, change = BSON_INITIALIZER, stage, set;
    bson_error_t why;
    int64_t n;
    bool ok;

    bson_append_int32(&filter, "_id", -1, number);
    if (id_is_none(owner))
        bson_append_null(&filter, "owner", -1);
    else
        document_id(&filter, "owner", owner);
    bson_append_document_begin(&change, "0", 1, &stage);
    bson_append_document_begin(&stage, "$set", -1, &set);
    document_id(&set, "owner", s->process);
    BCON_APPEND(&set, "before", "{", "owner", "$owner", "group", "$group", "}");
    bson_append_document_end(&stage, &set);
    bson_append_document_end(&change, &stage);
    ok = mongo_update(s, c, "_lane", &filter, &change, NULL, &n, &why) || mongo_err(s, &why, e);
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

/* A lane that is nobody's, or whose owner is dead. */
static bool take_free(struct mongo_store *s, mongoc_client_t *c, const struct owners *o, int32_t *number, struct err *e)
{
    bool mine = false, alive, ok = true;

    for (size_t i = 0; ok && !mine && i < o->n; i++) {
        alive = false;
        ok = id_is_none(o->lanes[i].owner) || process_is_alive(s, c, o->lanes[i].owner, &alive, e);
        if (ok && !alive)
            ok = take_over(s, c, *number = o->lanes[i].number, o->lanes[i].owner, &mine, e);
    }
    *number = mine ? *number : 0;
    return ok;
}

static bool take_lane(struct mongo_store *s, mongoc_client_t *c, int32_t *number, struct err *e)
{
    struct owners *o = calloc(1, sizeof *o);
    bool mine = false, ok;

    if (!o)
        die("out of memory: lanes");
    *number = 0;
    ok = process_same_database(s, c, e) && process_bury_dead(s, c, e) &&
         lanes_read(s, c, &(struct lanes){ .each = note_owner, .arg = o }, e) && take_free(s, c, o, number, e);
    if (ok && !*number && o->n == LANES_MAX)
        ok = err_set(e, ERR_BUSY, "%d committers are at work on this database already", LANES_MAX);
    if (ok && !*number) {
        *number = o->n ? o->lanes[o->n - 1].number + 1 : 1;
        ok = make_lane(s, c, *number, &mine, e);
        *number = mine ? *number : 0;
    }
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
    memcpy(w->lane->seq, row->seq, w->store->tables.n * sizeof *row->seq);
    return false;
}

bool lane_ready(struct mongo_store *s, mongoc_client_t *c, struct lane *l, struct err *e)
{
    for (int try = 0; !l->known && try < TAKE_TRIES; try++) {
        struct wanted w = { s, l, false };

        if (!l->number && !take_lane(s, c, &l->number, e))
            return false;
        if (l->number && !lanes_read(s, c, &(struct lanes){ .number = l->number, .each = learn, .arg = &w }, e))
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
    for (size_t i = 0; i < s->tables.n; i++)
        if (seq[i] != l->seq[i]) {
            char name[128];

            snprintf(name, sizeof name, "seq.%s", s->tables.at[i].kind->name);
            bson_append_int64(&set, name, -1, seq[i]);
        }
    bson_append_document_end(&change, &set);
    ok = mongo_update(s, c, "_lane", &filter, &change, session, &n, why);
    *ours = n == 1;
    bson_destroy(&filter);
    bson_destroy(&change);
    return ok;
}

/* How far the lane was in our hands; -1: it went through others' since. */
static int64_t our_group(const struct mongo_store *s, const bson_t *lane)
{
    bson_iter_t at, deep;
    struct id id = NO_ID;

    if (bson_iter_init_find(&at, lane, "owner"))
        document_read_id(&at, &id);
    if (id_equal(id, s->process))
        return bson_iter_init_find(&at, lane, "group") ? bson_iter_as_int64(&at) : -1;
    if (!bson_iter_init(&at, lane) || !bson_iter_find_descendant(&at, "before.owner", &deep) ||
        !document_read_id(&deep, &id) || !id_equal(id, s->process))
        return -1;
    return bson_iter_init(&at, lane) && bson_iter_find_descendant(&at, "before.group", &deep)
               ? bson_iter_as_int64(&deep)
               : -1;
}

/* Written and read in one: who answers is the primary now, has finished what was open on the row, and a majority has
 * what it answers. (Read after a write, another primary might answer, who does not know yet what a majority has.) */
bool lane_committed(struct mongo_store *s, mongoc_client_t *c, const struct lane *l, enum committed *out, struct err *e)
{
    bson_t *command = BCON_NEW("findAndModify", "_lane", "query", "{", "_id", BCON_INT32(l->number), "}", "update", "{",
                               "$inc", "{", "asked", BCON_INT64(1), "}", "}", "new", BCON_BOOL(true));
    bson_t opts = BSON_INITIALIZER, reply, lane;
    bson_iter_t at;
    bson_error_t why;
    const uint8_t *data = NULL;
    uint32_t n = 0;
    int64_t group = -1;
    bool ok;

    mongoc_write_concern_append(s->majority, &opts);
    ok = mongoc_client_write_command_with_opts(c, s->database, command, &opts, &reply, &why) || mongo_err(s, &why, e);
    if (ok && bson_iter_init_find(&at, &reply, "value") && BSON_ITER_HOLDS_DOCUMENT(&at)) {
        bson_iter_document(&at, &n, &data);
        if (bson_init_static(&lane, data, n))
            group = our_group(s, &lane);
    }
    *out = group < 0 ? COMMITTED_UNKNOWN : group > l->group ? COMMITTED_YES : COMMITTED_NO;
    bson_destroy(&reply);
    bson_destroy(command);
    bson_destroy(&opts);
    return ok;
}
