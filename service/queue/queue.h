/* service/queue/queue.h - mail that leaves, as batches: what the delivery engine asks of the store, which it never
 * sees.
 *
 *     queue_flows                     which flows there are, when their next row is due
 *     queue_claim(wants)              rows of them, under a lease with a fencing token; their messages beside them
 *     queue_open(work)                the bytes to be sent
 *     queue_finish(done)              what became of them: deliveries, counters, events, body mark in one batch
 *     queue_return, queue_renew       gives back what was not begun; keeps what is going on
 *     queue_expire                    gives up what is past its time, whatever else holds it
 *
 * A delivery that leaves has a flow, "site/class/account/stream" (the unit of order, fairness and claiming), and its
 * next time in send_at; due_at stays null, so local work (due.h) never meets it. Every write is on condition of the
 * token with which the row was claimed: who has lost a lease changes nothing. `lost` tells which these were; somebody
 * else has them. Any thread or fiber. */
#ifndef SERVICE_QUEUE_H
#define SERVICE_QUEUE_H
#include "service/body/content.h"
#include "service/queue/attempt.h"
#include "service/queue/flow.h"

#define LEASE_MOST_MS 600000 /* the longest delivery.lease */

#define QUEUE_WANTS 64   /* flows of one claim */
#define QUEUE_ROWS  1024 /* rows of one claim, finish, return or renewal */

/* ---- who is told of new mail ---- */

/* What the engine of this node would do with mail of a flow now, for people. Texts lie in the asker's arena. */
struct outlook_host {
    struct bytes name, ip;
    int preference;
};
struct outlook {
    const char *verdict; /* of DNS: "ok", "no_domain" … */
    struct bytes why;
    const struct outlook_host *hosts; /* in the order in which they are tried */
    size_t n_hosts;
    struct bytes path;
    const char *state; /* open, dead, probe, shut */
    int64_t until;     /* when that ends by itself; 0: it does not */
    int window, connections, connections_max, per_connection;
    bool tls_required; /* by its provider */
};
struct routes;

/* The engine of this process, while it runs. All are called in any thread. */
struct outlet {
    /* In any thread or fiber, which waits: of each site the state of its path as JSON, in the arena; left as it is
     * where nothing is known. NULL: nobody can tell. */
    void (*paths)(struct outlet *o, const struct bytes *sites, size_t n, struct arena *a, struct bytes *out);
    /* Takes its own copy of the flow. False: this node does not send, another one is to hear of it. */
    bool (*arrived)(struct outlet *o, struct bytes flow, int64_t send_at);
    /* Waits, for DNS too. False: it does not know until then. */
    bool (*explain)(struct outlet *o, const struct routes *routes, struct bytes flow, struct arena *a, int64_t until,
                    struct outlook *out);
};
void queue_listen(struct service *svc, struct outlet *o); /* NULL: nobody any more */
/* False: no engine runs here, or it does not know. */
bool queue_explain(struct service *svc, const struct routes *routes, struct bytes flow, struct arena *a, int64_t until,
                   struct outlook *out);
/* A row of that flow is there, or due at another time: after the batch that says so was committed. Whichever node sends
 * hears of it. */
void queue_poke(struct service *svc, struct bytes flow, int64_t send_at);

/* What is known of the paths to sites: JSON {name, state, window, busy, connections, failures, until}, or NO_BYTES. */
void queue_paths(struct service *svc, const struct bytes *sites, size_t n, struct arena *a, struct bytes *out);
bool queue_is_shared(const struct service *svc); /* do other nodes have the store? */

/* ---- flows ---- */

struct flow_found {
    struct bytes flow;
    int64_t send_at; /* of its earliest row */
};
/* Up to `most` flows behind `after` (NO_BYTES: from the first), in their order: one look-up in an index for each. */
bool queue_flows(struct service *svc, struct bytes after, size_t most, struct arena *a, struct flow_found **out,
                 size_t *n, struct err *e);

/* When the earliest row of one flow is due; 0: it has none. */
bool queue_next(struct service *svc, struct bytes flow, struct arena *a, int64_t *send_at, struct err *e);

/* ---- one engine for all nodes ---- */

#define QUEUE_LOCK_MS 15000
/* The lock that who sends must hold; renewed, else it ends after QUEUE_LOCK_MS. ERR_IN_USE: another node sends. */
bool queue_lock(struct service *svc, int64_t *token, struct err *e);
bool queue_lock_renew(struct service *svc, int64_t token, struct err *e);
void queue_unlock(struct service *svc, int64_t token);
int64_t queue_now(struct service *svc); /* the store's clock, by which rows are due */

/* ---- claims ---- */

struct want {
    struct bytes flow;
    size_t most;
};

struct work {
    struct delivery_row row;           /* as it was claimed; renewed leases are kept up here */
    const struct message_row *message; /* shared by all of a message in one claim */
    bool message_gone;                 /* `message` then holds ids alone */
    bool lost;
    void *held, *keeper; /* the engine's own */
};

/* Claims up to `most` due rows of each flow; *out lies in the arena, flow by flow. A row whose lease ran out before
 * (somebody died in the middle of it) gets the event email.ambiguous here; what has waited, and whose recipient is
 * suppressed by now, ends here. */
bool queue_claim(struct service *svc, const struct want *wants, size_t n, struct arena *a, struct work **out,
                 size_t *n_out, struct err *e);

/* What else of a work's message is due in its flow at the same time as it was: up to `most` rows, for the transaction
 * that the limit of a claim has cut. The same in all else. */
bool queue_claim_rest(struct service *svc, const struct work *of, size_t most, struct arena *a, struct work **out,
                      size_t *n_out, struct err *e);

/* The message's own trace lines and its body: the bytes that leave, to be read with content_next; of what is sent on
 * Delivered-To above them, by which we know it when it comes again. ERR_GONE: they are no more; ERR_SEALED: under a key
 * that this server has not. */
bool queue_open(struct service *svc, struct arena *a, const struct work *w, struct content_out *out, struct err *e);

int64_t queue_mark_size(const struct delivery_row *d); /* of that Delivered-To line */

struct done {
    struct work *work;
    struct verdict verdict;
    bool ambiguous;          /* the peer may have taken it all the same */
    const struct id *source; /* NULL: as it is */
    struct id suspension;    /* HELD: by which, and why; if that is over by now, it is queued again instead */
    struct bytes reason;
    struct bytes transcript; /* JSON lines that are kept of the attempt; those of one transaction give the same bytes */
    bool written;            /* set by queue_finish */
};

/* What became of deliveries of one message: one batch, unless it is too large or cannot be written: then halves of it,
 * and a single one that cannot be is logged and given up as lost, so that its lease ends by itself. False: the store is
 * away or full, and all may be given again; what is `written` is passed over. */
bool queue_finish(struct service *svc, struct arena *a, struct done *each, size_t n, struct err *e);
/* Unsent: due again when it was, as if it had not been claimed. */
bool queue_return(struct service *svc, struct arena *a, struct work *const *each, size_t n, struct err *e);
/* The same, in another flow each: it takes another route by now. */
bool queue_move(struct service *svc, struct arena *a, struct work *const *each, const struct bytes *flows, size_t n,
                struct err *e);
/* A lease more of delivery.lease. */
bool queue_renew(struct service *svc, struct arena *a, struct work *const *each, size_t n, struct err *e);

/* What was deferred for the network's sake, or that of DNS (of one site, NO_BYTES: of all; of one account, NO_ID: of
 * all) is due now: its hosts are back. */
bool queue_hasten(struct service *svc, struct bytes site, struct id account, size_t *n, struct err *e);
/* What is past its time: did it lack TLS as it has to be, the last time? */
bool queue_lacked_tls(const struct delivery_row *d);
/* Ends what is past its time and under no lease; *n of them, at most a slice. */
bool queue_expire(struct service *svc, size_t *n, struct err *e);
/* What this node had claimed before its start is due now. Before the first claim. */
bool queue_begin(struct service *svc, struct err *e);
#endif
