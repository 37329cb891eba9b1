/* store/mongo/index.c - the indexes of a kind, as its table wants them.
 *
 * They are known by name. One that is there in another form is dropped and made anew; those that the table does not
 * know stay, as an older or newer build beside us may need them. Every index that is not unique ends in `_id`, so that
 * its order has no ties and a cursor names one place. */
#include "store/mongo/schema.h"

enum { INDEX_DIFFERS = 85, INDEX_KEY_DIFFERS = 86 };

static void index_key(bson_t *key, const struct kind *k, const struct index *x)
{
    bool has_id = false;

    for (size_t i = 0; i < INDEX_FIELDS && x->fields[i]; i++) {
        const struct field *f = field_for(k, x->fields[i], NULL);

        bson_append_int32(key, document_name(k, f), -1, 1);
        has_id = has_id || f == k->fields;
    }
    if (!x->unique && !has_id)
        bson_append_int32(key, x->feed ? "_seq" : "_id", -1, 1);
}

static void append_index(bson_t *spec, const struct kind *k, const struct index *x)
{
    bson_t key = BSON_INITIALIZER, partial = BSON_INITIALIZER;

    index_key(&key, k, x);
    bson_append_document(spec, "key", -1, &key);
    bson_append_utf8(spec, "name", -1, x->name, -1);
    if (x->unique)
        bson_append_bool(spec, "unique", -1, true);
    if (document_partial(&partial, k, x))
        bson_append_document(spec, "partialFilterExpression", -1, &partial);
    bson_destroy(&key);
    bson_destroy(&partial);
}

static struct bytes document_at(const bson_iter_t *at)
{
    const uint8_t *data = NULL;
    uint32_t n = 0;

    if (BSON_ITER_HOLDS_DOCUMENT(at))
        bson_iter_document(at, &n, &data);
    return (struct bytes){ (const char *)data, n };
}

static bool same_part(const bson_t *a, const bson_t *b, const char *name)
{
    bson_iter_t at_a, at_b;
    bool has_a = bson_iter_init_find(&at_a, a, name), has_b = bson_iter_init_find(&at_b, b, name);

    if (!has_a || !has_b)
        return has_a == has_b;
    return bytes_equal(document_at(&at_a), document_at(&at_b)) && bson_iter_as_bool(&at_a) == bson_iter_as_bool(&at_b);
}

static bool same_index(const bson_t *a, const bson_t *b)
{
    return same_part(a, b, "key") && same_part(a, b, "unique") && same_part(a, b, "partialFilterExpression");
}

/* Those of a collection, each under its name. */
static bool list_indexes(struct making *m, const char *collection, bson_t *out, struct err *e)
{
    mongoc_collection_t *c = mongoc_database_get_collection(m->database, collection);
    mongoc_cursor_t *cursor = mongoc_collection_find_indexes_with_opts(c, NULL);
    const bson_t *found;
    bson_error_t why;
    bson_iter_t at;
    bool ok;

    while (mongoc_cursor_next(cursor, &found))
        if (bson_iter_init_find(&at, found, "name") && BSON_ITER_HOLDS_UTF8(&at))
            bson_append_document(out, bson_iter_utf8(&at, NULL), -1, found);
    ok = !mongoc_cursor_error(cursor, &why) || making_failed(m, &why, e);
    mongoc_cursor_destroy(cursor);
    mongoc_collection_destroy(c);
    return ok;
}

enum present { ABSENT, SAME, DIFFERENT };

static enum present look_at(const bson_t *listed, const bson_t *want, const char *name)
{
    bson_iter_t at;
    struct bytes data;
    bson_t found;

    if (!bson_iter_init_find(&at, listed, name))
        return ABSENT;
    data = document_at(&at);
    return bson_init_static(&found, (const uint8_t *)data.p, data.n) && same_index(&found, want) ? SAME : DIFFERENT;
}

static bool drop_index(struct making *m, const char *collection, const char *name, struct err *e)
{
    bson_t command = BSON_INITIALIZER;
    bool ok;

    bson_append_utf8(&command, "dropIndexes", -1, collection, -1);
    bson_append_utf8(&command, "index", -1, name, -1);
    ok = making_run(m, &command, e);
    bson_destroy(&command);
    return ok;
}

static bool create_index(struct making *m, const char *collection, const bson_t *spec, struct err *e)
{
    bson_t command = BSON_INITIALIZER, list;
    bool ok;

    bson_append_utf8(&command, "createIndexes", -1, collection, -1);
    bson_append_array_begin(&command, "indexes", -1, &list);
    bson_append_document(&list, "0", 1, spec);
    bson_append_array_end(&command, &list);
    ok = making_run(m, &command, e);
    bson_destroy(&command);
    return ok;
}

static bool set_listed(struct making *m, const char *collection, const bson_t *listed, const bson_t *spec,
                       const char *name, struct err *e)
{
    enum present present = look_at(listed, spec, name);

    if (present == DIFFERENT && !drop_index(m, collection, name, e))
        return false;
    return present == SAME || create_index(m, collection, spec, e);
}

bool index_set(struct making *m, const char *collection, const bson_t *spec, const char *name, struct err *e)
{
    bson_t listed = BSON_INITIALIZER;
    bool ok = list_indexes(m, collection, &listed, e) && set_listed(m, collection, &listed, spec, name, e);

    bson_destroy(&listed);
    return ok;
}

/* Of a watched kind: the order of its feed. */
static void feed_index(bson_t *spec)
{
    BCON_APPEND(spec, "key", "{", "_seq", BCON_INT32(1), "}", "name", BCON_UTF8("_seq"));
}

bool indexes_set(struct making *m, const struct kind *k, struct err *e)
{
    bson_t listed = BSON_INITIALIZER, feed = BSON_INITIALIZER;
    bool ok = list_indexes(m, k->name, &listed, e);

    for (size_t i = 0; ok && i < k->n_indexes; i++) {
        bson_t spec = BSON_INITIALIZER;

        append_index(&spec, k, &k->indexes[i]);
        ok = set_listed(m, k->name, &listed, &spec, k->indexes[i].name, e);
        bson_destroy(&spec);
    }
    feed_index(&feed);
    ok = ok && (!k->watched || set_listed(m, k->name, &listed, &feed, "_seq", e));
    bson_destroy(&feed);
    bson_destroy(&listed);
    return ok;
}

/* Should another process be making the collection too, and with other indexes, indexes_set sees to what differs. */
bool indexes_create(struct making *m, const struct kind *k, struct err *e)
{
    bson_t command = BSON_INITIALIZER, list, spec;
    bson_error_t why;
    char number[16];
    uint32_t n = 0;
    bool ok;

    bson_append_utf8(&command, "createIndexes", -1, k->name, -1);
    bson_append_array_begin(&command, "indexes", -1, &list);
    for (size_t i = 0; i < k->n_indexes + k->watched; i++) {
        snprintf(number, sizeof number, "%u", n++);
        bson_append_document_begin(&list, number, -1, &spec);
        if (i < k->n_indexes)
            append_index(&spec, k, &k->indexes[i]);
        else
            feed_index(&spec);
        bson_append_document_end(&list, &spec);
    }
    bson_append_array_end(&command, &list);
    ok = !n || making_done(m, &command, &why) || why.code == INDEX_DIFFERS || why.code == INDEX_KEY_DIFFERS ||
         making_failed(m, &why, e);
    bson_destroy(&command);
    return ok;
}
