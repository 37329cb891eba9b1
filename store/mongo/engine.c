/* store/mongo/engine.c - the table of the engine, opening and closing.
 *
 * The order of the opening: connect, make the schema, start the committers with their lanes, say that we are alive, and
 * then the keeper and the watcher. Closing goes the other way and lets the lanes go, so that the next process needs not
 * wait until ours would have been dead. */
#include "store/mongo/mongo.h"

static struct mongo_store *store_new(const struct store_options *o)
{
    struct mongo_store *s = calloc(1, sizeof *s);

    if (!s)
        die("out of memory: a store");
    s->node = o->node;
    s->process = id_new();
    bson_init(&s->sessions);
    s->existing = o->existing;
    s->alone = o->alone;
    s->clock_offset = clock_wall() - clock_monotonic(); /* until the server was asked */
    pthread_mutex_init(&s->state_lock, NULL);
    pthread_mutex_init(&s->asking, NULL);
    clock_cond_init(&s->primary_came);
    tables_init(&s->tables, o->kinds);
    return s;
}

static void end_threads(struct mongo_store *s)
{
    bool began = s->keeper != NULL;

    committers_stop(s);
    watcher_stop(s);
    keeper_stop(s);
    if (began) {
        mongoc_client_t *c = mongo_client(s);

        process_end(s, c);
        mongo_client_back(s, c);
    }
}

static void *destroy_pool(void *pool)
{
    if (pool)
        mongoc_client_pool_destroy(pool);
    return NULL;
}

/* The library's threads that watch the members look only now and then whether they are to end, for each pool: both are
 * waited for at once. */
static void destroy_pools(struct mongo_store *s)
{
    pthread_t beside;
    bool two = s->readers && pthread_create(&beside, NULL, destroy_pool, s->readers) == 0;

    destroy_pool(s->pool);
    if (two)
        pthread_join(beside, NULL);
    else
        destroy_pool(s->readers);
}

static void close_store(struct store *st)
{
    struct mongo_store *s = (struct mongo_store *)st;

    end_threads(s);
    destroy_pools(s);
    if (s->uri)
        mongoc_uri_destroy(s->uri);
    if (s->majority)
        mongoc_write_concern_destroy(s->majority);
    if (s->lazy)
        mongoc_write_concern_destroy(s->lazy);
    if (s->reading)
        mongoc_read_concern_destroy(s->reading);
    tables_clear(&s->tables);
    pthread_cond_destroy(&s->primary_came);
    pthread_mutex_destroy(&s->state_lock);
    pthread_mutex_destroy(&s->asking);
    bson_destroy(&s->sessions);
    free(s->database);
    free(s);
}

static bool engine_begin(struct mongo_store *s, struct err *e)
{
    mongoc_client_t *c = mongo_client(s);
    bool ok;

    mongo_hear(s); /* making the schema may have taken long, and the pools have not listened yet */
    ok = (!s->alone || mongo_is_free(s, c, e)) && committers_start(s, e) && process_renew(s, c, e);
    mongo_client_back(s, c);
    mongoc_client_pool_push(s->readers, mongoc_client_pool_pop(s->readers)); /* begins to listen */
    return ok && keeper_start(s, e) && watcher_start(s, e);
}

static bool open_store(const struct store_options *o, struct bytes place, struct store **out, struct err *e)
{
    struct mongo_store *s = store_new(o);

    (void)place;
    if (mongo_connect(s, o->url, e) && mongo_schema(s, o->schema, e) && engine_begin(s, e)) {
        *out = &s->store;
        return true;
    }
    close_store(&s->store);
    return false;
}

static bool probe(const char *url, struct bytes place, char *found, size_t n, struct err *e)
{
    static const struct kind *const none[] = { NULL };
    struct store_options o = { .kinds = none };
    struct mongo_store *s = store_new(&o);
    bool ok = mongo_connect(s, url, e) && mongo_probe(s, found, n, e);

    (void)place;
    close_store(&s->store);
    return ok;
}

static struct signal *watch_signal(struct store *st, const struct kind *k)
{
    return table_signal(&((struct mongo_store *)st)->tables, k);
}

const struct engine engine_mongo = {
    .shared = true,
    .schemes = { "mongodb", "mongodb+srv" },
    .open = open_store,
    .probe = probe,
    .close = close_store,
    .now = mongo_now,
    .has_room = mongo_has_room,
    .is_up = mongo_is_up,
    .commit = mongo_commit,
    .commit_begin = mongo_commit_begin,
    .commit_end = mongo_commit_end,
    .get = mongo_get,
    .get_by = mongo_get_by,
    .find = mongo_find,
    .blob_get = mongo_blob_get,
    .claim = mongo_claim,
    .lock = mongo_lock,
    .lock_renew = mongo_lock_renew,
    .unlock = mongo_unlock,
    .end_earlier = mongo_end_earlier,
    .watch_read = mongo_watch_read,
    .watch_end = mongo_watch_end,
    .watch_signal = watch_signal,
    .knows_all = mongo_knows_all,
    .blob_walk = mongo_blob_walk,
};
