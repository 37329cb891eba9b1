/* Who waits for rows of the feed is woken by our own commits (watcher_raise), and for those of other processes by one
 * change stream over _lane, where each group leaves its mark. The stream only wakes: rows are read by the feed's own
 * index (feed.c), so a stream that broke has lost nothing; it is opened again and everybody looks. It also hears of the
 * end of processes, so that at ours it ends at once. */
#include "base/log.h"
#include "store/mongo/mongo.h"
#include <errno.h>

enum { AWAIT_MS = 1000, RETRY_US = 200000 };

struct watcher {
    struct mongo_store *store;
    pthread_t thread;
    atomic_bool stop;
};

void watcher_raise(struct mongo_store *s, uint64_t tables)
{
    for (size_t i = 0; i < s->n_tables; i++)
        if ((tables >> i & 1) && s->tables[i].signal)
            signal_raise(s->tables[i].signal);
}

static uint64_t table_of(const struct mongo_store *s, const char *name)
{
    for (size_t i = 0; i < s->n_tables; i++)
        if (strcmp(name, s->tables[i].kind->name) == 0)
            return (uint64_t)1 << i;
    return 0;
}

/* "seq.event" in updateDescription.updatedFields, or "seq" whole when it was the lane's first. */
static uint64_t tables_of(const struct mongo_store *s, const bson_t *event)
{
    bson_iter_t at, fields;
    uint64_t tables = 0;

    if (bson_iter_init_find(&at, event, "operationType") && BSON_ITER_HOLDS_UTF8(&at) &&
        strcmp(bson_iter_utf8(&at, NULL), "delete") == 0)
        return 0;
    if (!bson_iter_init(&at, event) || !bson_iter_find_descendant(&at, "updateDescription.updatedFields", &fields) ||
        !bson_iter_recurse(&fields, &at))
        return ALL_FIELDS;
    while (bson_iter_next(&at)) {
        const char *key = bson_iter_key(&at);

        if (strncmp(key, "seq.", 4) == 0)
            tables |= table_of(s, key + 4);
        else if (strcmp(key, "seq") == 0)
            tables = ALL_FIELDS;
    }
    return tables;
}

/* Until the stream breaks or we stop. */
static void follow(struct watcher *w, mongoc_change_stream_t *stream)
{
    const bson_t *event, *document;
    bson_error_t why;

    while (!atomic_load(&w->stop)) {
        if (mongoc_change_stream_next(stream, &event)) {
            watcher_raise(w->store, tables_of(w->store, event));
        } else if (mongoc_change_stream_error_document(stream, &why, &document)) {
            log_debug("store", LOG_TEXT("stream", why.message));
            return;
        }
    }
}

static mongoc_change_stream_t *open_stream(mongoc_database_t *database)
{
    bson_t *pipeline = BCON_NEW("pipeline", "[", "{", "$match", "{", "$or", "[", "{", "ns.coll", "_lane", "}", "{",
                                "ns.coll", "_process", "operationType", "delete", "}", "]", "}", "}", "]");
    bson_t *opts = BCON_NEW("maxAwaitTimeMS", BCON_INT64(AWAIT_MS));
    mongoc_change_stream_t *stream = mongoc_database_watch(database, pipeline, opts);

    bson_destroy(opts);
    bson_destroy(pipeline);
    return stream;
}

static void *run(void *arg)
{
    struct watcher *w = arg;
    mongoc_client_t *client = mongo_client(w->store);
    mongoc_database_t *database = mongoc_client_get_database(client, w->store->database);

    while (!atomic_load(&w->stop)) {
        mongoc_change_stream_t *stream = open_stream(database);

        watcher_raise(w->store, ALL_FIELDS);
        follow(w, stream);
        mongoc_change_stream_destroy(stream);
        if (!atomic_load(&w->stop))
            usleep(RETRY_US);
    }
    mongoc_database_destroy(database);
    mongo_client_back(w->store, client);
    return NULL;
}

bool watcher_start(struct mongo_store *s, struct err *e)
{
    struct watcher *w = calloc(1, sizeof *w);

    if (!w)
        die("out of memory: the watcher");
    w->store = s;
    if (pthread_create(&w->thread, NULL, run, w) != 0) {
        free(w);
        return err_set(e, ERR_BUSY, "cannot start the store's watcher: %s", strerror(errno));
    }
    pthread_setname_np(w->thread, "store-watcher");
    s->watcher = w;
    return true;
}

void watcher_ending(struct mongo_store *s)
{
    if (s->watcher)
        atomic_store(&s->watcher->stop, true);
}

void watcher_stop(struct mongo_store *s)
{
    if (!s->watcher)
        return;
    watcher_ending(s);
    pthread_join(s->watcher->thread, NULL);
    free(s->watcher);
    s->watcher = NULL;
}
