#include "service/throttle.h"
#include "base/clock.h"
#include "base/crypt.h"
#include "base/params.h"
#include <pthread.h>
#define uthash_fatal(message) die("out of memory: failed logins")
#include <uthash.h>

struct failures {
    UT_hash_handle hh;
    uint8_t pair[CRYPT_HASH];
    int64_t n, until, last;
};

struct throttle {
    pthread_mutex_t mutex;
    struct failures *all; /* the one that failed longest ago comes first */
};

struct throttle *throttle_new(void)
{
    struct throttle *t = calloc(1, sizeof *t);

    if (!t)
        die("out of memory: failed logins");
    pthread_mutex_init(&t->mutex, NULL);
    return t;
}

static void forget(struct throttle *t, struct failures *f)
{
    HASH_DEL(t->all, f);
    free(f);
}

void throttle_free(struct throttle **t)
{
    struct failures *f, *next;

    if (!*t)
        return;
    HASH_ITER (hh, (*t)->all, f, next)
        forget(*t, f);
    pthread_mutex_destroy(&(*t)->mutex);
    free(*t);
    *t = NULL;
}

static void name_pair(struct bytes net, struct bytes user, uint8_t out[CRYPT_HASH])
{
    struct buf text;

    buf_init(&text, 2048);
    buf_addf(&text, "%zu %.*s ", net.n, SHOW(net));
    buf_add(&text, bytes_head(user, 1024));
    crypt_hash(buf_bytes(&text), out);
    buf_clear(&text);
}

static struct failures *find(struct throttle *t, const uint8_t pair[CRYPT_HASH])
{
    struct failures *f;

    HASH_FIND(hh, t->all, pair, CRYPT_HASH, f);
    if (f && clock_monotonic() - f->last > 2 * PARAM_INT(auth, failure_delay_max)) {
        forget(t, f);
        f = NULL;
    }
    return f;
}

int64_t throttle_wait(struct throttle *t, struct bytes net, struct bytes user)
{
    uint8_t pair[CRYPT_HASH];
    int64_t wait = 0;
    struct failures *f;

    name_pair(net, user, pair);
    pthread_mutex_lock(&t->mutex);
    f = find(t, pair);
    if (f)
        wait = f->until - clock_monotonic();
    pthread_mutex_unlock(&t->mutex);
    return wait > 0 ? wait : 0;
}

static int64_t delay_of(int64_t n)
{
    int64_t most = PARAM_INT(auth, failure_delay_max), delay = PARAM_INT(auth, failure_delay);

    if (n <= 0)
        return 0;
    while (--n > 0 && delay < most)
        delay *= 2;
    return delay < most ? delay : most;
}

static struct failures *make(struct throttle *t, const uint8_t pair[CRYPT_HASH])
{
    struct failures *f = calloc(1, sizeof *f);

    if (!f)
        die("out of memory: failed logins");
    while (t->all && HASH_COUNT(t->all) >= (unsigned)PARAM_INT(auth, throttle_names))
        forget(t, t->all);
    memcpy(f->pair, pair, CRYPT_HASH);
    return f;
}

void throttle_failed(struct throttle *t, struct bytes net, struct bytes user)
{
    uint8_t pair[CRYPT_HASH];
    struct failures *f;

    name_pair(net, user, pair);
    pthread_mutex_lock(&t->mutex);
    f = find(t, pair);
    if (f)
        HASH_DEL(t->all, f); /* to the end of the line */
    else
        f = make(t, pair);
    f->n++;
    f->last = clock_monotonic();
    f->until = f->last + delay_of(f->n - PARAM_INT(auth, failures_free) + 1);
    HASH_ADD(hh, t->all, pair, CRYPT_HASH, f);
    pthread_mutex_unlock(&t->mutex);
}

void throttle_passed(struct throttle *t, struct bytes net, struct bytes user)
{
    uint8_t pair[CRYPT_HASH];
    struct failures *f;

    name_pair(net, user, pair);
    pthread_mutex_lock(&t->mutex);
    f = find(t, pair);
    if (f)
        forget(t, f);
    pthread_mutex_unlock(&t->mutex);
}
