/* service/identity/auth_known.c - who has logged in from where: see auth_known.h. Names are kept as hashes, the oldest
 * go first. */
#include "service/identity/auth_known.h"
#include "service/core/secrets.h"
#include "service/core/state.h"
#include "service/identity/auth_private.h"
#define uthash_fatal(message) die("out of memory: known clients")
#include <uthash.h>

struct passed {
    UT_hash_handle hh;
    struct id id; /* of the pair's or network's name */
    int64_t until;
};

struct known {
    pthread_mutex_t mutex;
    struct passed *all; /* the one that passed longest ago comes first */
};

struct known *known_new(void)
{
    struct known *k = calloc(1, sizeof *k);

    if (!k)
        die("out of memory: known clients");
    pthread_mutex_init(&k->mutex, NULL);
    return k;
}

static void forget(struct known *k, struct passed *p)
{
    HASH_DEL(k->all, p);
    free(p);
}

void known_free(struct known **k)
{
    struct passed *p, *next;

    if (!*k)
        return;
    HASH_ITER (hh, (*k)->all, p, next)
        forget(*k, p);
    pthread_mutex_destroy(&(*k)->mutex);
    free(*k);
    *k = NULL;
}

static struct id name_of(struct call *c, struct bytes user)
{
    return id_of_name(c->svc, "known",
                      arena_bytesf(c->arena, "%zu %.*s %.*s", c->client_net.n, SHOW(c->client_net), SHOW(user)));
}

static bool has(struct known *k, struct id id)
{
    struct passed *p;
    bool there;

    pthread_mutex_lock(&k->mutex);
    HASH_FIND(hh, k->all, &id, sizeof id, p);
    there = p && p->until > clock_monotonic();
    pthread_mutex_unlock(&k->mutex);
    return there;
}

enum standing known_standing(struct call *c, struct bytes user)
{
    struct known *k = c->svc->auth->known;

    if (has(k, name_of(c, user)))
        return STANDING_KNOWN;
    return has(k, name_of(c, NO_BYTES)) ? STANDING_NETWORK : STANDING_STRANGER;
}

static void note(struct known *k, struct id id)
{
    struct passed *p;

    HASH_FIND(hh, k->all, &id, sizeof id, p);
    if (p)
        HASH_DEL(k->all, p);
    else if (!(p = calloc(1, sizeof *p)))
        die("out of memory: known clients");
    while (k->all && HASH_COUNT(k->all) >= (unsigned)PARAM_INT(auth, known_names))
        forget(k, k->all);
    p->id = id;
    p->until = clock_monotonic() + PARAM_INT(auth, known);
    HASH_ADD(hh, k->all, id, sizeof p->id, p);
}

void known_note(struct call *c, struct bytes user)
{
    struct known *k = c->svc->auth->known;
    struct id pair = name_of(c, user), network = name_of(c, NO_BYTES);

    pthread_mutex_lock(&k->mutex);
    note(k, network);
    note(k, pair);
    pthread_mutex_unlock(&k->mutex);
}
