#include "base/crypt.h"
#include "store/mongo/mongo.h"
#include <assert.h>

/* Building an index of a great collection takes its time, on each member. */
enum { PATIENCE_MS = 3600000, NAMESPACE_EXISTS = 48, INDEX_DIFFERS = 85, INDEX_KEY_DIFFERS = 86, LOCKS_KEPT_S = 3600 };

struct making {
    struct mongo_store *store;
    mongoc_client_t *client;
    mongoc_database_t *database;
    bson_t opts; /* majority, journaled, patient */
};

static bool failed(struct making *m, const bson_error_t *why, struct err *e)
{
    if (why->code == UNAUTHORIZED)
        return mongo_not_allowed(m->store, why->message, e);
    return mongo_err(m->store, why, e);
}

static bool done(struct making *m, const bson_t *command, bson_error_t *why)
{
    return mongoc_client_write_command_with_opts(m->client, m->store->database, command, &m->opts, NULL, why);
}

static bool run(struct making *m, const bson_t *command, struct err *e)
{
    bson_error_t why;

    return done(m, command, &why) || why.code == NAMESPACE_EXISTS || failed(m, &why, e);
}

/* ---- validators ---- */

static const char *const type_names[] = {
    [FIELD_ID] = "binData", [FIELD_TEXT] = "string", [FIELD_BYTES] = "binData", [FIELD_JSON] = "string",
    [FIELD_INT] = "long",   [FIELD_BOOL] = "bool",   [FIELD_TIME] = "date"
};

static void append_property(bson_t *properties, const char *name, const char *type)
{
    bson_t property;

    bson_append_document_begin(properties, name, -1, &property);
    bson_append_utf8(&property, "bsonType", -1, type, -1);
    bson_append_document_end(properties, &property);
}

/* The kind's fields, and those that a newer build has added. */
static void append_validator(bson_t *command, const struct kind *k, const bson_t *known)
{
    bson_t validator, schema, properties;
    bson_iter_t at;

    bson_append_document_begin(command, "validator", -1, &validator);
    bson_append_document_begin(&validator, "$jsonSchema", -1, &schema);
    bson_append_utf8(&schema, "bsonType", -1, "object", -1);
    bson_append_document_begin(&schema, "properties", -1, &properties);
    for (size_t i = 0; i < k->n_fields; i++)
        append_property(&properties, document_name(k, &k->fields[i]), type_names[k->fields[i].type]);
    for (bool more = known && bson_iter_init(&at, known) && bson_iter_next(&at); more; more = bson_iter_next(&at))
        if (strcmp(bson_iter_key(&at), "_id") != 0 && !kind_field(k, bson_iter_key(&at)))
            bson_append_iter(&properties, NULL, 0, &at);
    bson_append_document_end(&schema, &properties);
    bson_append_document_end(&validator, &schema);
    bson_append_document_end(command, &validator);
}

static bool create(struct making *m, const struct kind *k, struct err *e)
{
    bson_t command = BSON_INITIALIZER;
    bool ok;

    bson_append_utf8(&command, "create", -1, k->name, -1);
    append_validator(&command, k, NULL);
    ok = run(m, &command, e);
    bson_destroy(&command);
    return ok;
}

/* Rows of before: a number or truth that is new reads as 0, and is found as 0, by every index. */
static bool fill_in(struct making *m, const struct kind *k, const struct field *f, struct err *e)
{
    mongoc_collection_t *c = mongoc_database_get_collection(m->database, k->name);
    bson_t missing = BSON_INITIALIZER, update = BSON_INITIALIZER, test, set;
    struct value zero = { .type = f->type };
    bson_error_t why;
    bool ok;

    bson_append_document_begin(&missing, f->name, -1, &test);
    bson_append_bool(&test, "$exists", -1, false);
    bson_append_document_end(&missing, &test);
    bson_append_document_begin(&update, "$set", -1, &set);
    document_value(&set, f->name, &zero);
    bson_append_document_end(&update, &set);
    ok = mongoc_collection_update_many(c, &missing, &update, &m->opts, NULL, &why) || failed(m, &why, e);
    bson_destroy(&missing);
    bson_destroy(&update);
    mongoc_collection_destroy(c);
    return ok;
}

/* `known`: the properties of the validator as it is. */
static bool extend(struct making *m, const struct kind *k, const bson_t *known, struct err *e)
{
    bson_t command = BSON_INITIALIZER;
    bool ok = true, news = false;

    for (size_t i = 0; i < k->n_fields; i++) {
        const struct field *f = &k->fields[i];

        if (bson_has_field(known, document_name(k, f)))
            continue;
        news = true;
        if (ok && (f->type == FIELD_INT || f->type == FIELD_BOOL))
            ok = fill_in(m, k, f, e);
    }
    if (ok && news) {
        bson_append_utf8(&command, "collMod", -1, k->name, -1);
        append_validator(&command, k, known);
        ok = run(m, &command, e);
    }
    bson_destroy(&command);
    return ok;
}

/* ---- indexes ---- */

static void index_key(bson_t *key, const struct kind *k, const struct index *x)
{
    bool has_id = false;

    for (size_t i = 0; i < INDEX_FIELDS && x->fields[i]; i++) {
        const struct field *f = field_for(k, x->fields[i], NULL);

        bson_append_int32(key, document_name(k, f), -1, 1);
        has_id = has_id || f == k->fields;
    }
    if (!x->unique && !has_id)
        bson_append_int32(key, "_id", -1, 1);
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

enum present { ABSENT, SAME, DIFFERENT };

static bool look_for_index(struct making *m, const char *collection, const bson_t *want, const char *name,
                           enum present *out, struct err *e)
{
    mongoc_collection_t *c = mongoc_database_get_collection(m->database, collection);
    mongoc_cursor_t *cursor = mongoc_collection_find_indexes_with_opts(c, NULL);
    const bson_t *found;
    bson_error_t why;
    bson_iter_t at;
    bool ok;

    *out = ABSENT;
    while (mongoc_cursor_next(cursor, &found))
        if (bson_iter_init_find(&at, found, "name") && BSON_ITER_HOLDS_UTF8(&at) &&
            strcmp(bson_iter_utf8(&at, NULL), name) == 0)
            *out = same_index(found, want) ? SAME : DIFFERENT;
    ok = !mongoc_cursor_error(cursor, &why) || failed(m, &why, e);
    mongoc_cursor_destroy(cursor);
    mongoc_collection_destroy(c);
    return ok;
}

static bool drop_index(struct making *m, const char *collection, const char *name, struct err *e)
{
    bson_t command = BSON_INITIALIZER;
    bool ok;

    bson_append_utf8(&command, "dropIndexes", -1, collection, -1);
    bson_append_utf8(&command, "index", -1, name, -1);
    ok = run(m, &command, e);
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
    ok = run(m, &command, e);
    bson_destroy(&command);
    return ok;
}

/* Made when it is not there, and made anew when it was defined in another way. */
static bool set_index(struct making *m, const char *collection, const bson_t *spec, const char *name, struct err *e)
{
    enum present present;

    if (!look_for_index(m, collection, spec, name, &present, e))
        return false;
    if (present == DIFFERENT && !drop_index(m, collection, name, e))
        return false;
    return present == SAME || create_index(m, collection, spec, e);
}

/* Of a watched kind: the order of its feed. */
static void feed_index(bson_t *spec)
{
    BCON_APPEND(spec, "key", "{", "_seq", BCON_INT32(1), "}", "name", BCON_UTF8("_seq"));
}

static bool set_indexes(struct making *m, const struct kind *k, struct err *e)
{
    bson_t feed = BSON_INITIALIZER;
    bool ok = true;

    for (size_t i = 0; ok && i < k->n_indexes; i++) {
        bson_t spec = BSON_INITIALIZER;

        append_index(&spec, k, &k->indexes[i]);
        ok = set_index(m, k->name, &spec, k->indexes[i].name, e);
        bson_destroy(&spec);
    }
    feed_index(&feed);
    ok = ok && (!k->watched || set_index(m, k->name, &feed, "_seq", e));
    bson_destroy(&feed);
    return ok;
}

/* All indexes of a new collection in one command: each alone costs as much as the collection. Should another process be
 * making it too, and with other indexes, set_indexes sees to what differs. */
static bool create_indexes(struct making *m, const struct kind *k, struct err *e)
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
    ok = !n || done(m, &command, &why) || why.code == INDEX_DIFFERS || why.code == INDEX_KEY_DIFFERS ||
         failed(m, &why, e);
    bson_destroy(&command);
    return ok;
}

/* ---- collections ---- */

/* options.validator.$jsonSchema.properties of what listCollections says; empty when there is none. */
static void known_properties(const bson_t *collection, bson_t *out)
{
    bson_iter_t at, deep;
    uint32_t n = 0;
    const uint8_t *data = NULL;

    if (bson_iter_init(&at, collection) &&
        bson_iter_find_descendant(&at, "options.validator.$jsonSchema.properties", &deep) &&
        BSON_ITER_HOLDS_DOCUMENT(&deep))
        bson_iter_document(&deep, &n, &data);
    if (!data || !bson_init_static(out, data, n))
        bson_init(out);
}

/* The collection of that name, as listed: NULL when it is not there. With a NULL name: any. To be destroyed. */
static bool look_for(struct making *m, const char *name, bson_t **out, struct err *e)
{
    bson_t opts = BSON_INITIALIZER, filter;
    mongoc_cursor_t *cursor;
    const bson_t *found;
    bson_error_t why;
    bool ok;

    *out = NULL;
    bson_append_document_begin(&opts, "filter", -1, &filter);
    if (name)
        bson_append_utf8(&filter, "name", -1, name, -1);
    bson_append_document_end(&opts, &filter);
    cursor = mongoc_database_find_collections_with_opts(m->database, &opts);
    if (mongoc_cursor_next(cursor, &found))
        *out = bson_copy(found);
    ok = !mongoc_cursor_error(cursor, &why) || failed(m, &why, e);
    mongoc_cursor_destroy(cursor);
    bson_destroy(&opts);
    return ok;
}

static bool set_kind(struct making *m, const struct kind *k, struct err *e)
{
    bson_t *there, known;
    bool ok;

    assert(k->n_fields <= 64);
    if (!look_for(m, k->name, &there, e))
        return false;
    if (!there)
        return create(m, k, e) && create_indexes(m, k, e) && set_indexes(m, k, e);
    known_properties(there, &known);
    ok = extend(m, k, &known, e) && set_indexes(m, k, e);
    bson_destroy(there);
    return ok;
}

static bool set_ours(struct making *m, struct err *e)
{
    static const char *const names[] = { "_meta", "_blob", "_lock", "_process", "_lane" };
    bson_t *old = BCON_NEW("key", "{", "until", BCON_INT32(1), "}", "name", "until", "expireAfterSeconds",
                           BCON_INT32(LOCKS_KEPT_S));
    bool ok = true;

    for (size_t i = 0; ok && i < sizeof names / sizeof *names; i++) {
        bson_t *command = BCON_NEW("create", BCON_UTF8(names[i]));

        ok = run(m, command, e);
        bson_destroy(command);
    }
    ok = ok && set_index(m, "_lock", old, "until", e) && set_index(m, "_process", old, "until", e);
    bson_destroy(old);
    return ok;
}

/* ---- versions ---- */

static bool meta(struct making *m, const char *name, const char *field, int64_t *out, bool *there, struct err *e)
{
    mongoc_collection_t *c = mongo_collection(m->store, m->client, "_meta");
    bson_t filter = BSON_INITIALIZER;
    mongoc_cursor_t *cursor;
    const bson_t *doc;
    bson_error_t why;
    bson_iter_t at;
    bool ok;

    bson_append_utf8(&filter, "_id", -1, name, -1);
    cursor = mongoc_collection_find_with_opts(c, &filter, NULL, NULL);
    *there = mongoc_cursor_next(cursor, &doc) && bson_iter_init_find(&at, doc, field);
    *out = *there ? bson_iter_as_int64(&at) : 0;
    ok = !mongoc_cursor_error(cursor, &why) || failed(m, &why, e);
    mongoc_cursor_destroy(cursor);
    bson_destroy(&filter);
    mongoc_collection_destroy(c);
    return ok;
}

/* A database of ours says so, or is empty, or is being made ours by another process, or was when that one ended: _meta
 * is the first collection made, and what it says the last thing written. */
static bool check_owner(struct making *m, int schema, struct err *e)
{
    int64_t version;
    bson_t *any, *begun;
    bool ours;

    if (!meta(m, "schema", "version", &version, &ours, e) || !look_for(m, NULL, &any, e))
        return false;
    bson_destroy(any);
    if (!ours && any) {
        if (!look_for(m, "_meta", &begun, e))
            return false;
        bson_destroy(begun);
        ours = begun != NULL;
    }
    if (!ours && !any && m->store->existing)
        return err_set(e, ERR_MISSING, "the database %s is not there, or empty: is its name in the URI right?",
                       m->store->database);
    if (!ours && any)
        return err_set(e, ERR_INVALID, "the database %s is one of another program: name an empty one in the URI",
                       m->store->database);
    return version <= schema ||
           err_set(e, ERR_INVALID,
                   "the database %s has schema %lld, written by a newer version; this one knows up to %d. Start the "
                   "newer version",
                   m->store->database, (long long)version, schema);
}

/* Writes one field of a row of _meta by a pipeline, and reads it back. */
static bool set_meta(struct making *m, const char *name, bson_t *pipeline, const char *field, int64_t *out,
                     struct err *e)
{
    bson_t *command = BCON_NEW("findAndModify", "_meta", "query", "{", "_id", BCON_UTF8(name), "}", "update",
                               BCON_ARRAY(pipeline), "upsert", BCON_BOOL(true), "new", BCON_BOOL(true));
    bson_t reply;
    bson_error_t why;
    bson_iter_t at, deep;
    char path[64];
    bool ok = mongoc_client_write_command_with_opts(m->client, m->store->database, command, &m->opts, &reply, &why);

    snprintf(path, sizeof path, "value.%s", field);
    if (!ok)
        failed(m, &why, e);
    else if (bson_iter_init(&at, &reply) && bson_iter_find_descendant(&at, path, &deep))
        *out = bson_iter_as_int64(&deep);
    bson_destroy(&reply);
    bson_destroy(command);
    bson_destroy(pipeline);
    return ok;
}

static bool set_versions(struct making *m, int schema, struct err *e)
{
    int64_t version, identity;

    crypt_random(&identity, sizeof identity);
    return set_meta(m, "schema",
                    BCON_NEW("0", "{", "$set", "{", "version", "{", "$max", "[", "$version", BCON_INT64(schema), "]",
                             "}", "}", "}"),
                    "version", &version, e) &&
           set_meta(m, "epoch",
                    BCON_NEW("0", "{", "$set", "{", "n", "{", "$max", "[", "{", "$add", "[", "$n", BCON_INT64(65536),
                             "]", "}", "{", "$multiply", "[", "{", "$toLong", "$$NOW", "}", BCON_INT64(65536), "]", "}",
                             "]", "}", "}", "}"),
                    "n", &m->store->epoch, e) &&
           set_meta(m, "identity",
                    BCON_NEW("0", "{", "$set", "{", "n", "{", "$ifNull", "[", "$n", BCON_INT64(identity), "]", "}", "}",
                             "}"),
                    "n", &m->store->store.identity, e);
}

bool mongo_schema(struct mongo_store *s, int schema, struct err *e)
{
    struct making m = { .store = s, .client = mongo_patient_client(s) };
    bool ok;

    m.database = mongoc_client_get_database(m.client, s->database);
    bson_init(&m.opts);
    BCON_APPEND(&m.opts, "writeConcern", "{", "w", "majority", "j", BCON_BOOL(true), "wtimeout",
                BCON_INT32(PATIENCE_MS), "}");
    ok = mongo_check_server(s, m.client, e) && check_owner(&m, schema, e) && set_ours(&m, e);
    for (size_t i = 0; ok && i < s->tables.n; i++)
        ok = set_kind(&m, s->tables.at[i].kind, e);
    ok = ok && set_versions(&m, schema, e);
    bson_destroy(&m.opts);
    mongoc_database_destroy(m.database);
    mongoc_client_destroy(m.client);
    return ok;
}
