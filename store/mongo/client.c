/* store/mongo/client.c - connections, and what the server's errors mean.
 *
 * Two pools: a committer's call may be silent for longer, since what became of a write has to be learnt; a reader gives
 * up sooner, as its thread is wanted, and until then reads again. An error says either that this one call did not
 * succeed, or
 * (`gone`) that the server is not there, which all calls then go by. The list is of the codes that mean "not now": what
 * is not in it is our mistake, and ERR_INTERNAL. */
#include "base/log.h"
#include "base/params.h"
#include "store/mongo/mongo.h"
#include <sys/mman.h>
#include <unistd.h>

enum { PLAIN_CLIENTS = 8, PATIENT_MS = 3600000, AGAIN_PAUSE_US = 10000 };

/* ---- the library ---- */

static void library_log(mongoc_log_level_t level, const char *domain, const char *message, void *arg)
{
    (void)level;
    (void)arg;
    log_debug("store", LOG_TEXT("library", domain), LOG_TEXT("message", message));
}

/* It keeps counters, which nobody reads, in shared memory under our pid from before main() on: a killed process would
 * leave them behind, and warn the next of its pid. */
__attribute__((constructor)) static void no_shared_counters(void)
{
    char name[32];

    snprintf(name, sizeof name, "/mongoc-%d", (int)getpid());
    shm_unlink(name);
}

static void library_start(void)
{
    mongoc_log_set_handler(library_log, NULL);
    mongoc_init();
    atexit(mongoc_cleanup);
}

void mongo_library(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, library_start);
}

/* ---- pools ---- */

static bool is_majority(void)
{
#ifdef POSTRIDER_FAULTS
    /* The control of the crash tests: acknowledged by one member, which may be overruled. */
    const char *want = getenv("POSTRIDER_TEST_WRITE_CONCERN");

    return !want || strcmp(want, "1") != 0;
#else
    return true;
#endif
}

static void make_concerns(struct mongo_store *s)
{
    s->majority = mongoc_write_concern_new();
    if (is_majority())
        mongoc_write_concern_set_wmajority(s->majority, (int32_t)PARAM_INT(store, call_timeout));
    else
        mongoc_write_concern_set_w(s->majority, 1);
    mongoc_write_concern_set_journal(s->majority, true);
    s->lazy = mongoc_write_concern_new();
    mongoc_write_concern_set_w(s->lazy, 1);
    mongoc_write_concern_set_journal(s->lazy, false);
    s->reading = mongoc_read_concern_new();
    mongoc_read_concern_set_level(s->reading, MONGOC_READ_CONCERN_LEVEL_MAJORITY);
}

static bool make_pool(const struct mongo_store *s, int64_t clients, int64_t silence, mongoc_client_pool_t **out,
                      struct err *e)
{
    mongoc_uri_t *uri = mongoc_uri_copy(s->uri);
    bson_error_t why;

    mongoc_uri_set_option_as_int32(uri, MONGOC_URI_MAXPOOLSIZE, (int32_t)clients);
    mongoc_uri_set_option_as_int32(uri, MONGOC_URI_SOCKETTIMEOUTMS, (int32_t)silence);
    *out = mongoc_client_pool_new_with_error(uri, &why);
    mongoc_uri_destroy(uri);
    if (!*out && mongoc_uri_get_srv_hostname(s->uri))
        return err_set(e, ERR_BUSY, "the store's members cannot be found: %.120s Is the name right, does DNS work?",
                       why.message);
    if (!*out)
        return err_set(e, ERR_INVALID, "the store's URI cannot be used: %.150s", why.message);
    mongoc_client_pool_set_error_api(*out, MONGOC_ERROR_API_VERSION_2);
    mongoc_client_pool_set_appname(*out, "postrider");
    return true;
}

bool mongo_connect(struct mongo_store *s, const char *url, struct err *e)
{
    mongo_library();
    make_concerns(s);
    if (!mongo_uri(s, url, e) ||
        !make_pool(s, PARAM_INT(store, committers) + PLAIN_CLIENTS, PARAM_INT(store, call_timeout), &s->pool, e) ||
        !make_pool(s, PARAM_INT(pool, store_workers) + PLAIN_CLIENTS, PARAM_INT(store, read_timeout), &s->readers, e))
        return false;
    mongo_listen(s, s->readers);
    return true;
}

mongoc_client_t *mongo_patient_client(const struct mongo_store *s)
{
    mongoc_uri_t *uri = mongoc_uri_copy(s->uri);
    mongoc_client_t *c;

    mongoc_uri_set_option_as_int32(uri, MONGOC_URI_SOCKETTIMEOUTMS, PATIENT_MS);
    mongoc_uri_set_option_as_bool(uri, MONGOC_URI_SERVERSELECTIONTRYONCE, false);
    c = mongoc_client_new_from_uri(uri);
    mongoc_uri_destroy(uri);
    if (!c)
        die("out of memory: a client");
    mongoc_client_set_error_api(c, MONGOC_ERROR_API_VERSION_2);
    return c;
}

mongoc_client_t *mongo_client(struct mongo_store *s)
{
    return mongoc_client_pool_pop(s->pool);
}

void mongo_client_back(struct mongo_store *s, mongoc_client_t *c)
{
    mongoc_client_pool_push(s->pool, c);
}

mongoc_client_t *mongo_reach(struct mongo_store *s, struct err *e)
{
    return mongo_await(s, e) ? mongoc_client_pool_pop(s->readers) : NULL;
}

void mongo_leave(struct mongo_store *s, mongoc_client_t *c)
{
    if (c)
        mongoc_client_pool_push(s->readers, c);
}

mongoc_collection_t *mongo_collection(const struct mongo_store *s, mongoc_client_t *c, const char *name)
{
    mongoc_collection_t *collection = mongoc_client_get_collection(c, s->database, name);

    mongoc_collection_set_write_concern(collection, s->majority);
    mongoc_collection_set_read_concern(collection, s->reading);
    return collection;
}

mongoc_collection_t *mongo_snapshot_collection(const struct mongo_store *s, mongoc_client_t *c, const char *name)
{
    mongoc_collection_t *collection = mongo_collection(s, c, name);
    mongoc_read_concern_t *none = mongoc_read_concern_new();

    mongoc_collection_set_read_concern(collection, none);
    mongoc_read_concern_destroy(none);
    return collection;
}

/* ---- errors ---- */

/* Codes of the server that say: not now. `gone`: the server or our way to it, and not this one call. */
static const struct {
    uint32_t code;
    bool gone;
} away_codes[] = {
    { 6, true },      /* HostUnreachable */
    { 7, true },      /* HostNotFound */
    { 13, true },     /* Unauthorized */
    { 18, true },     /* AuthenticationFailed */
    { 24, false },    /* LockTimeout: of a transaction, while a build that starts changes the collection */
    { 43, false },    /* CursorNotFound */
    { 46, false },    /* LockBusy */
    { 50, false },    /* MaxTimeMSExpired */
    { 64, true },     /* WriteConcernFailed: no majority in time */
    { 89, true },     /* NetworkTimeout */
    { 90, false },    /* CallbackCanceled */
    { 91, true },     /* ShutdownInProgress */
    { 100, true },    /* UnsatisfiableWriteConcern */
    { 112, false },   /* WriteConflict */
    { 117, false },   /* ConflictingOperationInProgress */
    { 134, true },    /* ReadConcernMajorityNotAvailableYet */
    { 175, false },   /* QueryPlanKilled */
    { 189, true },    /* PrimarySteppedDown */
    { 202, false },   /* NetworkInterfaceExceededTimeLimit */
    { 225, false },   /* TransactionTooOld */
    { 237, false },   /* CursorKilled */
    { 239, false },   /* SnapshotTooOld */
    { 246, false },   /* SnapshotUnavailable */
    { 251, false },   /* NoSuchTransaction */
    { 262, false },   /* ExceededTimeLimit */
    { 279, false },   /* ClientDisconnect */
    { 290, false },   /* TransactionExceededLifetimeLimitSeconds */
    { 365, false },   /* TemporarilyUnavailable */
    { 9001, true },   /* SocketException */
    { 10107, true },  /* NotWritablePrimary */
    { 11600, true },  /* InterruptedAtShutdown */
    { 388, false },   /* TransactionTooLargeForCache: for what else is being written; and if not, until the deadline */
    { 11601, false }, /* Interrupted: by killSessions of who thought us dead */
    { 11602, true },  /* InterruptedDueToReplStateChange */
    { 13435, true },  /* NotPrimaryNoSecondaryOk */
    { 13436, true },  /* NotPrimaryOrSecondary */
};

enum { OUT_OF_DISK_SPACE = 14031, OBJECT_TOO_LARGE = 10334 };

/* Network, no primary, or a login that was refused; the library's own codes begin anew in each of its domains. */
static bool is_library(const bson_error_t *why)
{
    return why->domain == MONGOC_ERROR_STREAM || why->domain == MONGOC_ERROR_SERVER_SELECTION ||
           why->domain == MONGOC_ERROR_CLIENT;
}

static bool away(const bson_error_t *why, bool *gone)
{
    *gone = is_library(why);
    if (*gone)
        return true;
    if (why->domain == MONGOC_ERROR_BSON || why->domain == MONGOC_ERROR_COMMAND)
        return false; /* nothing was asked of the server */
    for (size_t i = 0; i < sizeof away_codes / sizeof *away_codes; i++)
        if (why->code == away_codes[i].code) {
            *gone = away_codes[i].gone;
            return true;
        }
    return false;
}

bool mongo_is_away(const bson_error_t *why)
{
    bool gone;

    return away(why, &gone);
}

bool mongo_again(struct mongo_store *s, const bson_error_t *why, int64_t began)
{
    struct err ignored;
    bool gone;

    if (!away(why, &gone) || !gone || clock_monotonic() - began >= PARAM_INT(store, read_timeout))
        return false;
    usleep(AGAIN_PAUSE_US);
    return mongo_await(s, &ignored);
}

/* A document over 16 MiB, said by the library or by the server. */
static bool too_large(const bson_error_t *why)
{
    return (why->domain == MONGOC_ERROR_BSON && why->code == MONGOC_ERROR_BSON_INVALID) ||
           why->code == OBJECT_TOO_LARGE;
}

bool mongo_error(struct mongo_store *s, const bson_error_t *why, struct err *e, const char *where)
{
    bool gone, busy = away(why, &gone), full = !busy && why->code == OUT_OF_DISK_SPACE;

    err_fill(e,
             busy             ? ERR_BUSY
             : full           ? ERR_STORAGE_FULL
             : too_large(why) ? ERR_TOO_LARGE
                              : ERR_INTERNAL,
             where, "mongodb: %.200s (%u)", why->message, why->code);
    if (gone || full)
        mongo_note(s, e);
    return false;
}

/* "writeErrors": [ { index, code, errmsg } ] */
int32_t mongo_write_error(const bson_t *reply, int32_t *index, struct bytes *message)
{
    bson_iter_t at, item, field;
    int32_t code = 0;

    if (!bson_iter_init_find(&at, reply, "writeErrors") || !bson_iter_recurse(&at, &item) || !bson_iter_next(&item) ||
        !bson_iter_recurse(&item, &field))
        return 0;
    while (bson_iter_next(&field)) {
        const char *key = bson_iter_key(&field);
        uint32_t n = 0;

        if (strcmp(key, "code") == 0)
            code = (int32_t)bson_iter_as_int64(&field);
        else if (strcmp(key, "index") == 0)
            *index = (int32_t)bson_iter_as_int64(&field);
        else if (strcmp(key, "errmsg") == 0 && BSON_ITER_HOLDS_UTF8(&field)) {
            message->p = bson_iter_utf8(&field, &n);
            message->n = n;
        }
    }
    return code;
}
