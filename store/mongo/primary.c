/* store/mongo/primary.c - is there a primary, and does it know what was acknowledged before it came?
 *
 * Heard from the readers' pool, whose events come before a call can be sent to a new primary. While there is none
 * callers wait, as long as one may come; where that is hopeless they are told at once. The first caller after an
 * election asks for all, see know_majority. */
#include "base/params.h"
#include "store/mongo/mongo.h"
#include <unistd.h>

enum { ASK_PAUSE_US = 10000 };

static int64_t patience(void)
{
    return PARAM_INT(store, read_timeout);
}

/* Its host, "" when there is none. */
static void name_primary(const mongoc_topology_description_t *members, char out[PRIMARY_NAME])
{
    size_t n;
    mongoc_server_description_t **all = mongoc_topology_description_get_servers(members, &n);

    snprintf(out, PRIMARY_NAME, "%s", mongoc_topology_description_has_writable_server(members) ? "?" : "");
    for (size_t i = 0; i < n; i++)
        if (strcmp(mongoc_server_description_type(all[i]), "RSPrimary") == 0)
            snprintf(out, PRIMARY_NAME, "%s", mongoc_server_description_host(all[i])->host_and_port);
    mongoc_server_descriptions_destroy_all(all, n);
}

static void set_primary(struct mongo_store *s, const char *name)
{
    pthread_mutex_lock(&s->state_lock);
    if (*name && strcmp(name, s->primary) != 0)
        atomic_fetch_add(&s->came, 1);
    snprintf(s->primary, sizeof s->primary, "%s", name);
    if (*name) {
        s->heard = clock_monotonic();
        pthread_cond_broadcast(&s->primary_came);
    }
    pthread_mutex_unlock(&s->state_lock);
}

void mongo_hear(struct mongo_store *s)
{
    pthread_mutex_lock(&s->state_lock);
    s->heard = clock_monotonic();
    pthread_mutex_unlock(&s->state_lock);
}

/* Before a call can be sent to whoever the event is about. */
static void topology_changed(const mongoc_apm_topology_changed_t *event)
{
    char name[PRIMARY_NAME];

    name_primary(mongoc_apm_topology_changed_get_new_description(event), name);
    set_primary(mongoc_apm_topology_changed_get_context(event), name);
}

/* Every member says once in a heartbeat whether it is the primary. */
static void heartbeat(const mongoc_apm_server_heartbeat_succeeded_t *event)
{
    struct mongo_store *s = mongoc_apm_server_heartbeat_succeeded_get_context(event);
    const bson_t *hello = mongoc_apm_server_heartbeat_succeeded_get_reply(event);
    bson_iter_t at;

    if ((!bson_iter_init_find(&at, hello, "isWritablePrimary") && !bson_iter_init_find(&at, hello, "ismaster")) ||
        !bson_iter_as_bool(&at))
        return;
    mongo_hear(s);
}

void mongo_listen(struct mongo_store *s, mongoc_client_pool_t *pool)
{
    mongoc_apm_callbacks_t *callbacks = mongoc_apm_callbacks_new();

    mongoc_apm_set_topology_changed_cb(callbacks, topology_changed);
    mongoc_apm_set_server_heartbeat_succeeded_cb(callbacks, heartbeat);
    if (!mongoc_client_pool_set_apm_callbacks(pool, callbacks, s))
        die("mongodb: a pool takes no callbacks");
    mongoc_apm_callbacks_destroy(callbacks);
    s->heard = clock_monotonic();
}

/* Has there been no primary for as long as a call would wait for one? Then it need not be made. With the lock held. */
static bool is_hopeless(const struct mongo_store *s, int64_t now)
{
    if (atomic_load(&s->down) && !atomic_load(&s->full) && now - atomic_load(&s->down_since) > patience())
        return true;
    return !*s->primary && now - s->heard > patience();
}

static bool tell_why(const struct mongo_store *s, struct err *e)
{
    if (!atomic_load(&s->down))
        return err_set(e, ERR_BUSY, "mongodb: no primary has been heard of for %lld s",
                       (long long)(clock_monotonic() - s->heard) / 1000);
    *e = s->why;
    return false;
}

/* ---- one that has just come ---- */

/* A linearizable read: when it has been answered, the primary knows that a majority has all of before. */
static bool ask_majority(struct mongo_store *s, bson_error_t *why)
{
    mongoc_client_t *c = mongoc_client_pool_pop(s->readers);
    mongoc_collection_t *meta = mongo_collection(s, c, "_meta");
    mongoc_read_concern_t *linearizable = mongoc_read_concern_new();
    bson_t *filter = BCON_NEW("_id", "schema");
    bson_t *opts = BCON_NEW("limit", BCON_INT64(1), "singleBatch", BCON_BOOL(true), "maxTimeMS",
                            BCON_INT64(PARAM_INT(store, read_timeout)));
    mongoc_cursor_t *cursor;
    const bson_t *doc;
    bool failed;

    mongoc_read_concern_set_level(linearizable, MONGOC_READ_CONCERN_LEVEL_LINEARIZABLE);
    mongoc_collection_set_read_concern(meta, linearizable);
    cursor = mongoc_collection_find_with_opts(meta, filter, opts, NULL);
    while (mongoc_cursor_next(cursor, &doc))
        ;
    failed = mongoc_cursor_error(cursor, why);
    mongoc_cursor_destroy(cursor);
    mongoc_read_concern_destroy(linearizable);
    mongoc_collection_destroy(meta);
    bson_destroy(filter);
    bson_destroy(opts);
    mongoc_client_pool_push(s->readers, c);
    return !failed;
}

/* A connection to the one before breaks at once, and is no answer: asked again. */
static bool ask_again(struct mongo_store *s, struct err *e)
{
    int64_t began = clock_monotonic();
    bson_error_t why;

    while (!ask_majority(s, &why)) {
        if (!mongo_is_away(&why) || clock_monotonic() - began > patience())
            return mongo_err(s, &why, e);
        usleep(ASK_PAUSE_US);
    }
    return true;
}

/* One that was elected just now does not know at once what the one before it acknowledged, and answers as if that had
 * not been: reads would go back in time. So the first of all callers asks, for all; who waited for one that failed
 * fails with it. */
static bool know_majority(struct mongo_store *s, struct err *e)
{
    unsigned failures = atomic_load(&s->ask_failures), came;
    bool ok = true;

    if (atomic_load(&s->asked) == atomic_load(&s->came))
        return true;
    pthread_mutex_lock(&s->asking);
    if (failures != atomic_load(&s->ask_failures) && atomic_load(&s->asked) != atomic_load(&s->came))
        ok = err_set(e, ERR_BUSY, "mongodb: a new primary does not know yet what a majority has");
    while (ok && atomic_load(&s->asked) != (came = atomic_load(&s->came))) {
        ok = ask_again(s, e);
        if (ok)
            atomic_store(&s->asked, came);
        else
            atomic_fetch_add(&s->ask_failures, 1);
    }
    pthread_mutex_unlock(&s->asking);
    return ok;
}

bool mongo_await(struct mongo_store *s, struct err *e)
{
    bool hopeless;

    pthread_mutex_lock(&s->state_lock);
    while (!(hopeless = is_hopeless(s, clock_monotonic())) && !*s->primary)
        clock_cond_wait(&s->primary_came, &s->state_lock, s->heard + patience() + 1);
    if (hopeless)
        tell_why(s, e);
    pthread_mutex_unlock(&s->state_lock);
    return !hopeless && know_majority(s, e);
}

/* While an election may be under way mail is taken still, and waits. */
bool mongo_is_up(struct store *st, struct err *why)
{
    struct mongo_store *s = (struct mongo_store *)st;
    struct err ignored;
    bool up;

    pthread_mutex_lock(&s->state_lock);
    up = !atomic_load(&s->full) && !is_hopeless(s, clock_monotonic());
    if (!up)
        tell_why(s, why ? why : &ignored);
    pthread_mutex_unlock(&s->state_lock);
    return up;
}
