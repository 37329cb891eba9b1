/* service/identity/auth.h - who is who, the same at every door.
 *
 * Passwords: Argon2id on the cpu pool, at most auth.argon2_parallel at once; the same work and answer for an unknown
 * user and a wrong password; a verified one is remembered as a keyed hash for auth.remember. Failed logins throttle the
 * pair of client network and user (growing delay, then ERR_RATE), never the user alone, so a stranger cannot lock the
 * owner out. Each failure is one log line: `auth result=failed client=… user=… door=…`. Needs c->client_* and c->door.
 * Results lie in c->arena. */
#ifndef SERVICE_AUTH_H
#define SERVICE_AUTH_H
#include "service/core/call.h"

/* A user's address and password. ERR_AUTH, ERR_RATE, ERR_BUSY; ERR_KEY_AS_NAME for an API key in the place of the name:
 * the message says where it belongs. */
bool auth_password(struct call *c, struct bytes user, struct bytes password, const struct principal **out);
/* A bearer key `pr_live_…` / `pr_test_…`: not expired, allowed from this address. ERR_AUTH. */
bool auth_key(struct call *c, struct bytes secret, const struct principal **out);
/* A name and password at the SMTP door: name "apikey" takes a key. */
bool auth_submission(struct call *c, struct bytes name, struct bytes password, const struct principal **out);
/* Is who logged in still who they were? Asked at every command of a session and while an answer runs: a key that was
 * deleted, has expired or may do less, a user or account that was disabled or deleted and a changed password end it, at
 * once at the node where it happened and within a second at the others. ERR_REVOKED then; ERR_BUSY while nobody can
 * say. True before a login. Costs a look into memory, and leaves nothing in c->arena. */
bool auth_current(struct call *c);
/* The peer of the unix socket: root, or the owner of the data folder. */
bool auth_socket(struct call *c, unsigned uid, const struct principal **out);
/* auth.cleartext: may a password cross this connection? */
bool auth_clear_allowed(const struct call *c);
/* Sets who and account of the call; `other` (may be NO_BYTES) is the Postrider-Account header. ERR_SCOPE, ERR_MISSING.
 */
bool call_act_as(struct call *c, const struct principal *who, struct bytes other);

/* ---- inside service/ ---- */
struct auth *auth_new(void);
void auth_free(struct auth **a);
void auth_forget_key(struct service *svc, struct id key_id);   /* changed or deleted */
void auth_forget_user(struct service *svc, struct id user_id); /* password, disabled, deleted */
void auth_forget_all(struct service *svc);                     /* an account was disabled */
void auth_background(struct service *svc);                     /* fiber: last_used_at, last_login_at */
/* Argon2id on the cpu pool. ERR_BUSY when too many wait. */
bool password_hash(struct call *c, struct bytes password, struct bytes *out);
#endif
