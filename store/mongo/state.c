/* What is known of the server: is it there, what time is it. The keeper asks once a second, and renews our process row,
 * so that nobody takes our lanes. */
#include "base/params.h"
#include "store/mongo/mongo.h"
#include <errno.h>

enum { ASK_EVERY_MS = 1000, RENEW_EVERY_MS = 5000 };

void mongo_note(struct mongo_store *s, const struct err *e)
{
    bool was;

    pthread_mutex_lock(&s->state_lock);
    if (!e) /* the readers' pool may hear of that primary a little later: they wait for it */
        s->heard = clock_monotonic();
    was = atomic_exchange(&s->down, e != NULL);
    atomic_store(&s->full, e && e->code == ERR_STORAGE_FULL);
    if (e)
        s->why = *e;
    if (e && !was)
        atomic_store(&s->down_since, clock_monotonic());
    pthread_mutex_unlock(&s->state_lock);
    engine_tell(e, was);
}

/* The disk is the server's: only a write that it refused tells of it. */
bool mongo_has_room(struct store *st)
{
    return !atomic_load(&((struct mongo_store *)st)->full);
}

int64_t mongo_now(struct store *st)
{
    return clock_monotonic() + atomic_load(&((struct mongo_store *)st)->clock_offset);
}

/* ---- the keeper ---- */

struct keeper {
    struct mongo_store *store;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    bool stop;
};

/* "localTime" of the primary was read somewhere between the question and the answer. */
static void read_clock(struct mongo_store *s, const bson_t *hello, int64_t before)
{
    int64_t after = clock_monotonic();
    bson_iter_t at;

    if (bson_iter_init_find(&at, hello, "localTime") && BSON_ITER_HOLDS_DATE_TIME(&at))
        atomic_store(&s->clock_offset, bson_iter_date_time(&at) - (before + after) / 2);
}

static bool ask(struct mongo_store *s, mongoc_client_t *c)
{
    bson_t *command = BCON_NEW("hello", BCON_INT32(1)), reply;
    int64_t before = clock_monotonic();
    bson_error_t why;
    struct err e;
    bool ok = mongoc_client_command_simple(c, "admin", command, NULL, &reply, &why);

    if (ok)
        read_clock(s, &reply, before);
    else
        mongo_err(s, &why, &e);
    bson_destroy(&reply);
    bson_destroy(command);
    return ok;
}

static bool wait(struct keeper *k)
{
    int64_t until = clock_monotonic() + ASK_EVERY_MS;
    bool stop;

    pthread_mutex_lock(&k->mutex);
    while (!k->stop && clock_cond_wait(&k->wake, &k->mutex, until))
        ;
    stop = k->stop;
    pthread_mutex_unlock(&k->mutex);
    return !stop;
}

/* Being up is said by a write, which needs a majority. */
static void *state_keep(void *arg)
{
    struct keeper *k = arg;
    struct mongo_store *s = k->store;
    mongoc_client_t *c = mongo_client(s);
    int64_t renewed = clock_monotonic();

    while (wait(k)) {
        int64_t now = clock_monotonic();
        struct err e;

        if (!ask(s, c))
            continue;
        if (now < renewed + RENEW_EVERY_MS && !atomic_load(&s->down))
            continue;
        if (process_renew(s, c, &e)) {
            mongo_note(s, NULL);
            if (now < renewed + 2 * RENEW_EVERY_MS) /* otherwise others, too, may not have been able to */
                process_bury_dead(s, c, &e);
            renewed = now;
        }
    }
    mongo_client_back(s, c);
    return NULL;
}

bool keeper_start(struct mongo_store *s, struct err *e)
{
    struct keeper *k = calloc(1, sizeof *k);
    mongoc_client_t *c = mongo_client(s);

    if (!k)
        die("out of memory: the keeper");
    ask(s, c);
    mongo_client_back(s, c);
    k->store = s;
    pthread_mutex_init(&k->mutex, NULL);
    clock_cond_init(&k->wake);
    if (pthread_create(&k->thread, NULL, state_keep, k) != 0) {
        free(k);
        return err_set(e, ERR_BUSY, "cannot start the store's keeper: %s", strerror(errno));
    }
    pthread_setname_np(k->thread, "store-keeper");
    s->keeper = k;
    return true;
}

void keeper_stop(struct mongo_store *s)
{
    struct keeper *k = s->keeper;

    if (!k)
        return;
    pthread_mutex_lock(&k->mutex);
    k->stop = true;
    pthread_cond_signal(&k->wake);
    pthread_mutex_unlock(&k->mutex);
    pthread_join(k->thread, NULL);
    pthread_mutex_destroy(&k->mutex);
    pthread_cond_destroy(&k->wake);
    free(k);
    s->keeper = NULL;
}
