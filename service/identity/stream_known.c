/* service/identity/stream_known.c - a cache in front of the rows that every send asks for, by account and name.
 *
 * As in directory.c: a question notes the generation before the store is asked, so that what was read before a change
 * is never taken for fresh after it. What is not there is asked for each time: such sends are refused. */
#include "service/core/state.h"
#include "service/identity/stream_private.h"
#define uthash_fatal(message) die("out of memory: streams")
#include <uthash.h>

#define FRESH_MS  1000
#define NAME_MOST 64 /* of a slug, and more than an id has */
#define TEXTS     5

struct known {
    UT_hash_handle hh;
    uint64_t generation;
    int64_t until;
    struct bytes name; /* the account's id, and how it was called */
    struct stream_row row;
    char *memory;
};

struct stream_cache {
    pthread_mutex_t mutex;
    atomic_uint_fast64_t generation;
    struct known *all; /* in the order in which they came */
};

struct stream_cache *stream_cache_new(void)
{
    struct stream_cache *s = calloc(1, sizeof *s);

    if (!s)
        die("out of memory: streams");
    pthread_mutex_init(&s->mutex, NULL);
    return s;
}

static void forget(struct stream_cache *s, struct known *k)
{
    HASH_DEL(s->all, k);
    free(k->memory);
    free(k);
}

void stream_cache_free(struct stream_cache **out)
{
    struct stream_cache *s = *out;

    if (!s)
        return;
    while (s->all)
        forget(s, s->all);
    pthread_mutex_destroy(&s->mutex);
    free(s);
    *out = NULL;
}

void streams_changed(struct service *svc)
{
    atomic_fetch_add(&svc->streams->generation, 1);
}

static void texts_of(struct stream_row *row, struct bytes *texts[TEXTS])
{
    struct bytes *all[TEXTS] = { &row->name, &row->slug, &row->kind, &row->tracking, &row->unsubscribe };

    memcpy(texts, all, sizeof all);
}

static void keep_texts(struct known *k)
{
    struct bytes *texts[TEXTS + 1] = { &k->name };

    texts_of(&k->row, texts + 1);
    k->memory = bytes_gather(texts, TEXTS + 1);
}

/* *out is a copy whose texts lie in the arena; false when nothing fresh is known. */
static bool recall(struct stream_cache *s, struct bytes name, struct arena *a, struct stream_row *out)
{
    struct bytes *texts[TEXTS];
    struct known *k;
    bool fresh;

    pthread_mutex_lock(&s->mutex);
    HASH_FIND(hh, s->all, name.p, name.n, k);
    fresh = k && k->generation == atomic_load(&s->generation) && k->until > clock_monotonic();
    if (fresh) {
        *out = k->row;
        texts_of(out, texts);
        for (size_t i = 0; i < TEXTS; i++)
            *texts[i] = arena_copy(a, *texts[i]);
    }
    pthread_mutex_unlock(&s->mutex);
    return fresh;
}

static void remember(struct stream_cache *s, struct bytes name, const struct stream_row *row, uint64_t generation)
{
    size_t most = (size_t)PARAM_INT(directory, cache_entries);
    struct known *k = malloc(sizeof *k), *old;

    if (!k)
        die("out of memory: streams");
    *k = (struct known){ .generation = generation, .until = clock_monotonic() + FRESH_MS, .name = name, .row = *row };
    keep_texts(k);
    pthread_mutex_lock(&s->mutex);
    HASH_FIND(hh, s->all, name.p, name.n, old);
    if (old)
        forget(s, old);
    while (s->all && HASH_COUNT(s->all) >= most)
        forget(s, s->all); /* the oldest */
    HASH_ADD_KEYPTR(hh, s->all, k->name.p, k->name.n, k);
    pthread_mutex_unlock(&s->mutex);
}

bool stream_known(struct call *c, struct bytes name, struct stream_row *out)
{
    struct stream_cache *s = c->svc->streams;
    uint64_t generation = atomic_load(&s->generation);
    char key[sizeof c->account.b + NAME_MOST];
    struct bytes full = { key, sizeof c->account.b + name.n };

    if (name.n > NAME_MOST)
        return err_set(&c->err, ERR_MISSING, "No such stream");
    memcpy(key, c->account.b, sizeof c->account.b);
    if (name.n)
        memcpy(key + sizeof c->account.b, name.p, name.n);
    if (recall(s, full, c->arena, out))
        return true;
    if (!stream_read(c, name, out))
        return false;
    remember(s, full, out, generation);
    return true;
}
