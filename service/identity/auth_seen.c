/* service/identity/auth_seen.c - last_used_at of keys and last_login_at of users: noted in memory, written by a
 * background fiber, a row at most once a minute, so that no request waits for it. What a crash loses is a minute of
 * when somebody was here. */
#include "service/core/state.h"
#include "service/identity/auth.h"
#include "service/identity/auth_private.h"
#define uthash_fatal(message) die("out of memory: who was here")
#include <uthash.h>

#define ROUND_MS  1000
#define AGAIN_MS  60000
#define SEEN_MOST 100000 /* more are not noted until the oldest are forgotten */
#define SLICE     64

struct seen {
    UT_hash_handle hh;
    struct id id;
    const struct kind *kind;
    int64_t at;      /* wall */
    int64_t written; /* the `at` that the store has */
};

void seen_note(struct service *svc, const struct kind *kind, struct id id)
{
    struct auth *a = svc->auth;
    struct seen *s;

    pthread_mutex_lock(&a->mutex);
    HASH_FIND(hh, a->seen, &id, sizeof id, s);
    if (!s && HASH_COUNT(a->seen) < SEEN_MOST) {
        if (!(s = calloc(1, sizeof *s)))
            die("out of memory: who was here");
        s->id = id;
        s->kind = kind;
        HASH_ADD(hh, a->seen, id, sizeof s->id, s);
    }
    if (s)
        s->at = clock_wall();
    pthread_mutex_unlock(&a->mutex);
}

void seen_clear(struct auth *a)
{
    struct seen *s, *next;

    HASH_ITER (hh, a->seen, s, next) {
        HASH_DEL(a->seen, s);
        free(s);
    }
}

/* Takes what is to be written, and forgets what has been silent since. */
static size_t seen_take(struct auth *a, struct seen out[SLICE])
{
    int64_t now = clock_wall();
    struct seen *s, *next;
    size_t n = 0;

    pthread_mutex_lock(&a->mutex);
    HASH_ITER (hh, a->seen, s, next) {
        if (n == SLICE)
            break;
        if (s->at > s->written && now - s->written >= AGAIN_MS) {
            s->written = s->at;
            out[n++] = *s;
        } else if (now - s->at > AGAIN_MS) {
            HASH_DEL(a->seen, s);
            free(s);
        }
    }
    pthread_mutex_unlock(&a->mutex);
    return n;
}

/* A row that is gone by now is no trouble. */
static void put(struct service *svc, const struct seen *s, struct arena *a)
{
    struct batch *b = batch_new(a);
    struct set at = SET(s->kind == &key_kind ? "last_used_at" : "last_login_at", V_TIME(s->at));
    struct err ignored = { 0 };

    batch_update(b, s->kind, s->id, NULL, 0, &at, 1);
    store_commit(svc->store, b, clock_monotonic() + ROUND_MS, &ignored);
    arena_reset(a);
}

void auth_background(struct service *svc)
{
    struct arena *a = arena_new(1024 * 1024);
    struct seen *list = calloc(SLICE, sizeof *list);
    size_t n;

    if (!list)
        die("out of memory: who was here");
    do {
        do {
            n = seen_take(svc->auth, list);
            for (size_t i = 0; i < n; i++)
                put(svc, &list[i], a);
        } while (n == SLICE);
    } while (service_sleep(svc, ROUND_MS));
    free(list);
    arena_free(&a);
}
