/* store/mongo/select.c - reads. What comes from several documents comes from one snapshot; a single one is read as a
 * majority has it.
 *
 * The index is always named (hint): the server's own choice changes with the data. A read changes nothing, so one that
 * met a primary's end is tried again while store.read_timeout lasts; a snapshot that is not available yet is waited
 * for. */
#include "store/mongo/mongo.h"

static bool read_once(mongoc_collection_t *c, const bson_t *filter, const bson_t *opts, uint64_t fields,
                      struct gather *g, struct arena *a, bson_error_t *why, bool *failed, struct err *e)
{
    mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(c, filter, opts, NULL);
    const bson_t *doc;
    bool ok = true;

    while (ok && !gather_enough(g, a) && mongoc_cursor_next(cursor, &doc))
        ok = document_to_row(doc, g->kind, fields, a, gather_add(g), e);
    *failed = ok && mongoc_cursor_error(cursor, why);
    mongoc_cursor_destroy(cursor);
    return ok && !*failed;
}

bool mongo_read(struct mongo_store *s, mongoc_collection_t *c, const bson_t *filter, const bson_t *opts,
                uint64_t fields, struct gather *g, struct arena *a, struct err *e)
{
    int64_t began = clock_monotonic();
    struct arena_mark before = arena_mark(a);
    bson_error_t why;
    size_t n = g->n;
    bool failed;

    for (int try = 0;; try++) {
        if (read_once(c, filter, opts, fields, g, a, &why, &failed, e))
            return true;
        if (!failed)
            return false;
        g->n = n;
        arena_rewind(a, before);
        if (why.code == SNAPSHOT_UNAVAILABLE && try < SNAPSHOT_TRIES)
            usleep(SNAPSHOT_PAUSE_US);
        else if (!mongo_again(s, &why, began))
            return mongo_err(s, &why, e);
    }
}

/* ---- one state for several documents ---- */

bool mongo_snapshot_begin(struct mongo_store *s, mongoc_client_t *c, mongoc_client_session_t **session, bson_t *opts,
                          struct err *e)
{
    mongoc_session_opt_t *o = mongoc_session_opts_new();
    bson_error_t why;
    bool ok;

    mongoc_session_opts_set_causal_consistency(o, false);
    mongoc_session_opts_set_snapshot(o, true);
    *session = mongoc_client_start_session(c, o, &why);
    mongoc_session_opts_destroy(o);
    bson_init(opts);
    ok = *session && mongoc_client_session_append(*session, opts, &why);
    return ok || mongo_err(s, &why, e);
}

void mongo_snapshot_end(mongoc_client_session_t *session, bson_t *opts)
{
    bson_destroy(opts);
    if (session)
        mongoc_client_session_destroy(session);
}

/* ---- get ---- */

static void append_ids(bson_t *filter, const struct id *ids, size_t n)
{
    bson_t in, list;
    char room[16];
    const char *key;

    if (n == 1) {
        document_id(filter, "_id", ids[0]);
        return;
    }
    bson_append_document_begin(filter, "_id", -1, &in);
    bson_append_array_begin(&in, "$in", -1, &list);
    for (size_t i = 0; i < n; i++) {
        bson_uint32_to_string((uint32_t)i, &key, room, sizeof room);
        document_id(&list, key, ids[i]);
    }
    bson_append_array_end(&in, &list);
    bson_append_document_end(filter, &in);
}

/* Rows found, in any order, to the places of their ids. */
static void place(const struct gather *g, const struct id *ids, size_t n, char *rows)
{
    size_t size = g->kind->size;

    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < g->n; j++)
            if (memcmp(g->rows + j * size + g->kind->fields[0].offset, ids[i].b, sizeof ids[i].b) == 0)
                memcpy(rows + i * size, g->rows + j * size, size);
}

bool mongo_get(struct store *st, const struct kind *k, const struct id *ids, size_t n, struct arena *a, void *rows,
               struct err *e)
{
    struct mongo_store *s = (struct mongo_store *)st;
    mongoc_client_t *client = mongo_reach(s, e);
    mongoc_collection_t *c;
    mongoc_client_session_t *session = NULL;
    struct gather g = { .kind = k };
    bson_t filter = BSON_INITIALIZER, opts = BSON_INITIALIZER;
    bool ok = true;

    if (!client)
        return false;
    c = n > 1 ? mongo_snapshot_collection(s, client, k->name) : mongo_collection(s, client, k->name);
    append_ids(&filter, ids, n);
    if (n > 1) {
        bson_destroy(&opts);
        ok = mongo_snapshot_begin(s, client, &session, &opts, e);
    }
    ok = ok && mongo_read(s, c, &filter, &opts, ALL_FIELDS, &g, a, e);
    if (ok)
        place(&g, ids, n, rows);
    free(g.rows);
    bson_destroy(&filter);
    mongo_snapshot_end(session, &opts);
    mongoc_collection_destroy(c);
    mongo_leave(s, client);
    return ok;
}

/* ---- by a unique index ---- */

/* The index does not hold rows with a null in it: such a key is looked for without. */
static bool hint_index(bson_t *opts, const struct unique_key *key)
{
    for (size_t i = 0; i < key->n; i++)
        if (value_is_null(&key->values[i]))
            return false;
    return bson_append_utf8(opts, "hint", -1, key->index->name, -1);
}

bool mongo_get_by(struct store *st, const struct unique_key *key, struct arena *a, void *row, struct err *e)
{
    struct mongo_store *s = (struct mongo_store *)st;
    mongoc_client_t *client = mongo_reach(s, e);
    mongoc_collection_t *c;
    struct gather g = { .kind = key->kind };
    bson_t opts = BSON_INITIALIZER;
    struct filter f;
    bool ok;

    if (!client)
        return false;
    c = mongo_collection(s, client, key->kind->name);
    filter_begin(&f);
    for (size_t i = 0; i < key->n; i++) {
        const struct field *field = kind_field(key->kind, key->index->fields[i]);

        filter_cond(&f, key->kind, field, &COND(field->name, IS, key->values[i]));
    }
    filter_when(&f, key->kind, key->index);
    filter_end(&f);
    hint_index(&opts, key);
    bson_append_int64(&opts, "limit", -1, 1);
    bson_append_bool(&opts, "singleBatch", -1, true);
    ok = mongo_read(s, c, &f.doc, &opts, ALL_FIELDS, &g, a, e);
    if (ok && g.n)
        memcpy(row, g.rows, key->kind->size);
    else if (ok)
        ok = err_set(e, ERR_MISSING, "No such %s", key->kind->name);
    free(g.rows);
    bson_destroy(&f.doc);
    bson_destroy(&opts);
    mongoc_collection_destroy(c);
    mongo_leave(s, client);
    return ok;
}

/* ---- find ---- */

/* Due, and free: no lease, or one that ran out. */
static void filter_claimable(struct filter *f, const struct claimable *claim)
{
    const struct claim *c = claim->claim;
    bson_t item, either, one, test;

    filter_cond(f, c->query.kind, kind_field(c->query.kind, c->due), &COND(c->due, AT_MOST, V_TIME(claim->now)));
    filter_item(f, &item);
    bson_append_array_begin(&item, "$or", -1, &either);
    bson_append_document_begin(&either, "0", 1, &one);
    bson_append_null(&one, c->lease, -1);
    bson_append_document_end(&either, &one);
    bson_append_document_begin(&either, "1", 1, &one);
    bson_append_document_begin(&one, c->lease, -1, &test);
    bson_append_date_time(&test, "$lte", -1, claim->now);
    bson_append_document_end(&one, &test);
    bson_append_document_end(&either, &one);
    bson_append_array_end(&item, &either);
    filter_item_end(f, &item);
}

/* A unique index needs no tie-break, and has none. */
static void append_sort(bson_t *opts, const struct plan *p, size_t from)
{
    const struct kind *k = p->query->kind;
    size_t n = p->n_order;
    bson_t sort;

    if (p->index && p->index->unique && n > 1 && p->order[n - 1] == k->fields &&
        (n > INDEX_FIELDS || !p->index->fields[n - 1]))
        n--;
    if (from >= n)
        return;
    bson_append_document_begin(opts, "sort", -1, &sort);
    for (size_t i = from; i < n; i++)
        bson_append_int32(&sort, document_name(k, p->order[i]), -1, p->query->descending ? -1 : 1);
    bson_append_document_end(opts, &sort);
}

uint64_t mongo_claim_fields(const struct claim *c)
{
    const struct kind *k = c->query.kind;
    uint64_t fields = 1 | document_fields(k, c->query.only);

    return fields | document_fields(k, (const char *const[]){ c->due, c->lease, c->token, c->holder, c->lapsed, NULL });
}

bool mongo_pass(const struct plan *p, const struct pass *pass, const struct claimable *claim, size_t limit,
                bson_t *filter, bson_t *opts)
{
    const struct kind *k = p->query->kind;
    struct filter f;

    filter_begin(&f);
    for (size_t i = 0; i < pass->n; i++)
        filter_cond(&f, k, pass->fields[i], &pass->conds[i]);
    filter_when(&f, k, p->index);
    if (claim)
        filter_claimable(&f, claim);
    filter_end(&f);
    bson_steal(filter, &f.doc); /* it may point into itself */
    bson_append_utf8(opts, "hint", -1, p->index ? p->index->name : "_id_", -1);
    append_sort(opts, p, pass->order_from);
    document_projection(opts, k, claim ? mongo_claim_fields(claim->claim) : document_fields(k, p->query->only));
    bson_append_int64(opts, "limit", -1, (int64_t)limit);
    bson_append_int64(opts, "batchSize", -1, (int64_t)limit);
    return !f.empty;
}

static bool run_pass(struct mongo_store *s, mongoc_collection_t *c, const struct plan *p, const struct pass *pass,
                     const bson_t *session, struct gather *g, struct arena *a, struct err *e)
{
    bson_t filter, opts;
    bool ok = true;

    bson_copy_to(session, &opts);
    if (mongo_pass(p, pass, NULL, p->query->limit - g->n, &filter, &opts))
        ok = mongo_read(s, c, &filter, &opts, document_fields(p->query->kind, p->query->only), g, a, e);
    bson_destroy(&filter);
    bson_destroy(&opts);
    return ok;
}

bool mongo_find(struct store *st, const struct plan *p, struct arena *a, struct rows *out, struct err *e)
{
    struct mongo_store *s = (struct mongo_store *)st;
    mongoc_client_t *client;
    mongoc_collection_t *c;
    mongoc_client_session_t *session = NULL;
    struct gather g;
    struct pass pass;
    bson_t opts;
    bool ok;

    if (p->query->limit > INT32_MAX)
        return err_set(e, ERR_INTERNAL, "a limit of %zu rows", p->query->limit);
    client = mongo_reach(s, e);
    if (!client)
        return false;
    c = mongo_snapshot_collection(s, client, p->query->kind->name);
    ok = mongo_snapshot_begin(s, client, &session, &opts, e);
    gather_begin(&g, p, a);
    for (size_t i = 0; ok && g.n < p->query->limit && !g.cut && plan_pass(p, i, &pass); i++)
        ok = pass.empty || run_pass(s, c, p, &pass, &opts, &g, a, e);
    mongo_snapshot_end(session, &opts);
    mongoc_collection_destroy(c);
    mongo_leave(s, client);
    return gather_end(&g, ok, a, out, e);
}

/* ---- blobs ---- */

void blob_key(struct id id, unsigned n, uint8_t key[BLOB_KEY])
{
    memcpy(key, id.b, sizeof id.b);
    for (int i = 0; i < 4; i++)
        key[16 + i] = (uint8_t)(n >> (24 - 8 * i));
}

/* Keys of one length are ordered by their bytes. */
void blob_range(bson_t *filter, struct id id)
{
    uint8_t key[BLOB_KEY];
    bson_t range;

    bson_append_document_begin(filter, "_id", -1, &range);
    blob_key(id, 0, key);
    bson_append_binary(&range, "$gte", -1, BSON_SUBTYPE_BINARY, key, sizeof key);
    blob_key(id, UINT32_MAX, key);
    bson_append_binary(&range, "$lte", -1, BSON_SUBTYPE_BINARY, key, sizeof key);
    bson_append_document_end(filter, &range);
}

static const struct field chunk_fields[] = { { "id", FIELD_BYTES, 0 }, { "bytes", FIELD_BYTES, 0 } };
static const struct kind chunk_kind = {
    .name = "_blob", .size = sizeof(struct bytes), .fields = chunk_fields, .n_fields = 2
};

bool mongo_blob_get(struct store *st, struct id id, unsigned n, struct arena *a, struct bytes *out, struct err *e)
{
    struct mongo_store *s = (struct mongo_store *)st;
    mongoc_client_t *client = mongo_reach(s, e);
    mongoc_collection_t *c;
    struct gather g = { .kind = &chunk_kind };
    bson_t filter = BSON_INITIALIZER, opts = BSON_INITIALIZER;
    uint8_t key[BLOB_KEY];
    bool ok;

    if (!client)
        return false;
    c = mongo_collection(s, client, chunk_kind.name);
    blob_key(id, n, key);
    bson_append_binary(&filter, "_id", -1, BSON_SUBTYPE_BINARY, key, sizeof key);
    ok = mongo_read(s, c, &filter, &opts, 2, &g, a, e); /* the second field */
    if (ok && g.n)
        memcpy(out, g.rows, sizeof *out);
    else if (ok)
        ok = err_set(e, ERR_MISSING, "No such chunk");
    free(g.rows);
    bson_destroy(&filter);
    bson_destroy(&opts);
    mongoc_collection_destroy(c);
    mongo_leave(s, client);
    return ok;
}
