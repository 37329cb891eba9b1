/* store/mongo/apply.c - one group within a transaction: read, judge, write.
 *
 * All rows that the batches name are read first, by kind and in few calls, then judged in memory (group.c) and written
 * together. Reads in the transaction see one snapshot, and what another transaction changes meanwhile makes ours fail
 * as a whole: that is what makes batches serializable. Nothing is kept of an attempt that failed. */
#include "store/mongo/apply.h"

enum { IDS_AT_ONCE = 5000, LOOKS = 5 };

enum applied attempt_broke(struct attempt *t, const bson_error_t *why)
{
    bool conflict = why->domain == MONGOC_ERROR_SERVER && mongo_is_away(why);

    mongo_err(t->store, why, t->e);
    if (t->e->code != ERR_BUSY)
        return CONFLICT;
    return conflict && !atomic_load(&t->store->down) ? CONFLICT : AWAY;
}

mongoc_collection_t *attempt_collection(struct attempt *t, const char *name)
{
    return mongoc_client_get_collection(t->client, t->store->database, name);
}

enum applied attempt_refuse(struct attempt *t, struct row_state *s, const char *index)
{
    if (!s->by) { /* nobody changed it: the database holds what its own index forbids */
        err_set(t->e, ERR_INTERNAL, "%s.%s is not unique", s->kind->name, index);
        return CONFLICT;
    }
    batch_fails(s->by->batch, s->by_op, FAULT_UNIQUE, index, &s->by->err);
    s->by->ok = false;
    s->by->ended = true;
    return REFUSED;
}

/* ---- reading what the batches name ---- */

static uint64_t fields_of(const struct row_state *rows)
{
    uint64_t need = 0;

    for (; rows; rows = rows->in_table)
        need |= rows->need;
    return need;
}

/* Up to IDS_AT_ONCE ids of rows to be read; *rows moves on. */
static uint32_t append_ids(bson_t *filter, struct row_state **rows)
{
    bson_t in, list;
    char room[16];
    const char *key;
    uint32_t n = 0;

    bson_append_document_begin(filter, "_id", -1, &in);
    bson_append_array_begin(&in, "$in", -1, &list);
    for (; *rows && n < IDS_AT_ONCE; *rows = (*rows)->in_table) {
        if (!(*rows)->need)
            continue;
        bson_uint32_to_string(n++, &key, room, sizeof room);
        document_id(&list, key, (*rows)->id);
    }
    bson_append_array_end(&in, &list);
    bson_append_document_end(filter, &in);
    return n;
}

bool attempt_take_row(struct attempt *t, const struct kind *k, const bson_t *doc)
{
    bson_iter_t at;
    struct id id;
    struct row_state *s;

    if (!bson_iter_init_find(&at, doc, "_id") || !document_read_id(&at, &id))
        return true; /* not one of ours */
    s = group_row(&t->group, k, id);
    if (!s)
        return true;
    s->was = s->is = true;
    return document_to_row(doc, k, ALL_FIELDS, t->arena, s->row, t->e);
}

static enum applied read_ids(struct attempt *t, const struct kind *k, const bson_t *filter, uint64_t fields)
{
    mongoc_collection_t *c = attempt_collection(t, k->name);
    mongoc_cursor_t *cursor;
    bson_t opts;
    const bson_t *doc;
    bson_error_t why;
    enum applied result = APPLIED;

    bson_copy_to(&t->session, &opts);
    document_projection(&opts, k, fields);
    bson_append_int32(&opts, "batchSize", -1, IDS_AT_ONCE);
    cursor = mongoc_collection_find_with_opts(c, filter, &opts, NULL);
    while (result == APPLIED && mongoc_cursor_next(cursor, &doc))
        if (!attempt_take_row(t, k, doc))
            result = CONFLICT;
    if (mongoc_cursor_error(cursor, &why))
        result = attempt_broke(t, &why);
    mongoc_cursor_destroy(cursor);
    mongoc_collection_destroy(c);
    bson_destroy(&opts);
    return result;
}

static enum applied read_rows(struct attempt *t, const struct kind *k, struct row_state *rows)
{
    uint64_t fields = fields_of(rows);
    enum applied result = APPLIED;

    while (result == APPLIED && rows) {
        bson_t filter = BSON_INITIALIZER;

        if (append_ids(&filter, &rows))
            result = read_ids(t, k, &filter, fields);
        bson_destroy(&filter);
    }
    return result;
}

static enum applied read_chunk(struct attempt *t, mongoc_collection_t *c, struct chunk_state *s)
{
    bson_t filter = BSON_INITIALIZER;
    mongoc_cursor_t *cursor;
    const bson_t *doc;
    bson_error_t why;
    bson_iter_t at;
    uint32_t n = 0;
    const uint8_t *p = NULL;
    enum applied result = APPLIED;

    bson_append_binary(&filter, "_id", -1, BSON_SUBTYPE_BINARY, s->key, sizeof s->key);
    cursor = mongoc_collection_find_with_opts(c, &filter, &t->session, NULL);
    if (mongoc_cursor_next(cursor, &doc) && bson_iter_init_find(&at, doc, "bytes") && BSON_ITER_HOLDS_BINARY(&at)) {
        bson_iter_binary(&at, NULL, &n, &p);
        s->bytes = arena_copy(t->arena, (struct bytes){ p ? (const char *)p : "", n });
        s->is = true;
    }
    if (mongoc_cursor_error(cursor, &why))
        result = attempt_broke(t, &why);
    mongoc_cursor_destroy(cursor);
    bson_destroy(&filter);
    return result;
}

static enum applied read_all(struct attempt *t)
{
    enum applied result = APPLIED;
    mongoc_collection_t *c;

    for (size_t i = 0; result == APPLIED && i < t->store->tables.n; i++)
        result = read_rows(t, t->store->tables.at[i].kind, t->group.by_table[i]);
    if (result != APPLIED || !t->group.chunks)
        return result;
    c = attempt_collection(t, "_blob");
    for (struct chunk_state *s = t->group.chunks; result == APPLIED && s; s = s->in_group)
        result = read_chunk(t, c, s);
    mongoc_collection_destroy(c);
    return result;
}

/* Their keys, from the index alone. */
static enum applied count_chunks(struct attempt *t, mongoc_collection_t *c, const struct needed *n, unsigned *found)
{
    bson_t filter = BSON_INITIALIZER, opts, fields;
    uint8_t first[BLOB_KEY], end[BLOB_KEY];
    mongoc_cursor_t *cursor;
    const bson_t *doc;
    bson_error_t why;
    enum applied result = APPLIED;

    blob_key(n->id, 0, first);
    blob_key(n->id, n->n, end);
    bson_append_document_begin(&filter, "_id", -1, &fields);
    bson_append_binary(&fields, "$gte", -1, BSON_SUBTYPE_BINARY, first, sizeof first);
    bson_append_binary(&fields, "$lt", -1, BSON_SUBTYPE_BINARY, end, sizeof end);
    bson_append_document_end(&filter, &fields);
    bson_copy_to(&t->session, &opts);
    BCON_APPEND(&opts, "projection", "{", "_id", BCON_INT32(1), "}", "batchSize", BCON_INT32(IDS_AT_ONCE));
    cursor = mongoc_collection_find_with_opts(c, &filter, &opts, NULL);
    for (*found = 0; mongoc_cursor_next(cursor, &doc);)
        ++*found;
    if (mongoc_cursor_error(cursor, &why))
        result = attempt_broke(t, &why);
    mongoc_cursor_destroy(cursor);
    bson_destroy(&filter);
    bson_destroy(&opts);
    return result;
}

/* A snapshot is not as new as what the primary has just acknowledged by itself: while an older write is under way it
 * ends before that. So what is not seen is looked for again, some milliseconds later, before it counts as lost. */
static enum applied find_needed(struct attempt *t)
{
    mongoc_collection_t *c = attempt_collection(t, "_blob");
    enum applied result = APPLIED;
    bool again = false;
    unsigned found;

    for (struct needed *n = t->group.needed; result == APPLIED && n; n = n->next) {
        result = count_chunks(t, c, n, &found);
        n->there = found == n->n;
        again = again || (!n->there && n->job->looks++ < LOOKS);
    }
    mongoc_collection_destroy(c);
    if (result == APPLIED && again) {
        err_set(t->e, ERR_BUSY, "mongodb: chunks are not seen yet");
        return CONFLICT;
    }
    return result;
}

/* The only one of the group, or NULL. */
static struct job *lone_job(struct job *jobs)
{
    struct job *lone = NULL;

    for (; jobs; jobs = jobs->next) {
        if (!jobs->ended && lone)
            return NULL;
        if (!jobs->ended)
            lone = jobs;
    }
    return lone;
}

static enum applied judge_and_write(struct attempt *t, const struct lane *lane, int64_t *seq, struct job *jobs,
                                    bool careful)
{
    struct job *lone = careful ? NULL : lone_job(jobs);
    enum applied result = lone ? raise_alone(t, lone) : APPLIED;

    if (result == APPLIED)
        result = read_all(t);
    if (result == APPLIED && t->group.needed)
        result = find_needed(t);
    if (result != APPLIED)
        return result;
    keys_read(&t->group);
    for (struct job *j = jobs; j; j = j->next)
        if (!j->ended)
            j->ok = group_apply(&t->group, j);
    if (lone && t->raised && !lone->ok)
        return REFUSED;
    if (careful)
        result = lookup_keys(t);
    return result == APPLIED ? write_group(t, lane, seq) : result;
}

enum applied group_write(struct mongo_store *s, mongoc_client_t *c, mongoc_client_session_t *session,
                         const struct lane *lane, int64_t *seq, struct arena *a, struct job *jobs, bool careful,
                         struct err *e)
{
    struct attempt t = { .store = s, .client = c, .arena = a, .e = e };
    bson_error_t why;
    enum applied result;

    bson_init(&t.session);
    if (mongoc_client_session_append(session, &t.session, &why)) {
        group_begin(&t.group, s, a, jobs);
        memcpy(seq, lane->seq, s->tables.n * sizeof *seq);
        result = judge_and_write(&t, lane, seq, jobs, careful);
    } else {
        result = attempt_broke(&t, &why);
    }
    bson_destroy(&t.session);
    return result;
}
