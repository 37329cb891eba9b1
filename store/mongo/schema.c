/* store/mongo/schema.c - a database made ours, or brought up to what this build keeps: collections with their
 * validators, and versions.
 *
 * Several processes of several builds may do this at once, so nothing is taken away: fields and indexes are added, and
 * a validator keeps the fields that a newer build has put there. `_meta` is the first collection made and the version
 * the last thing written, which tells a half-made database of ours from another program's. */
#include "store/mongo/schema.h"
#include "base/crypt.h"
#include <assert.h>

/* Building an index of a great collection takes its time, on each member. */
enum { PATIENCE_MS = 3600000, NAMESPACE_EXISTS = 48, LOCKS_KEPT_S = 3600 };

bool making_failed(struct making *m, const bson_error_t *why, struct err *e)
{
    if (why->code == UNAUTHORIZED)
        return mongo_not_allowed(m->store, why->message, e);
    return mongo_err(m->store, why, e);
}

bool making_done(struct making *m, const bson_t *command, bson_error_t *why)
{
    return mongoc_client_write_command_with_opts(m->client, m->store->database, command, &m->opts, NULL, why);
}

bool making_run(struct making *m, const bson_t *command, struct err *e)
{
    bson_error_t why;

    return making_done(m, command, &why) || why.code == NAMESPACE_EXISTS || making_failed(m, &why, e);
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

/* *made is false when another process was faster. */
static bool create(struct making *m, const struct kind *k, bool *made, struct err *e)
{
    bson_t command = BSON_INITIALIZER;
    bson_error_t why;

    bson_append_utf8(&command, "create", -1, k->name, -1);
    append_validator(&command, k, NULL);
    *made = making_done(m, &command, &why);
    bson_destroy(&command);
    return *made || why.code == NAMESPACE_EXISTS || making_failed(m, &why, e);
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
    ok = mongoc_collection_update_many(c, &missing, &update, &m->opts, NULL, &why) || making_failed(m, &why, e);
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
        ok = making_run(m, &command, e);
    }
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

/* Puts all collections, as listed, into m->listed, each under its name. */
static bool list_collections(struct making *m, struct err *e)
{
    mongoc_cursor_t *cursor = mongoc_database_find_collections_with_opts(m->database, NULL);
    const bson_t *found;
    bson_error_t why;
    bson_iter_t at;
    bool ok;

    bson_reinit(&m->listed);
    while (mongoc_cursor_next(cursor, &found))
        if (bson_iter_init_find(&at, found, "name") && BSON_ITER_HOLDS_UTF8(&at))
            bson_append_document(&m->listed, bson_iter_utf8(&at, NULL), -1, found);
    ok = !mongoc_cursor_error(cursor, &why) || making_failed(m, &why, e);
    mongoc_cursor_destroy(cursor);
    return ok;
}

static bool bring_up(struct making *m, const struct kind *k, struct err *e)
{
    bson_iter_t at;
    uint32_t n = 0;
    const uint8_t *data = NULL;
    bson_t there, known;

    if (bson_iter_init_find(&at, &m->listed, k->name) && BSON_ITER_HOLDS_DOCUMENT(&at))
        bson_iter_document(&at, &n, &data);
    if (!data || !bson_init_static(&there, data, n))
        return err_set(e, ERR_BUSY, "the collection %s comes and goes", k->name);
    known_properties(&there, &known);
    return extend(m, k, &known, e) && indexes_set(m, k, e);
}

/* One that another process made meanwhile may be of another build. */
static bool set_kind(struct making *m, const struct kind *k, struct err *e)
{
    bool made;

    assert(k->n_fields <= 64);
    if (bson_has_field(&m->listed, k->name))
        return bring_up(m, k, e);
    if (!create(m, k, &made, e))
        return false;
    if (!made)
        return list_collections(m, e) && indexes_create(m, k, e) && bring_up(m, k, e);
    return indexes_create(m, k, e) && indexes_set(m, k, e);
}

static bool set_ours(struct making *m, struct err *e)
{
    static const char *const names[] = { "_meta", "_blob", "_lock", "_process", "_lane" };
    bson_t *old = BCON_NEW("key", "{", "until", BCON_INT32(1), "}", "name", "until", "expireAfterSeconds",
                           BCON_INT32(LOCKS_KEPT_S));
    bool ok = true;

    for (size_t i = 0; ok && i < sizeof names / sizeof *names; i++) {
        bson_t *command = BCON_NEW("create", BCON_UTF8(names[i]));

        ok = bson_has_field(&m->listed, names[i]) || making_run(m, command, e);
        bson_destroy(command);
    }
    ok = ok && index_set(m, "_lock", old, "until", e) && index_set(m, "_process", old, "until", e);
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
    ok = !mongoc_cursor_error(cursor, &why) || making_failed(m, &why, e);
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
    bool ours, any;

    if (!meta(m, "schema", "version", &version, &ours, e) || !list_collections(m, e))
        return false;
    any = !bson_empty(&m->listed);
    ours = ours || bson_has_field(&m->listed, "_meta");
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
        making_failed(m, &why, e);
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
    bson_init(&m.listed);
    bson_init(&m.opts);
    BCON_APPEND(&m.opts, "writeConcern", "{", "w", "majority", "j", BCON_BOOL(true), "wtimeout",
                BCON_INT32(PATIENCE_MS), "}");
    ok = mongo_check_server(s, m.client, e) && check_owner(&m, schema, e) && set_ours(&m, e);
    for (size_t i = 0; ok && i < s->tables.n; i++)
        ok = set_kind(&m, s->tables.at[i].kind, e);
    ok = ok && set_versions(&m, schema, e);
    bson_destroy(&m.opts);
    bson_destroy(&m.listed);
    mongoc_database_destroy(m.database);
    mongoc_client_destroy(m.client);
    return ok;
}
