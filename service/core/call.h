/* service/core/call.h - one request or command, from any door.
 *
 * Every service function has the signature `bool name(struct call *c, const struct name_in *in, struct name_out *out)`;
 * on false c->err says why. The adapter makes the call, owns its arena, and may use it for several functions of one
 * request. Each operationId of openapi/postrider.yaml has the service function of the same name. */
#ifndef SERVICE_CALL_H
#define SERVICE_CALL_H
#include "base/json.h"
#include "service/core/kinds.h"

/* What a credential may do; the names are those of the API ("messages:read"). Keys hold them as bits: new ones come at
 * the end. */
/* clang-format off */
#define SCOPE_LIST(X) \
    X(SEND, "send") \
    X(MESSAGES_READ, "messages:read") \
    X(DELIVERIES_WRITE, "deliveries:write") \
    X(MAIL_READ, "mail:read") \
    X(MAIL_WRITE, "mail:write") \
    X(DOMAINS, "domains") \
    X(USERS, "users") \
    X(KEYS, "keys") \
    X(SETTINGS, "settings") \
    X(METRICS, "metrics") \
    X(OPERATOR, "operator") \
    X(SUPPRESSIONS, "suppressions") \
    X(TEMPLATES, "templates") \
    X(STREAMS, "streams")
/* clang-format on */
enum scope_number {
#define X(name, text) SCOPE_NUMBER_##name,
    SCOPE_LIST(X)
#undef X
        SCOPES
};
enum scope {
#define X(name, text) SCOPE_##name = 1 << SCOPE_NUMBER_##name,
    SCOPE_LIST(X)
#undef X
        SCOPE_ALL = (1 << SCOPES) - 1,
    SCOPE_TENANT = SCOPE_ALL & ~(SCOPE_SETTINGS | SCOPE_METRICS | SCOPE_OPERATOR)
};

enum who_kind { WHO_KEY, WHO_USER, WHO_SOCKET, WHO_SYSTEM };

/* Who asks. Lies in the session's or request's arena. */
struct principal {
    enum who_kind kind;
    struct id id;         /* of the key or user; none for the socket */
    struct id account_id; /* its own account */
    unsigned scopes;
    bool test;             /* a test key */
    struct id *domain_ids; /* of a key that is bound to some; n 0: all of the account */
    size_t n_domain_ids;
    struct bytes name;     /* for logs: the user's address, the key's hint, "socket" */
    uint64_t mark;         /* of what the login rests on: auth_current compares it; 0: on nothing that could end */
    struct bytes key_hash; /* WHO_KEY */
    struct user_row *user; /* WHO_USER */
};

struct fault {
    struct bytes pointer, code, message;
};
#define FAULTS_MAX 100
void faults_show(struct jw *w, const struct fault *faults, size_t n); /* the list that is a member `errors` */

struct service; /* service/service.h */
struct stream;  /* net/stream.h */

/* A pull of bytes for streamed bodies: *chunk is empty at the end; valid until the next read. */
struct source {
    bool (*read)(void *ctx, struct bytes *chunk, struct err *e);
    void *ctx;
};

/* An Idempotency-Key given with a POST. `render` turns the operation's out into the body that is kept (no secrets);
 * call_commit calls it. `status` is the 2xx that the operation answers with. After idempotency_begin found a kept
 * answer, `replayed` is set and status, answer, location, ref hold it. */
struct idempotency {
    struct bytes key, route;
    struct bytes body_hash; /* keyed hash of the canonical request */
    bool (*render)(void *ctx, const void *out, struct buf *answer, struct bytes *location);
    void *ctx;
    int status;
    bool replayed;
    struct bytes answer, location;
    struct id ref;
    int64_t kept_from; /* what it makes begins later: it is kept as long from then on; 0: from now */
    int64_t lock_token;
    struct bytes slot;
    struct idempotency_row *row; /* what commits with the batch, and the number of its operation */
    int operation;
};

struct call {
    struct service *svc;
    struct store *store;
    struct arena *arena;
    const struct principal *who; /* NULL before login */
    struct id account;           /* the account acted in: the credential's, or another for an operator */
    int64_t deadline;            /* monotonic ms */
    struct id request;           /* req_…: in every log line, in events and answers */
    const char *door;            /* "api", "smtp", "submission", "pop3", "due" */
    struct bytes client_ip;      /* text; NO_BYTES for the unix socket */
    struct bytes client_net;     /* what limits count by (/64 for IPv6) */
    bool client_loopback, client_tls;
    bool reads;                      /* the door says that it changes nothing (GET): see call_may */
    bool reading;                    /* holds a turn: service/box/reading.h */
    bool again;                      /* done once more for an answer that its client takes slowly: it was noted */
    struct idempotency *idempotency; /* NULL without a key */
    struct fault *faults;            /* every fault of the request */
    size_t n_faults;
    struct err err;
};

/* Starts a call with a fresh request id; a session reuses its struct with call_renew for each command. */
void call_init(struct call *c, struct service *svc, struct arena *a, const char *door);
void call_renew(struct call *c); /* new request id, no error, no faults */
/* The client is the one at the other end; said again when TLS begins. The texts are the stream's. */
void call_client(struct call *c, const struct stream *s);
/* The server itself asks, for the operator's account: it writes to anybody, as anybody, by no limit but the mailbox's,
 * and has no scope for anything else. */
void call_as_system(struct call *c);
/* Notes a fault of one field (JSON pointer of the request, code, message); false so that it can be returned. Past
 * FAULTS_MAX more are dropped. */
bool call_fault(struct call *c, const char *pointer, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* After a look-up that failed: true, and the error is gone, when there was nothing to be found (or the text can be no
 * name of anything). False for any other failure, which is then the call's own: it is returned, never told as "no
 * such". */
bool call_was_missing(struct call *c);
/* True without faults; otherwise c->err becomes ERR_INVALID with the first fault's message. */
bool call_check(struct call *c);
/* ERR_SCOPE unless the credential has the scope (any of the bits). A test key writes test mail and nothing else: the
 * scopes by which things are changed let it look only, in calls that are marked as `reads`. */
bool call_may(struct call *c, unsigned scope);
/* Is the domain one that the credential may touch? A key that is bound to domains reaches those alone. */
bool call_reaches(const struct call *c, struct id domain);
/* An operator's credential, in whichever account it acts. */
bool call_is_operator(const struct call *c);
/* The operator, in the operator's own account: what is of all accounts is seen. */
bool call_oversees(const struct call *c);
/* May the credential see mail of that account, mode ("test" …) and domain: messages, deliveries, events? Test keys see
 * test mail, keys that are bound to domains that of their domains. */
bool call_sees(const struct call *c, struct id account, struct bytes mode, struct id domain);
/* Adds the condition that `field` is one of the domains the credential reaches, where it is bound to some. */
void query_reached(struct call *c, struct query *q, const char *field);
/* Adds what call_sees asks for, to a query whose rows are of the account already. */
void query_seen(struct call *c, struct query *q);
/* Another error instead of the one that is there; false. */
#define err_again(c, code, ...) ((c)->err = (struct err){ 0 }, err_set(&(c)->err, (code), __VA_ARGS__))
/* Commits b with the idempotency row, if there is a key, whose kept answer `out` renders to. `out` may be NULL (`ref`
 * is kept). A lost race for the same key is turned into the right error or replay. */
bool call_commit(struct call *c, struct batch *b, const void *out, struct id ref);

/* ---- lists ---- */
struct page {
    int limit; /* 1-100; 0: the standard 20 */
    struct bytes after, before;
};
struct page_out {
    bool has_more;
    struct bytes next, previous; /* cursors; NO_BYTES where there is none */
    /* With filters, when the look ended before the page was full: made when, was the last that was looked at. `next`
     * goes on from there. 0: the page holds all that there was to find. */
    int64_t searched_to;
};
/* An API list: newest first, page and filters; *rows in list order. Conditions that q's index does not look up are
 * filters: rows are then read narrowly, api.list_look of them at most, and those that fit are loaded. A page ends
 * behind api.page_bytes. ERR_INVALID for a bad cursor. */
bool call_list(struct call *c, struct query *q, const struct page *page, void **rows, size_t *n, struct page_out *out);
#endif
