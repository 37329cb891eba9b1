/* What came out of a group, written: deletes first, so that what they free can be taken; then updates that let a key
 * go, then the others, then inserts. Many go in one call, for a round trip costs more than the row that it carries. */
#include "store/mongo/apply.h"

/* A call of so many ends before store.call_timeout on a server that is busy. */
enum { OPS_AT_ONCE = 4096 };

/* ---- rows ---- */

static void document_of(bson_t *doc, const struct row_state *s)
{
    bson_init(doc);
    document_row(doc, s->kind, s->row);
    if (s->seq)
        bson_append_int64(doc, "_seq", -1, s->seq);
}

static void append_insert(mongoc_bulk_operation_t *bulk, const bson_t *opts, const struct row_state *s)
{
    bson_t doc;
    bson_error_t why;

    document_of(&doc, s);
    if (!mongoc_bulk_operation_insert_with_opts(bulk, &doc, opts, &why))
        die("mongodb: an insert cannot be built: %s", why.message);
    bson_destroy(&doc);
}

/* The fields of a row as $set and, where they are null, $unset. */
static void append_fields(bson_t *update, const struct row_state *s, uint64_t fields)
{
    bson_t set = BSON_INITIALIZER, unset = BSON_INITIALIZER;

    for (size_t i = 1; i < s->kind->n_fields; i++) {
        struct value v;

        if (!(fields >> i & 1))
            continue;
        v = value_of(&s->kind->fields[i], s->row);
        if (value_is_null(&v))
            bson_append_bool(&unset, s->kind->fields[i].name, -1, true);
        else
            document_value(&set, s->kind->fields[i].name, &v);
    }
    if (!bson_empty(&set))
        bson_append_document(update, "$set", -1, &set);
    if (!bson_empty(&unset))
        bson_append_document(update, "$unset", -1, &unset);
    bson_destroy(&set);
    bson_destroy(&unset);
}

static void append_change(mongoc_bulk_operation_t *bulk, const bson_t *opts, const struct row_state *s,
                          const bson_t *update)
{
    bson_t filter = BSON_INITIALIZER;
    bson_error_t why;

    document_id(&filter, "_id", s->id);
    if (!mongoc_bulk_operation_update_one_with_opts(bulk, &filter, update, opts, &why))
        die("mongodb: an update cannot be built: %s", why.message);
    bson_destroy(&filter);
}

/* Only what a batch wrote, so that what newer builds keep in the row stays. */
static void append_update(mongoc_bulk_operation_t *bulk, const bson_t *opts, const struct row_state *s)
{
    bson_t update = BSON_INITIALIZER, one;

    append_fields(&update, s, s->dirty | keys_yielded(s));
    if (s->held) {
        bson_append_document_begin(&update, "$inc", -1, &one);
        bson_append_int32(&one, "_w", -1, 1);
        bson_append_document_end(&update, &one);
    }
    append_change(bulk, opts, s, &update);
    bson_destroy(&update);
}

/* Leaves the unique indexes, for another row of the group to enter. */
static void append_yield(mongoc_bulk_operation_t *bulk, const bson_t *opts, const struct row_state *s)
{
    uint64_t fields = keys_yielded(s);
    bson_t update = BSON_INITIALIZER, unset;

    bson_append_document_begin(&update, "$unset", -1, &unset);
    for (size_t i = 1; i < s->kind->n_fields; i++)
        if (fields >> i & 1)
            bson_append_bool(&unset, s->kind->fields[i].name, -1, true);
    bson_append_document_end(&update, &unset);
    append_change(bulk, opts, s, &update);
    bson_destroy(&update);
}

/* Deleted and inserted again: nothing stays of what was there. */
static void append_replace(mongoc_bulk_operation_t *bulk, const bson_t *opts, const struct row_state *s)
{
    bson_t filter = BSON_INITIALIZER, doc;
    bson_error_t why;

    document_id(&filter, "_id", s->id);
    document_of(&doc, s);
    if (!mongoc_bulk_operation_replace_one_with_opts(bulk, &filter, &doc, opts, &why))
        die("mongodb: a row cannot be replaced: %s", why.message);
    bson_destroy(&filter);
    bson_destroy(&doc);
}

static void append_delete(mongoc_bulk_operation_t *bulk, const bson_t *opts, const struct row_state *s)
{
    bson_t filter = BSON_INITIALIZER;
    bson_error_t why;

    (void)opts;
    document_id(&filter, "_id", s->id);
    if (!mongoc_bulk_operation_remove_one_with_opts(bulk, &filter, NULL, &why))
        die("mongodb: a delete cannot be built: %s", why.message);
    bson_destroy(&filter);
}

static bool is_deleted(const struct row_state *s)
{
    return s->was && !s->is;
}

static bool yields(const struct row_state *s)
{
    return s->was && s->is && keys_yielded(s);
}

static bool is_updated(const struct row_state *s)
{
    return s->was && s->is && !s->replaced && !s->raised && (s->dirty || s->held);
}

static bool is_replaced(const struct row_state *s)
{
    return s->was && s->is && s->replaced;
}

static bool is_inserted(const struct row_state *s)
{
    return !s->was && s->is;
}

static const struct step {
    bool (*takes)(const struct row_state *s);
    void (*append)(mongoc_bulk_operation_t *bulk, const bson_t *opts, const struct row_state *s);
} steps[] = { { is_deleted, append_delete },
              { yields, append_yield },
              { is_updated, append_update },
              { is_replaced, append_replace },
              { is_inserted, append_insert } };

enum { STEPS = sizeof steps / sizeof *steps, INSERTS = STEPS - 1 };

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
        return attempt_refuse(t, in_bulk[at], index_named(in_bulk[at]->kind, message));
    return attempt_broke(t, why);
}

/* What is written with one call: the operations from `step` and `row` on to the step `end`, at most OPS_AT_ONCE. */
struct piece {
    size_t step, end;
    struct row_state *row;
    struct row_state *rows[OPS_AT_ONCE];
    size_t n;
};

static void fill_piece(struct piece *p, mongoc_bulk_operation_t *bulk, struct row_state *all)
{
    bson_t unchecked = BSON_INITIALIZER;

    bson_append_bool(&unchecked, "validate", -1, false); /* our own field names */
    p->n = 0;
    while (p->step < p->end && p->n < OPS_AT_ONCE) {
        if (!p->row) {
            p->step++;
            p->row = all;
            continue;
        }
        if (steps[p->step].takes(p->row)) {
            steps[p->step].append(bulk, &unchecked, p->row);
            p->rows[p->n++] = p->row;
        }
        p->row = p->row->in_table;
    }
    bson_destroy(&unchecked);
}

static enum applied write_piece(struct attempt *t, mongoc_collection_t *c, struct piece *p, struct row_state *all)
{
    mongoc_bulk_operation_t *bulk = mongoc_collection_create_bulk_operation_with_opts(c, &t->session);
    enum applied result = APPLIED;
    bson_t reply;
    bson_error_t why;

    fill_piece(p, bulk, all);
    if (p->n) {
        if (!mongoc_bulk_operation_execute(bulk, &reply, &why))
            result = bulk_failed(t, &reply, &why, p->rows, p->n);
        bson_destroy(&reply);
    }
    mongoc_bulk_operation_destroy(bulk);
    return result;
}

static enum applied write_table(struct attempt *t, size_t table, size_t from, size_t to)
{
    struct row_state *all = t->group.by_table[table];
    mongoc_collection_t *c = attempt_collection(t, t->store->tables.at[table].kind->name);
    struct piece *p = arena_alloc(t->arena, sizeof *p);
    enum applied result = APPLIED;

    p->step = from;
    p->end = to;
    p->row = all;
    while (result == APPLIED && p->step < to)
        result = write_piece(t, c, p, all);
    mongoc_collection_destroy(c);
    return result;
}

/* Rows that other processes may be writing come first: what meets them does so before much was written in vain. */
static enum applied write_tables(struct attempt *t, size_t from, size_t to)
{
    enum applied result = APPLIED;

    for (size_t i = 0; result == APPLIED && i < t->store->tables.n; i++)
        if (t->group.by_table[i])
            result = write_table(t, i, from, to);
    return result;
}

/* ---- blobs ---- */

static bool append_chunk(mongoc_bulk_operation_t *bulk, const uint8_t key[BLOB_KEY], struct bytes bytes,
                         bson_error_t *why)
{
    bson_t doc = BSON_INITIALIZER;
    bool ok;

    bson_append_binary(&doc, "_id", -1, BSON_SUBTYPE_BINARY, key, BLOB_KEY);
    bson_append_binary(&doc, "bytes", -1, BSON_SUBTYPE_BINARY, (const uint8_t *)bytes.p, (uint32_t)bytes.n);
    ok = mongoc_bulk_operation_insert_with_opts(bulk, &doc, NULL, why);
    bson_destroy(&doc);
    return ok;
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
    for (const struct chunk_state *s = g->chunks; ok && s; s = s->in_group)
        if (s->is && s->put) {
            ok = append_chunk(bulk, s->key, s->bytes, &why);
            n++;
        }
    if (!ok)
        die("mongodb: a chunk cannot be written: %s", why.message);
    return n;
}

static enum applied write_blobs(struct attempt *t)
{
    mongoc_collection_t *c = attempt_collection(t, "_blob");
    mongoc_bulk_operation_t *bulk = mongoc_collection_create_bulk_operation_with_opts(c, &t->session);
    enum applied result = APPLIED;

    if (fill_blobs(&t->group, bulk)) {
        bson_t reply;
        bson_error_t why;

        if (!mongoc_bulk_operation_execute(bulk, &reply, &why))
            result = attempt_broke(t, &why);
        bson_destroy(&reply);
    }
    mongoc_bulk_operation_destroy(bulk);
    mongoc_collection_destroy(c);
    return result;
}

static bool put_jobs(mongoc_bulk_operation_t *bulk, const struct job *jobs, bson_error_t *why)
{
    bool ok = true;

    for (; ok && jobs; jobs = jobs->next)
        for (size_t i = 0; ok && !jobs->ended && i < jobs->batch->n; i++) {
            const struct op *op = &jobs->batch->ops[i];
            uint8_t key[BLOB_KEY];

            blob_key(op->id, op->chunk, key);
            ok = append_chunk(bulk, key, op->bytes, why);
        }
    return ok;
}

bool mongo_put_chunks(struct mongo_store *s, mongoc_client_t *c, struct job *jobs)
{
    mongoc_collection_t *blobs = mongoc_client_get_collection(c, s->database, "_blob");
    mongoc_bulk_operation_t *bulk;
    bson_t opts = BSON_INITIALIZER;
    bson_error_t why;
    bool ok;

    mongoc_write_concern_append(s->lazy, &opts);
    bulk = mongoc_collection_create_bulk_operation_with_opts(blobs, &opts);
    ok = put_jobs(bulk, jobs, &why) && mongoc_bulk_operation_execute(bulk, NULL, &why);
    for (struct job *j = jobs; ok && j; j = j->next)
        if (!j->ended)
            j->ok = true;
    mongoc_bulk_operation_destroy(bulk);
    bson_destroy(&opts);
    mongoc_collection_destroy(blobs);
    return ok;
}

/* ---- the group ---- */

/* Rows of the feed are numbered in the order of their batches. */
static void number_rows(struct attempt *t, const struct lane *lane, int64_t *seq)
{
    for (size_t i = 0; i < t->store->tables.n; i++) {
        if (!t->store->tables.at[i].kind->watched)
            continue;
        for (struct row_state *s = t->group.by_table[i]; s; s = s->in_table)
            if (s->is && (!s->was || s->replaced))
                s->seq = (int64_t)lane->number << LANE_BITS | ++seq[i];
    }
}

enum applied write_group(struct attempt *t, const struct lane *lane, int64_t *seq)
{
    enum applied result;
    bson_error_t why;
    bool ours;

    number_rows(t, lane, seq);
    result = write_tables(t, 0, INSERTS);
    if (result == APPLIED)
        result = write_tables(t, INSERTS, STEPS);
    if (result == APPLIED && (t->group.chunks || t->group.erased))
        result = write_blobs(t);
    if (result != APPLIED)
        return result;
    if (!lane_mark(t->store, t->client, lane, seq, &t->session, &ours, &why))
        return attempt_broke(t, &why);
    return ours ? APPLIED : LANE_LOST;
}
