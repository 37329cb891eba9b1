/* store/mongo/whole.c - what moving a whole database asks: is it ours alone, do we know all that is in it, and its
 * chunks in order.
 *
 * A copy that leaves a field behind loses it for good: so a database with fields or kinds of a newer build is refused
 * rather than copied in part. Collections without rows are no loss. */
#include "store/mongo/mongo.h"

/* ---- who else has it open ---- */

bool mongo_is_free(struct mongo_store *s, mongoc_client_t *c, struct err *e)
{
    bool used;

    if (!process_of_others(s, c, &used, e))
        return false;
    return !used || err_set(e, ERR_IN_USE,
                            "the database %s is in use by a server: stop every server on it first (one that was "
                            "killed is forgotten after 20 s)",
                            s->database);
}

/* ---- what a newer build has added ---- */

static bool knows_fields(const struct mongo_store *s, const struct kind *k, const bson_t *collection, struct err *e)
{
    bson_iter_t at, deep, field;

    if (!bson_iter_init(&at, collection) ||
        !bson_iter_find_descendant(&at, "options.validator.$jsonSchema.properties", &deep) ||
        !bson_iter_recurse(&deep, &field))
        return true;
    while (bson_iter_next(&field)) {
        const char *name = bson_iter_key(&field);

        if (*name != '_' && !kind_field(k, name))
            return err_set(e, ERR_INVALID,
                           "the database %s holds %s.%s, which a newer postrider made and this one does not know",
                           s->database, k->name, name);
    }
    return true;
}

/* A kind that an older build made and never wrote stays behind without a loss. */
static bool has_rows(struct mongo_store *s, mongoc_client_t *client, const char *name)
{
    bson_t all = BSON_INITIALIZER;
    bson_t *one = BCON_NEW("limit", BCON_INT64(1));
    mongoc_collection_t *c = mongo_collection(s, client, name);
    bson_error_t why;
    bool rows = mongoc_collection_count_documents(c, &all, one, NULL, NULL, &why) != 0; /* -1: it cannot be told */

    mongoc_collection_destroy(c);
    bson_destroy(one);
    bson_destroy(&all);
    return rows;
}

static bool knows(struct mongo_store *s, mongoc_client_t *c, const bson_t *collection, struct err *e)
{
    bson_iter_t at;
    const char *name =
        bson_iter_init_find(&at, collection, "name") && BSON_ITER_HOLDS_UTF8(&at) ? bson_iter_utf8(&at, NULL) : "";
    const struct kind *k = table_named(&s->tables, name);

    if (k)
        return knows_fields(s, k, collection, e);
    return *name == '_' || strncmp(name, "system.", 7) == 0 || !has_rows(s, c, name) ||
           err_set(e, ERR_INVALID, "the database %s holds %s, which a newer postrider made and this one does not know",
                   s->database, name);
}

bool mongo_knows_all(struct store *st, struct err *e)
{
    struct mongo_store *s = (struct mongo_store *)st;
    mongoc_client_t *c = mongo_client(s);
    mongoc_database_t *database;
    mongoc_cursor_t *cursor;
    const bson_t *found;
    bson_error_t why;
    bool ok = true;

    database = mongoc_client_get_database(c, s->database);
    cursor = mongoc_database_find_collections_with_opts(database, NULL);
    while (ok && mongoc_cursor_next(cursor, &found))
        ok = knows(s, c, found, e);
    if (ok && mongoc_cursor_error(cursor, &why))
        ok = mongo_err(s, &why, e);
    mongoc_cursor_destroy(cursor);
    mongoc_database_destroy(database);
    mongo_client_back(s, c);
    return ok;
}

/* ---- chunks ---- */

struct keyed {
    struct bytes key, bytes;
};
static const struct field keyed_fields[] = { { "id", FIELD_BYTES, offsetof(struct keyed, key) },
                                             FIELD(BYTES, keyed, bytes) };
static const struct kind keyed_kind = {
    .name = "_blob", .size = sizeof(struct keyed), .fields = keyed_fields, .n_fields = 2
};

static bool as_chunks(const struct gather *g, struct arena *a, struct rows *out, struct err *e)
{
    const struct keyed *rows = (const void *)g->rows;
    struct blob_chunk *chunks = arena_try(a, (g->n ? g->n : 1) * sizeof *chunks);

    if (!chunks)
        return arena_refused(a, "The answer of the store", e);
    for (size_t i = 0; i < g->n; i++) {
        const uint8_t *key = (const uint8_t *)rows[i].key.p;

        if (rows[i].key.n != BLOB_KEY)
            return err_set(e, ERR_INTERNAL, "_blob: a key of %zu bytes", rows[i].key.n);
        memcpy(chunks[i].id.b, key, sizeof chunks[i].id.b);
        for (int j = 0; j < 4; j++)
            chunks[i].n = chunks[i].n << 8 | key[16 + j];
        chunks[i].bytes = rows[i].bytes;
    }
    out->row = chunks;
    out->n = g->n;
    return true;
}

static void append_after(bson_t *filter, const struct blob_chunk *after)
{
    uint8_t key[BLOB_KEY];
    bson_t above;

    blob_key(after->id, (unsigned)after->n, key);
    bson_append_document_begin(filter, "_id", -1, &above);
    bson_append_binary(&above, "$gt", -1, BSON_SUBTYPE_BINARY, key, sizeof key);
    bson_append_document_end(filter, &above);
}

bool mongo_blob_walk(struct store *st, const struct blob_chunk *after, size_t limit, struct arena *a, struct rows *out,
                     struct err *e)
{
    struct mongo_store *s = (struct mongo_store *)st;
    mongoc_client_t *client = mongo_client(s);
    mongoc_collection_t *c;
    struct gather g = { .kind = &keyed_kind };
    bson_t filter = BSON_INITIALIZER, *opts;
    bool ok;

    limit = limit > INT32_MAX ? INT32_MAX : limit;
    opts = BCON_NEW("sort", "{", "_id", BCON_INT32(1), "}", "limit", BCON_INT64((int64_t)limit));
    c = mongo_collection(s, client, keyed_kind.name);
    if (after)
        append_after(&filter, after);
    ok = mongo_read(s, c, &filter, opts, ALL_FIELDS, &g, a, e) && as_chunks(&g, a, out, e);
    free(g.rows);
    bson_destroy(&filter);
    bson_destroy(opts);
    mongoc_collection_destroy(c);
    mongo_client_back(s, client);
    return ok;
}
