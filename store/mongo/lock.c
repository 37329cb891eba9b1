/* Locks are rows of _lock. Tokens rise with the server's clock, so that one that was let go and swept away is not given
 * again. A row that is free stays until it is swept by its time. */
#include "net/fiber.h"
#include "store/mongo/mongo.h"

enum { TICK = 65536 };

struct errand {
    struct mongo_store *store;
    struct id mark; /* of this call: a second try finds what the first did without an answer */
    struct bytes name;
    int64_t ttl_ms, *token;
    bool ok;
    struct err *e;
};

static void append_name(bson_t *filter, struct bytes name)
{
    bson_append_binary(filter, "_id", -1, BSON_SUBTYPE_BINARY, (const uint8_t *)name.p, (uint32_t)name.n);
}

/* Its time is over, it is ours of before our start, or this very call's. */
static void append_free(bson_t *filter, const struct errand *r)
{
    const struct mongo_store *s = r->store;
    bson_t either, one, test;

    bson_append_array_begin(filter, "$or", -1, &either);
    bson_append_document_begin(&either, "0", 1, &one);
    BCON_APPEND(&one, "$expr", "{", "$lte", "[", "$until", "$$NOW", "]", "}");
    bson_append_document_end(&either, &one);
    bson_append_document_begin(&either, "1", 1, &one);
    document_id(&one, "holder", s->node);
    bson_append_document_begin(&one, "token", -1, &test);
    bson_append_int64(&test, "$lte", -1, s->epoch);
    bson_append_document_end(&one, &test);
    bson_append_document_end(&either, &one);
    bson_append_document_begin(&either, "2", 1, &one);
    document_id(&one, "mark", r->mark);
    bson_append_document_end(&either, &one);
    bson_append_array_end(filter, &either);
}

/* token = max(token, now * TICK, epoch) + 1 */
static void append_taking(bson_t *pipeline, const struct errand *r)
{
    bson_t stage, set;

    bson_append_document_begin(pipeline, "0", 1, &stage);
    bson_append_document_begin(&stage, "$set", -1, &set);
    document_id(&set, "holder", r->store->node);
    document_id(&set, "mark", r->mark);
    BCON_APPEND(&set, "token", "{", "$add", "[", "{", "$max", "[", "$token", BCON_INT64(r->store->epoch), "{",
                "$multiply", "[", "{", "$toLong", "$$NOW", "}", BCON_INT64(TICK), "]", "}", "]", "}", BCON_INT64(1),
                "]", "}", "until", "{", "$add", "[", "$$NOW", BCON_INT64(r->ttl_ms), "]", "}");
    bson_append_document_end(&stage, &set);
    bson_append_document_end(pipeline, &stage);
}

static bool find_and_modify(struct mongo_store *s, mongoc_client_t *client, const bson_t *filter, const bson_t *update,
                            bool upsert, bson_t *reply, bson_error_t *why)
{
    mongoc_collection_t *c = mongo_collection(s, client, "_lock");
    mongoc_find_and_modify_opts_t *opts = mongoc_find_and_modify_opts_new();
    bson_t concern = BSON_INITIALIZER;
    bool ok;

    mongoc_write_concern_append(s->majority, &concern);
    mongoc_find_and_modify_opts_set_update(opts, update);
    mongoc_find_and_modify_opts_set_flags(opts, upsert
                                                    ? MONGOC_FIND_AND_MODIFY_UPSERT | MONGOC_FIND_AND_MODIFY_RETURN_NEW
                                                    : MONGOC_FIND_AND_MODIFY_RETURN_NEW);
    mongoc_find_and_modify_opts_append(opts, &concern);
    ok = mongoc_collection_find_and_modify_with_opts(c, filter, opts, reply, why);
    mongoc_find_and_modify_opts_destroy(opts);
    bson_destroy(&concern);
    mongoc_collection_destroy(c);
    return ok;
}

/* One that is there and free; or, with `make`, one that is not there: of one that is there and held the insert fails by
 * its name. (The server's clock may not be asked where a row may be made.) */
static bool row_take(struct errand *r, mongoc_client_t *client, bool make, bool *taken, bson_error_t *why)
{
    bson_t filter = BSON_INITIALIZER, pipeline = BSON_INITIALIZER, reply;
    bson_iter_t at, token;
    bool ok;

    append_name(&filter, r->name);
    if (make)
        BCON_APPEND(&filter, "token", "{", "$exists", BCON_BOOL(false), "}");
    else
        append_free(&filter, r);
    append_taking(&pipeline, r);
    ok = find_and_modify(r->store, client, &filter, &pipeline, make, &reply, why);
    *taken = ok && bson_iter_init(&at, &reply) && bson_iter_find_descendant(&at, "value.token", &token);
    if (*taken)
        *r->token = bson_iter_as_int64(&token);
    bson_destroy(&reply);
    bson_destroy(&filter);
    bson_destroy(&pipeline);
    return ok;
}

/* False: why tells. */
static bool take_one(struct errand *r, mongoc_client_t *client, bson_error_t *why)
{
    return row_take(r, client, false, &r->ok, why) && (r->ok || row_take(r, client, true, &r->ok, why));
}

static void run_take(void *arg)
{
    struct errand *r = arg;
    mongoc_client_t *client = mongo_reach(r->store, r->e);
    int64_t began = clock_monotonic();
    bson_error_t why = { 0 };
    bool ok;

    if (!client)
        return;
    while (!(ok = take_one(r, client, &why)) && mongo_again(r->store, &why, began))
        ;
    if (!ok && why.code == DUPLICATE_KEY)
        err_set(r->e, ERR_IN_USE, "%.*s is in use", SHOW(r->name));
    else if (!ok)
        mongo_err(r->store, &why, r->e);
    else if (!r->ok)
        err_set(r->e, ERR_INTERNAL, "a lock without a token");
    mongo_leave(r->store, client);
}

/* Moves the end of a lock that we hold still: ttl_ms from now. */
static bool move(struct errand *r, mongoc_client_t *client, bool *held, bson_error_t *why)
{
    mongoc_collection_t *c = mongo_collection(r->store, client, "_lock");
    bson_t filter = BSON_INITIALIZER, reply;
    bson_t *change =
        BCON_NEW("0", "{", "$set", "{", "until", "{", "$add", "[", "$$NOW", BCON_INT64(r->ttl_ms), "]", "}", "}", "}");
    bson_iter_t at;
    bool ok;

    append_name(&filter, r->name);
    bson_append_int64(&filter, "token", -1, *r->token);
    BCON_APPEND(&filter, "$expr", "{", "$gt", "[", "$until", "$$NOW", "]", "}");
    ok = mongoc_collection_update_one(c, &filter, change, NULL, &reply, why);
    *held = ok && bson_iter_init_find(&at, &reply, "matchedCount") && bson_iter_as_int64(&at) == 1;
    bson_destroy(&reply);
    bson_destroy(&filter);
    bson_destroy(change);
    mongoc_collection_destroy(c);
    return ok;
}

static void run_move(void *arg)
{
    struct errand *r = arg;
    mongoc_client_t *client = mongo_reach(r->store, r->e);
    int64_t began = clock_monotonic();
    bson_error_t why = { 0 };
    bool moved, held = false;

    if (!client)
        return;
    while (!(moved = move(r, client, &held, &why)) && mongo_again(r->store, &why, began))
        ;
    if (!moved)
        mongo_err(r->store, &why, r->e);
    else
        r->ok = held || err_set(r->e, ERR_IN_USE, "the lock %.*s has ended", SHOW(r->name));
    mongo_leave(r->store, client);
}

bool mongo_lock(struct store *st, struct bytes name, int64_t ttl_ms, int64_t *token, struct err *e)
{
    struct errand r = {
        .store = (struct mongo_store *)st, .mark = id_new(), .name = name, .ttl_ms = ttl_ms, .token = token, .e = e
    };

    return offload(POOL_STORE, run_take, &r, e) && r.ok;
}

bool mongo_lock_renew(struct store *st, struct bytes name, int64_t token, int64_t ttl_ms, struct err *e)
{
    struct errand r = { .store = (struct mongo_store *)st, .name = name, .ttl_ms = ttl_ms, .token = &token, .e = e };

    return offload(POOL_STORE, run_move, &r, e) && r.ok;
}

/* When it fails, the lock ends by its time. */
void mongo_unlock(struct store *st, struct bytes name, int64_t token)
{
    struct err ignored;
    struct errand r = { .store = (struct mongo_store *)st, .name = name, .token = &token, .e = &ignored };

    offload(POOL_STORE, run_move, &r, &ignored);
}

static void run_end_earlier(void *arg)
{
    struct errand *r = arg;
    mongoc_client_t *client = mongo_reach(r->store, r->e);
    mongoc_collection_t *c;
    bson_t filter = BSON_INITIALIZER, old, *change;
    bson_error_t why;

    if (!client)
        return;
    c = mongo_collection(r->store, client, "_lock");
    change = BCON_NEW("$currentDate", "{", "until", BCON_BOOL(true), "}");
    BCON_APPEND(&filter, "until", "{", "$gt", BCON_DATE_TIME(mongo_now(&r->store->store)), "}");
    document_id(&filter, "holder", r->store->node);
    bson_append_document_begin(&filter, "token", -1, &old);
    bson_append_int64(&old, "$lte", -1, r->store->epoch);
    bson_append_document_end(&filter, &old);
    r->ok = process_bury_earlier(r->store, client, r->e) &&
            (mongoc_collection_update_many(c, &filter, change, NULL, NULL, &why) || mongo_err(r->store, &why, r->e));
    bson_destroy(&filter);
    bson_destroy(change);
    mongoc_collection_destroy(c);
    mongo_leave(r->store, client);
}

/* The locks for the other nodes: to ours they are free anyhow. When it fails, all ends by its time. */
void mongo_end_earlier(struct store *st)
{
    struct err ignored;
    struct errand r = { .store = (struct mongo_store *)st, .e = &ignored };

    offload(POOL_STORE, run_end_earlier, &r, &ignored);
}
