/* service/service_private.h - what the files of service/ share and no door may touch.
 *
 * Keys: the server key lies in data_dir/server.key and is never used itself; each purpose has a key derived from it.
 * `wrap_name` (first 8 hex digits of the fingerprint) is what every `wrap` field holds: it names the server key under
 * which, directly or through the user's key, the wrapped key opens. */
#ifndef SERVICE_SERVICE_PRIVATE_H
#define SERVICE_SERVICE_PRIVATE_H
#include "base/clock.h"
#include "base/crypt.h"
#include "base/log.h"
#include "base/params.h"
#include "net/fiber.h"
#include "service/service.h"
#include <pthread.h>
#include <stdatomic.h>

#define WRAP_NAME 8
/* The hidden row of the kind setting. */
#define FINGERPRINT_SETTING "server.key_fingerprint"
#define START_DEADLINE_MS   30000
#define HEARTBEAT_MS        10000
#define NODE_ALIVE_MS       30000

struct service {
    struct store *store;
    struct id node, operator_account;
    char *data_dir;
    char wrap_name[WRAP_NAME + 1];
    struct crypt_key wrap_key;        /* wraps users' keys and content keys */
    struct crypt_key idempotency_key; /* hashes of requests, and of names (id_of_name) */
    struct crypt_key answer_key;      /* seals kept answers */
    struct crypt_key remember_key;    /* hashes of verified passwords; random, new in every process */
    struct directory *directory;      /* service/directory.h */
    struct auth *auth;                /* service/auth.c: throttles, remembered logins, key cache */
    struct limits *limits;            /* service/limits.h */
    struct snapshots *snapshots;      /* service/snapshot.h */
    struct mail *mail;                /* the mail half's own, between mail_start and mail_stop */
    int64_t started_at;
    char boot[ID_TEXT + 1]; /* tells this process from another that runs with the same node id */
    atomic_bool stopping;
    atomic_int fibers; /* background fibers that still run */
};

/* ---- keys of users ---- */

/* A new content key of a user, wrapped; `wrapped` has CRYPT_WRAPPED bytes of the arena. The context is the user's id.
 */
void user_key_make(struct service *svc, struct id user_id, struct arena *a, struct bytes *wrapped, struct bytes *wrap);
/* ERR_SEALED when the row's key does not open under this server's key. */
bool user_key_open(const struct service *svc, struct id user_id, struct bytes wrapped, struct bytes wrap,
                   struct crypt_key *out, struct err *e);

/* The id of the row that is kept for a name: the same on every node, and telling nobody the name. `purpose` keeps the
 * names of different uses apart. */
struct id id_of_name(const struct service *svc, const char *purpose, struct bytes name);

/* Another error instead of the one that is there; false. */
#define err_again(c, code, ...) ((c)->err = (struct err){ 0 }, err_set(&(c)->err, (code), __VA_ARGS__))

/* ---- credentials ---- */

/* Adds the condition that `field` is one of the domains the credential reaches, where it is bound to some. */
void query_reached(struct call *c, struct query *q, const char *field);
/* Adds what call_sees asks for, to a query whose rows are of the account already. */
void query_seen(struct call *c, struct query *q);
/* Argon2id on the cpu pool. ERR_BUSY when too many wait. */
bool password_hash(struct call *c, struct bytes password, struct bytes *out);

struct key_secret {
    struct bytes text, hash, hint;
};
void key_secret_make(bool test, struct arena *a, struct key_secret *out);
struct bytes key_secret_hash(struct bytes text, struct arena *a);
/* The row of a new key, for an insert; domain_ids and allowed_ips are left to the caller. */
void key_row_make(struct key_row *row, struct id account_id, struct bytes name, unsigned scopes, bool test,
                  const struct key_secret *secret);

/* ---- background ---- */

/* Runs run(svc) as a fiber that service_stop waits for; it must end soon after svc->stopping is set. */
bool service_spawn(struct service *svc, void (*run)(struct service *svc), struct err *e);
/* Sleeps up to `ms`; false when the service stops. */
bool service_sleep(struct service *svc, int64_t ms);

/* ---- for the files of one half ---- */
bool node_open(struct service *svc, struct err *e);     /* node.id, or a new id */
bool node_keep(struct service *svc, struct err *e);     /* writes a new one; after the store was opened */
bool secrets_open(struct service *svc, struct err *e);  /* server.key against the store's fingerprint */
bool settings_load(struct service *svc, struct err *e); /* stored values into the parameters */
void settings_follow(struct service *svc);              /* fiber: changes that other nodes made */
/* ERR_INVALID: the node id is alive elsewhere. Else what earlier processes of the node left in the store is ended. */
bool node_alone(struct service *svc, struct err *e);
bool node_claim(struct service *svc, struct err *e); /* our row; after node_alone and the settings */
void node_heartbeat(struct service *svc);            /* fiber */
void node_leave(struct service *svc);                /* last heartbeat, draining */
bool first_start(struct service *svc, const struct service_options *o, struct err *e);
struct auth *auth_new(void);
void auth_free(struct auth **a);
void auth_forget_key(struct service *svc, struct id key_id);   /* changed or deleted */
void auth_forget_user(struct service *svc, struct id user_id); /* password, disabled, deleted */
void auth_forget_all(struct service *svc);                     /* an account was disabled */
void auth_background(struct service *svc);                     /* fiber: last_used_at, last_login_at */
#endif
