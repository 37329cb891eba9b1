/* One group within a transaction: read, judge, write. */
#include "store/mongo/mongo.h"
#include <assert.h>

enum { IDS_AT_ONCE = 5000, KEYS_AT_ONCE = 200, DUPLICATE_KEY = 11000 };

struct attempt {
    struct mongo_store *store;
    mongoc_client_t *client;
    bson_t session; /* options that put a call into the transaction */
    struct group group;
    struct arena *arena;
    struct err *e;
};

/* What a failure means for the group. */
static enum applied broke(struct attempt *t, const bson_error_t *why)
{
    bool conflict = why->domain == MONGOC_ERROR_SERVER && mongo_is_away(why);

    mongo_err(t->store, why, t->e);
    if (t->e->code != ERR_BUSY)
        return CONFLICT;
    return conflict && mongo_is_up(&t->store->store, NULL) ? CONFLICT : AWAY;
}

static mongoc_collection_t *collection(struct attempt *t, const char *name)
{
    return mongoc_client_get_collection(t->client, t->store->database, name);
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

static bool take_row(struct attempt *t, const struct kind *k, const bson_t *doc)
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
    mongoc_collection_t *c = collection(t, k->name);
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
        if (!take_row(t, k, doc))
            result = CONFLICT;
    if (mongoc_cursor_error(cursor, &why))
        result = broke(t, &why);
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
        result = broke(t, &why);
    mongoc_cursor_destroy(cursor);
    bson_destroy(&filter);
    return result;
}

static enum applied read_all(struct attempt *t)
{
    enum applied result = APPLIED;
    mongoc_collection_t *c;

    for (size_t i = 0; result == APPLIED && i < t->store->n_tables; i++)
        result = read_rows(t, t->store->tables[i].kind, t->group.by_table[i]);
    if (result != APPLIED || !t->group.chunks)
        return result;
    c = collection(t, "_blob");
    for (struct chunk_state *s = t->group.chunks; result == APPLIED && s; s = s->in_group)
        result = read_chunk(t, c, s);
    mongoc_collection_destroy(c);
    return result;
}

/* ---- keys that rows outside the group have ---- */

static enum applied refuse(struct row_state *s, const char *index)
{
    if (!s->by)
        return CONFLICT;
    batch_fails(s->by->batch, s->by_op, FAULT_UNIQUE, index, &s->by->err);
    s->by->ok = false;
    s->by->ended = true;
    return REFUSED;
}

static bool has_key(const struct row_state *s, const struct index *x)
{
    return s->is && s->by && !s->by->ended && group_has_key(s->kind, x, s->row);
}

static void append_key(bson_t *either, uint32_t n, const struct row_state *s, const struct index *x)
{
    bson_t item;
    char room[16];
    const char *key;
    size_t length = bson_uint32_to_string(n, &key, room, sizeof room);

    bson_append_document_begin(either, key, (int)length, &item);
    for (size_t i = 0; i < INDEX_FIELDS && x->fields[i]; i++) {
        const struct field *f = kind_field(s->kind, x->fields[i]);
        struct value v = value_of(f, s->row);

        document_value(&item, document_name(s->kind, f), &v);
    }
    bson_append_document_end(either, &item);
}

/* A row of the database holds the key: does the group leave it there, and who of the group wants it? */
static enum applied compare_key(struct attempt *t, const struct kind *k, const struct index *x, const bson_t *doc,
                                size_t table)
{
    void *theirs = arena_alloc(t->arena, k->size);
    struct value id;
    const struct row_state *known;
    enum applied result = APPLIED;

    if (!document_to_row(doc, k, ALL_FIELDS, t->arena, theirs, t->e))
        return CONFLICT;
    id = value_of(&k->fields[0], theirs);
    known = group_row(&t->group, k, id.id);
    if (known && known->was && (!known->is || known->by))
        return APPLIED; /* deleted, or with another key by now */
    for (struct row_state *s = t->group.by_table[table]; s; s = s->in_table)
        if ((s != known || !s->was) && has_key(s, x) && group_same_key(k, x, s->row, theirs))
            result = refuse(s, x->name);
    return result;
}

static enum applied find_keys(struct attempt *t, const struct kind *k, const struct index *x, const bson_t *filter,
                              size_t table)
{
    mongoc_collection_t *c = collection(t, k->name);
    mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(c, filter, &t->session, NULL);
    const bson_t *doc;
    bson_error_t why;
    enum applied result = APPLIED;

    while (mongoc_cursor_next(cursor, &doc)) {
        enum applied one = compare_key(t, k, x, doc, table);

        if (one != APPLIED)
            result = one;
    }
    if (mongoc_cursor_error(cursor, &why))
        result = broke(t, &why);
    mongoc_cursor_destroy(cursor);
    mongoc_collection_destroy(c);
    return result;
}

static enum applied look_up_index(struct attempt *t, size_t table, const struct index *x)
{
    const struct kind *k = t->store->tables[table].kind;
    struct row_state *s = t->group.by_table[table];
    enum applied result = APPLIED;

    while (s && (result == APPLIED || result == REFUSED)) {
        bson_t filter = BSON_INITIALIZER, either;
        uint32_t n = 0;

        bson_append_array_begin(&filter, "$or", -1, &either);
        for (; s && n < KEYS_AT_ONCE; s = s->in_table)
            if (has_key(s, x))
                append_key(&either, n++, s, x);
        bson_append_array_end(&filter, &either);
        if (n) {
            enum applied one = find_keys(t, k, x, &filter, table);

            result = one == APPLIED ? result : one;
        }
        bson_destroy(&filter);
    }
    return result;
}

/* All that fail by a unique key at once, where the server would name one at a time, and abort for each. */
static enum applied look_up_keys(struct attempt *t)
{
    static const struct index by_id = { .name = "id", .unique = true, .fields = { "id" } };
    enum applied result = APPLIED;

    for (size_t i = 0; i < t->store->n_tables; i++) {
        const struct kind *k = t->store->tables[i].kind;

        for (size_t j = 0; j <= k->n_indexes && t->group.by_table[i]; j++) {
            const struct index *x = j < k->n_indexes ? &k->indexes[j] : &by_id;
            enum applied one = x->unique ? look_up_index(t, i, x) : APPLIED;

            if (one != APPLIED && one != REFUSED)
                return one;
            if (one == REFUSED)
                result = REFUSED;
        }
    }
    return result;
}

/* ---- writing ---- */

static void append_insert(mongoc_bulk_operation_t *bulk, const bson_t *opts, const struct row_state *s)
{
    bson_t doc = BSON_INITIALIZER;
    bson_error_t why;

    document_row(&doc, s->kind, s->row);
    if (s->seq)
        bson_append_int64(&doc, "_seq", -1, s->seq);
    if (!mongoc_bulk_operation_insert_with_opts(bulk, &doc, opts, &why))
        die("mongodb: an insert cannot be built: %s", why.message);
    bson_destroy(&doc);
}

/* Only what a batch wrote, so that what newer builds keep in the row stays. */
static void append_update(mongoc_bulk_operation_t *bulk, const bson_t *opts, const struct row_state *s)
{
    bson_t filter = BSON_INITIALIZER, update = BSON_INITIALIZER, set = BSON_INITIALIZER, unset = BSON_INITIALIZER, one;
    bson_error_t why;

    document_id(&filter, "_id", s->id);
    for (size_t i = 1; i < s->kind->n_fields; i++) {
        struct value v;

        if (!(s->dirty >> i & 1))
            continue;
        v = value_of(&s->kind->fields[i], s->row);
        if (value_is_null(&v))
            bson_append_bool(&unset, s->kind->fields[i].name, -1, true);
        else
            document_value(&set, s->kind->fields[i].name, &v);
    }
    if (!bson_empty(&set))
        bson_append_document(&update, "$set", -1, &set);
    if (!bson_empty(&unset))
        bson_append_document(&update, "$unset", -1, &unset);
    if (s->held) {
        bson_append_document_begin(&update, "$inc", -1, &one);
        bson_append_int32(&one, "_w", -1, 1);
        bson_append_document_end(&update, &one);
    }
    if (!mongoc_bulk_operation_update_one_with_opts(bulk, &filter, &update, opts, &why))
        die("mongodb: an update cannot be built: %s", why.message);
    bson_destroy(&filter);
    bson_destroy(&update);
    bson_destroy(&set);
    bson_destroy(&unset);
}

static void append_delete(mongoc_bulk_operation_t *bulk, const struct row_state *s)
{
    bson_t filter = BSON_INITIALIZER;
    bson_error_t why;

    document_id(&filter, "_id", s->id);
    if (!mongoc_bulk_operation_remove_one_with_opts(bulk, &filter, NULL, &why))
        die("mongodb: a delete cannot be built: %s", why.message);
    bson_destroy(&filter);
}

/* Deletes first, so that what they free can be taken; then updates, for the same reason. */
enum step { DELETES, UPDATES, INSERTS, STEPS };

static bool belongs(const struct row_state *s, enum step step)
{
    switch (step) {
    case DELETES: return s->was && !s->is;
    case UPDATES: return s->was && s->is && (s->dirty || s->held);
    case INSERTS: return !s->was && s->is;
    case STEPS: break;
    }
    return false;
}

static size_t fill_bulk(mongoc_bulk_operation_t *bulk, struct row_state *rows, struct row_state **in_bulk)
{
    bson_t unchecked = BSON_INITIALIZER;
    size_t n = 0;

    bson_append_bool(&unchecked, "validate", -1, false); /* our own field names */
    for (enum step step = DELETES; step < STEPS; step++)
        for (struct row_state *s = rows; s; s = s->in_table) {
            if (!belongs(s, step))
                continue;
            if (step == DELETES)
                append_delete(bulk, s);
            else if (step == UPDATES)
                append_update(bulk, &unchecked, s);
            else
                append_insert(bulk, &unchecked, s);
            in_bulk[n++] = s;
        }
    bson_destroy(&unchecked);
    return n;
}

static const char *index_named(const struct kind *k, struct bytes message)
{
    for (size_t i = 0; i < k->n_indexes; i++) {
        char mark[128];

        snprintf(mark, sizeof mark, " index: %s dup", k->indexes[i].name);
        for (size_t at = 0; at < message.n; at++)
            if (bytes_starts(bytes_from(message, at), bytes_of(mark)))
                return k->indexes[i].name;
    }
    return "id";
}

static enum applied bulk_failed(struct attempt *t, const bson_t *reply, const bson_error_t *why,
                                struct row_state **in_bulk, size_t n)
{
    int32_t at = -1;
    struct bytes message = NO_BYTES;

    if (mongo_write_error(reply, &at, &message) == DUPLICATE_KEY && at >= 0 && (size_t)at < n)
        return refuse(in_bulk[at], index_named(in_bulk[at]->kind, message));
    return broke(t, why);
}

static size_t count(const struct row_state *s)
{
    size_t n = 0;

    for (; s; s = s->in_table)
        n++;
    return n;
}

static enum applied write_table(struct attempt *t, size_t table)
{
    struct row_state *rows = t->group.by_table[table];
    mongoc_collection_t *c = collection(t, t->store->tables[table].kind->name);
    mongoc_bulk_operation_t *bulk = mongoc_collection_create_bulk_operation_with_opts(c, &t->session);
    struct row_state **in_bulk = arena_array(t->arena, count(rows), sizeof *in_bulk);
    size_t n = fill_bulk(bulk, rows, in_bulk);
    enum applied result = APPLIED;

    if (n) {
        bson_t reply;
        bson_error_t why;

        if (!mongoc_bulk_operation_execute(bulk, &reply, &why))
            result = bulk_failed(t, &reply, &why, in_bulk, n);
        bson_destroy(&reply);
    }
    mongoc_bulk_operation_destroy(bulk);
    mongoc_collection_destroy(c);
    return result;
}

static size_t fill_blobs(const struct group *g, mongoc_bulk_operation_t *bulk)
{
    size_t n = 0;
    bson_error_t why;
    bool ok = true;

    for (const struct erased *x = g->erased; ok && x; x = x->next, n++) {
        bson_t filter = BSON_INITIALIZER;

        blob_range(&filter, x->id);
        ok = mongoc_bulk_operation_remove_many_with_opts(bulk, &filter, NULL, &why);
        bson_destroy(&filter);
    }
    for (const struct chunk_state *s = g->chunks; ok && s; s = s->in_group) {
        bson_t doc = BSON_INITIALIZER;

        if (s->is && s->put) {
            bson_append_binary(&doc, "_id", -1, BSON_SUBTYPE_BINARY, s->key, sizeof s->key);
            bson_append_binary(&doc, "bytes", -1, BSON_SUBTYPE_BINARY, (const uint8_t *)s->bytes.p,
                               (uint32_t)s->bytes.n);
            ok = mongoc_bulk_operation_insert_with_opts(bulk, &doc, NULL, &why);
            n++;
        }
        bson_destroy(&doc);
    }
    if (!ok)
        die("mongodb: a chunk cannot be written: %s", why.message);
    return n;
}

static enum applied write_blobs(struct attempt *t)
{
    mongoc_collection_t *c = collection(t, "_blob");
    mongoc_bulk_operation_t *bulk = mongoc_collection_create_bulk_operation_with_opts(c, &t->session);
    enum applied result = APPLIED;

    if (fill_blobs(&t->group, bulk)) {
        bson_t reply;
        bson_error_t why;

        if (!mongoc_bulk_operation_execute(bulk, &reply, &why))
            result = broke(t, &why);
        bson_destroy(&reply);
    }
    mongoc_bulk_operation_destroy(bulk);
    mongoc_collection_destroy(c);
    return result;
}

/* Rows of the feed are numbered in the order of their batches. */
static void number_rows(struct attempt *t, const struct lane *lane, int64_t *seq)
{
    for (size_t i = 0; i < t->store->n_tables; i++) {
        if (!t->store->tables[i].kind->watched)
            continue;
        for (struct row_state *s = t->group.by_table[i]; s; s = s->in_table)
            if (s->is && !s->was)
                s->seq = (int64_t)lane->number << LANE_BITS | ++seq[i];
    }
}

static enum applied write_all(struct attempt *t, const struct lane *lane, int64_t *seq)
{
    enum applied result = APPLIED;
    bson_error_t why;
    bool ours;

    number_rows(t, lane, seq);
    for (size_t i = 0; result == APPLIED && i < t->store->n_tables; i++)
        if (t->group.by_table[i])
            result = write_table(t, i);
    if (result == APPLIED && (t->group.chunks || t->group.erased))
        result = write_blobs(t);
    if (result != APPLIED)
        return result;
    if (!lane_mark(t->store, t->client, lane, seq, &t->session, &ours, &why))
        return broke(t, &why);
    return ours ? APPLIED : LANE_LOST;
}

static enum applied judge_and_write(struct attempt *t, const struct lane *lane, int64_t *seq, struct job *jobs,
                                    bool careful)
{
    enum applied result = read_all(t);

    if (result != APPLIED)
        return result;
    for (struct job *j = jobs; j; j = j->next)
        if (!j->ended)
            j->ok = group_apply(&t->group, j);
    if (careful)
        result = look_up_keys(t);
    return result == APPLIED ? write_all(t, lane, seq) : result;
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
        memcpy(seq, lane->seq, s->n_tables * sizeof *seq);
        result = judge_and_write(&t, lane, seq, jobs, careful);
    } else {
        result = broke(&t, &why);
    }
    bson_destroy(&t.session);
    return result;
}
