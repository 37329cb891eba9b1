/* service/identity/auth_private.h - inside auth: what is remembered of logins, and how passwords are hashed. */
#ifndef SERVICE_AUTH_PRIVATE_H
#define SERVICE_AUTH_PRIVATE_H
#include "base/metrics.h"
#include "service/core/state.h"
#include "service/identity/auth.h"
#include "service/identity/auth_known.h"
#include "service/identity/throttle.h"

struct remembered; /* a verified password: a keyed hash by user */
struct known_key;  /* an API key's row, at most a second old */
struct seen;       /* when a key or user was last here, and whether the store knows */

struct auth {
    struct throttle *throttle;
    struct turns *turns; /* for the hashers */
    struct known *known;
    pthread_mutex_t mutex; /* of all below */
    struct remembered *remembered;
    struct known_key *keys;
    uint64_t keys_generation;
    struct seen *seen;
};

struct crypt_password_cost auth_cost(void);

/* Makes or compares on the cpu pool when its turn has come (auth_turn.h). ERR_BUSY. */
struct hash_job {
    struct call *c;
    struct bytes password;
    char hash[CRYPT_PASSWORD_HASH]; /* to compare with, or the result */
    bool make, ok;
    enum standing standing;
    struct err err;
};
/* `before` is asked when it is the job's turn, and its false ends it; `after` sees the result before the next has its
 * turn. */
struct hash_watch {
    bool (*before)(void *ctx);
    void (*after)(void *ctx, const struct hash_job *job);
    void *ctx;
};
bool auth_hash(struct hash_job *job, const struct hash_watch *watch); /* watch may be NULL */

/* ---- verified passwords (auth_remember.c) ---- */
enum remembered_as { REMEMBERED_NOTHING, REMEMBERED_SAME, REMEMBERED_OTHER };
enum remembered_as remember_check(struct call *c, const struct user_row *user, struct bytes password);
void remember_add(struct call *c, const struct user_row *user, struct bytes password);
void remember_clear(struct auth *a, struct id user_id); /* NO_ID: all */

/* ---- who was here (auth_seen.c) ---- */
void seen_note(struct service *svc, const struct kind *kind, struct id id);
void seen_clear(struct auth *a);

/* ---- API keys (auth_key.c) ---- */
void keys_clear(struct auth *a);
/* auth_current for a key. */
bool key_current(struct call *c);
#endif
