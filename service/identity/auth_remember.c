/* service/identity/auth_remember.c - verified passwords, as keyed hashes in memory: a login within auth.remember costs
 * microseconds. The hash covers the stored Argon2 hash too, so a changed password ends it on every node. */
#include "service/core/state.h"
#include "service/identity/auth_private.h"
#define uthash_fatal(message) die("out of memory: remembered logins")
#include <uthash.h>

struct remembered {
    UT_hash_handle hh;
    struct id user_id;
    uint8_t hash[CRYPT_HASH];
    int64_t until;
};

static void hash_of(struct call *c, const struct user_row *user, struct bytes password, uint8_t out[CRYPT_HASH])
{
    struct buf text;

    buf_init(&text, 8192);
    buf_add(&text, (struct bytes){ (const char *)user->id.b, sizeof user->id.b });
    buf_addf(&text, "%.*s ", SHOW(user->password_hash));
    buf_add(&text, password);
    crypt_keyed_hash(&c->svc->remember_key, buf_bytes(&text), out);
    if (text.p)
        crypt_wipe(text.p, text.cap);
    buf_clear(&text);
}

static void forget(struct auth *a, struct remembered *r)
{
    HASH_DEL(a->remembered, r);
    crypt_wipe(r->hash, sizeof r->hash);
    free(r);
}

enum remembered_as remember_check(struct call *c, const struct user_row *user, struct bytes password)
{
    struct auth *a = c->svc->auth;
    uint8_t hash[CRYPT_HASH];
    enum remembered_as how = REMEMBERED_NOTHING;
    struct remembered *r;

    hash_of(c, user, password, hash);
    pthread_mutex_lock(&a->mutex);
    HASH_FIND(hh, a->remembered, &user->id, sizeof user->id, r);
    if (r && r->until <= clock_monotonic()) {
        forget(a, r);
        r = NULL;
    }
    if (r)
        how = crypt_equal((struct bytes){ (char *)r->hash, CRYPT_HASH }, (struct bytes){ (char *)hash, CRYPT_HASH })
                  ? REMEMBERED_SAME
                  : REMEMBERED_OTHER;
    pthread_mutex_unlock(&a->mutex);
    return how;
}

void remember_add(struct call *c, const struct user_row *user, struct bytes password)
{
    struct auth *a = c->svc->auth;
    struct remembered *r, *old;

    if (PARAM_INT(auth, remember) == 0)
        return;
    if (!(r = calloc(1, sizeof *r)))
        die("out of memory: remembered logins");
    r->user_id = user->id;
    r->until = clock_monotonic() + PARAM_INT(auth, remember);
    hash_of(c, user, password, r->hash);
    pthread_mutex_lock(&a->mutex);
    HASH_FIND(hh, a->remembered, &user->id, sizeof user->id, old);
    if (old)
        forget(a, old);
    while (a->remembered && HASH_COUNT(a->remembered) >= (unsigned)PARAM_INT(auth, remember_names))
        forget(a, a->remembered); /* the oldest */
    HASH_ADD(hh, a->remembered, user_id, sizeof r->user_id, r);
    pthread_mutex_unlock(&a->mutex);
}

void remember_clear(struct auth *a, struct id user_id)
{
    struct remembered *r, *next;

    pthread_mutex_lock(&a->mutex);
    HASH_ITER (hh, a->remembered, r, next)
        if (id_is_none(user_id) || id_equal(r->user_id, user_id))
            forget(a, r);
    pthread_mutex_unlock(&a->mutex);
}
