/* store/mongo/process.c - processes at work on the database: rows of _process, renewed by the keeper (state.c).
 *
 * Alive is who has renewed in time by the server's clock: no node's own clock is believed. Who buries a dead process
 * ends its sessions too, since its open transactions hold rows. A database that was replaced under us is noticed here,
 * before anything of the old one is written into the new one. */
#include "base/log.h"
#include "store/mongo/mongo.h"

enum { LIVE_MS = 20000 };

bool mongo_update(struct mongo_store *s, mongoc_client_t *c, const char *name, const bson_t *filter,
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

/* ---- is the database still the same? ---- */

bool process_same_database(struct mongo_store *s, mongoc_client_t *c, struct err *e)
{
    mongoc_collection_t *meta = mongo_collection(s, c, "_meta");
    bson_t *filter = BCON_NEW("_id", "identity", "n", BCON_INT64(s->store.identity));
    mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(meta, filter, NULL, NULL);
    const bson_t *doc;
    bson_error_t why;
    bool same = mongoc_cursor_next(cursor, &doc), ok = !mongoc_cursor_error(cursor, &why) || mongo_err(s, &why, e);

    if (ok && !same) {
        ok = err_set(e, ERR_BUSY,
                     "the database %s was dropped or replaced under this server: restore it, or start the server again "
                     "for a new one",
                     s->database);
        mongo_note(s, e);
    }
    mongoc_cursor_destroy(cursor);
    bson_destroy(filter);
    mongoc_collection_destroy(meta);
    return ok;
}

/* ---- our row ---- */

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
    BCON_APPEND(&set, "until", "{", "$add", "[", "$$NOW", BCON_INT64(LIVE_MS), "]", "}", "sessions", "{", "$literal",
                BCON_ARRAY(&s->sessions), "}");
    bson_append_document_end(&stage, &set);
    bson_append_document_end(&pipeline, &stage);
    ok = process_same_database(s, c, e) &&
         (mongo_update(s, c, "_process", &filter, &pipeline, upsert, &n, &why) || mongo_err(s, &why, e));
    bson_destroy(&filter);
    bson_destroy(&pipeline);
    bson_destroy(upsert);
    return ok;
}

/* A process that was killed left a transaction open in each session that was committing: rows, among them counters of
 * mailboxes, which nobody could write until the server ends it, a minute or more later. */
static void kill_sessions(mongoc_client_t *c, const bson_t *process)
{
    bson_iter_t at;
    uint32_t n = 0;
    const uint8_t *data = NULL;
    bson_t sessions, *command;
    bson_error_t why;

    if (!bson_iter_init_find(&at, process, "sessions") || !BSON_ITER_HOLDS_ARRAY(&at))
        return;
    bson_iter_array(&at, &n, &data);
    if (!bson_init_static(&sessions, data, n) || bson_empty(&sessions))
        return;
    command = BCON_NEW("killSessions", BCON_ARRAY(&sessions));
    if (!mongoc_client_command_simple(c, "admin", command, NULL, NULL, &why)) /* they end by themselves, later */
        log_warn("store", LOG_TEXT("event", "sessions of a dead process"), LOG_TEXT("error", why.message));
    bson_destroy(command);
    bson_destroy(&sessions);
}

/* Ends what the processes of the filter left behind; their lanes are free from then on. */
static bool bury(struct mongo_store *s, mongoc_client_t *c, const bson_t *filter, struct err *e)
{
    mongoc_collection_t *collection = mongo_collection(s, c, "_process");
    mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(collection, filter, NULL, NULL);
    const bson_t *doc;
    bson_error_t why;
    bool ok;

    while (mongoc_cursor_next(cursor, &doc))
        kill_sessions(c, doc);
    ok = !mongoc_cursor_error(cursor, &why) && mongoc_collection_delete_many(collection, filter, NULL, NULL, &why);
    mongoc_cursor_destroy(cursor);
    mongoc_collection_destroy(collection);
    return ok || mongo_err(s, &why, e);
}

bool process_bury_earlier(struct mongo_store *s, mongoc_client_t *c, struct err *e)
{
    bson_t earlier = BSON_INITIALIZER, not_us;
    bool ok;

    document_id(&earlier, "node", s->node);
    bson_append_document_begin(&earlier, "_id", -1, &not_us);
    document_id(&not_us, "$ne", s->process);
    bson_append_document_end(&earlier, &not_us);
    ok = bury(s, c, &earlier, e);
    bson_destroy(&earlier);
    return ok;
}

bool process_bury_dead(struct mongo_store *s, mongoc_client_t *c, struct err *e)
{
    bson_t *dead = BCON_NEW("$expr", "{", "$lte", "[", "$until", "$$NOW", "]", "}");
    bool ok = bury(s, c, dead, e);

    bson_destroy(dead);
    return ok;
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

static bool any_alive(struct mongo_store *s, mongoc_client_t *c, const bson_t *which, bool *any, struct err *e)
{
    mongoc_collection_t *collection = mongo_collection(s, c, "_process");
    bson_t *filter = BCON_NEW("$expr", "{", "$gt", "[", "$until", "$$NOW", "]", "}");
    mongoc_cursor_t *cursor;
    const bson_t *doc;
    bson_error_t why;
    bool ok;

    bson_concat(filter, which);
    cursor = mongoc_collection_find_with_opts(collection, filter, NULL, NULL);
    *any = mongoc_cursor_next(cursor, &doc);
    ok = !mongoc_cursor_error(cursor, &why) || mongo_err(s, &why, e);
    mongoc_cursor_destroy(cursor);
    bson_destroy(filter);
    mongoc_collection_destroy(collection);
    return ok;
}

bool process_is_alive(struct mongo_store *s, mongoc_client_t *c, struct id process, bool *alive, struct err *e)
{
    bson_t which = BSON_INITIALIZER;
    bool ok;

    document_id(&which, "_id", process);
    ok = any_alive(s, c, &which, alive, e);
    bson_destroy(&which);
    return ok;
}

bool process_of_others(struct mongo_store *s, mongoc_client_t *c, bool *alive, struct err *e)
{
    bson_t which = BSON_INITIALIZER, other;
    bool ok;

    bson_append_document_begin(&which, "node", -1, &other);
    document_id(&other, "$ne", s->node);
    bson_append_document_end(&which, &other);
    ok = any_alive(s, c, &which, alive, e);
    bson_destroy(&which);
    return ok;
}
