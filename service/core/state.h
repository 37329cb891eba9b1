/* service/core/state.h - the process's one service from the inside: its store and keys, what it is ready for, and the
 * fibers that work in the background. Doors are given it (service/service.h) and touch none of its members.
 *
 * Keys: the server key lies in data_dir/server.key and is never used itself; each purpose has a key derived from it.
 * `wrap_name` (first 8 hex digits of the fingerprint) is what every `wrap` field holds: it names the server key under
 * which, directly or through the user's key, the wrapped key opens. */
#ifndef SERVICE_STATE_H
#define SERVICE_STATE_H
#include "base/clock.h"
#include "base/crypt.h"
#include "base/log.h"
#include "base/params.h"
#include "net/fiber.h"
#include "service/core/call.h"
#include <pthread.h>
#include <stdatomic.h>

#define WRAP_NAME         8
#define ORPHAN_KINDS      8     /* of rows, that go with their account */
#define START_DEADLINE_MS 30000 /* of what a start waits for */

struct service_options {
    const char *data_dir;       /* 0700: server.key, node.id, admin.key live here */
    const char *store_url;      /* "sqlite:…" */
    const char *admin_key_file; /* where the first admin key is written; NULL: data_dir/admin.key */
    bool may_print_admin_key;   /* standard output is a terminal */
    /* A store that is missing or empty beside its server.key, or of which a part is lost, is not refused: what is left
     * is copied first, and opened as far as it goes. */
    bool accept_loss;
};

struct service {
    struct store *store;
    struct id node, operator_account;
    char *data_dir;
    char own_url[160]; /* the API's own door: public_url.h */
    char wrap_name[WRAP_NAME + 1];
    struct crypt_key wrap_key;           /* wraps users' keys and content keys */
    struct crypt_key idempotency_key;    /* hashes of requests, and of names (id_of_name) */
    struct crypt_key answer_key;         /* seals kept answers */
    struct crypt_key secret_key;         /* seals secrets of rows: secret_seal */
    struct crypt_key token_key;          /* of return paths, number 1: service/queue/return_path.h */
    struct crypt_key srs_key;            /* of those of forwards: the same */
    struct crypt_key public_key;         /* of links in mails, number 1: service/queue/public_token.h */
    struct crypt_key remember_key;       /* hashes of verified passwords; random, new in every process */
    struct directory *directory;         /* service/identity/directory.h */
    struct stream_cache *streams;        /* service/identity/stream.h */
    struct stream_counts *stream_counts; /* service/identity/stream_day.h */
    struct dkim_cache *dkim;             /* service/identity/dkim_signer.h */
    struct auth *auth;                   /* service/identity/auth.c: throttles, remembered logins, key cache */
    struct limits *limits;               /* service/core/limits.h */
    struct retries *retries;             /* service/core/retry.h */
    struct past_places *past;            /* service/keep/past.h */
    struct id orphans[ORPHAN_KINDS];  /* service/keep/sweep.c: how far it looked for rows of accounts that are gone */
    struct turns *readings;           /* service/box/reading.h */
    struct snapshots *snapshots;      /* service/box/snapshot.h */
    struct feed *feed;                /* service/message/feed.h */
    struct suspensions *suspensions;  /* service/queue/suspension.h */
    struct own_rules *rules;          /* service/queue/own_rules.h */
    struct signal *acting;            /* an action waits: service/queue/action.h */
    struct tracked *tracked;          /* service/message/tracked.h */
    struct signal *releasing;         /* a message may begin: service/message/release.h */
    struct compiled_cache *templates; /* service/template/compiled.h */
    struct routing *routing;          /* service/queue/routing.h */
    struct pokes *pokes;              /* service/queue/poke.h; NULL: nobody else has the store */
    struct mail *mail;                /* the mail half's own, between due_start and due_stop */
    _Atomic(struct outlet *) outlet;  /* who is told of mail that leaves: service/queue/queue.h */
    const struct letters *letters;    /* who files what the server writes: service/queue/report.h */
    int64_t started_at;
    char boot[ID_TEXT + 1]; /* tells this process from another that runs with the same node id */
    struct signal *ending;  /* raised once, when it stops: who sleeps hears of it */
    atomic_bool stopping;
    atomic_int fibers; /* background fibers that still run */
};

/* ---- what the doors ask ---- */

/* True while mail can be accepted: store up, room on the disk. Asked at MAIL and by /readyz. ERR_BUSY,
 * ERR_STORAGE_FULL. */
bool service_ready(struct service *svc, struct err *e);
bool service_accepts(struct service *svc, struct err *e);
/* delivery.mode is live. */
bool service_is_live(const struct service *svc);
/* server.hostname is a name that other servers can look up: in live mode it must be (RFC 5321 4.1.1.1). ERR_INVALID
 * says what is wrong with it. */
bool service_has_full_name(struct err *e);
bool full_name_check(struct bytes name, struct err *e); /* the same of any text */

/* ---- background ---- */

/* Runs run(svc) as a fiber that service_stop waits for; it must end soon after svc->stopping is set. */
bool service_spawn(struct service *svc, void (*run)(struct service *svc), struct err *e);
/* Sleeps up to `ms`; false when the service stops. */
bool service_sleep(struct service *svc, int64_t ms);

#endif
