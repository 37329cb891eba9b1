/* delivery/engine_private.h - what the files of the engine share. All of it lives on one loop: its fibers run in turns
 * and never at once, so nothing here is locked; only `arrived` comes from other threads.
 *
 *     engine.c      lifecycle, lock, arrivals, the loop
 *     claims.c      picks to claims to runs; leases
 *     course.c      routes: where mail goes
 *     site.c        the table of sites (the place that flows lead to: a domain, a relay)
 *     plan.c        domains to hosts, by DNS
 *     family.c      which of IPv4 and IPv6 worked
 *     way.c         ways (a way is the path to one group of hosts, with its connections)
 *     rates.c       how much may begin in a time
 *     conn.c        connections: TLS policy, pool
 *     run.c         a fiber for each slot: transactions one after the other
 *     turn.c        one attempt of one transaction: hosts
 *     transact.c    likewise: on a connection
 *     stops.c       what is suspended
 *     shown.c       what is told of paths
 *     inherit.c     what the next node needs of them
 *     explain.c     what it would do, for people
 *     outgo.c       the bytes on the wire
 *     fate.c        what an answer comes to
 *     settle.c      written down, logged, or gone back */
#ifndef DELIVERY_ENGINE_PRIVATE_H
#define DELIVERY_ENGINE_PRIVATE_H
#include "delivery/client.h"
#include "delivery/convert.h"
#include "delivery/engine.h"
#include "delivery/mx.h"
#include "delivery/path.h"
#include "delivery/sched.h"
#include "delivery/verdict.h"
#include "net/fiber.h"
#include "net/wait.h"
#include "service/core/state.h"
#include "service/queue/own_rules.h"
#include "service/queue/queue.h"
#include "service/queue/queue_sign.h"
#include "service/queue/routing.h"
#include "service/queue/suspension.h"

#define uthash_fatal(message) die("out of memory: delivery")
#include <uthash.h>

/* ---- routes ---- */

/* Where mail goes: its route, and what all share that goes there with it. */
struct course {
    struct mail_route route;
    struct bytes domain; /* of the recipients; NO_BYTES where the route does not ask for it */
    struct bytes place;  /* the name: the domain, or the route's */
};
/* Of a flow, as it is now, but for mail in it that takes another for its own sake. False: no flow of ours. */
bool course_of_flow(const struct routes *r, struct bytes flow, struct arena *a, struct course *out);
uint64_t course_default(void); /* a hash of the route of the parameters */
/* Of mail to a domain, by the operator's routes alone. */
bool course_of_domain(const struct routes *r, struct bytes domain, struct arena *a, struct course *out);
/* Of one message in it. */
bool course_of_work(const struct routes *r, const struct work *w, struct arena *a, struct course *out);

/* ---- ways ---- */

enum security { IN_CLEAR, IN_TLS, IN_TLS_VERIFIED };

struct conn {
    struct conn *next;          /* in the way's pool */
    struct conn *older, *newer; /* of all that are idle */
    struct engine *engine;
    struct client *client;
    struct way *way;
    struct arena *arena; /* of its greeting */
    struct network address;
    struct bytes mx; /* name of the host */
    char ip[NETWORK_TEXT];
    enum security security;
    enum route_tls policy; /* under which it was made */
    struct tls_result tls;
    int64_t opened_at, idle_since; /* monotonic */
    struct attempt_delays delays;  /* of its making; told with its first message */
};

struct way {
    UT_hash_handle hh;
    struct path path;
    struct conn *idle;
    int per_connection;
    bool tls_required;
    char provider[PROVIDER_NAME_MAX + 1]; /* "": of none that is known */
    unsigned noted;                       /* of its state, what other nodes know; 0: it is as a new one */
    int64_t note_at;                      /* monotonic: not again before */
    int told;                             /* the window that sched knows */
    int64_t shut_until;                   /* monotonic: the login there is refused */
    int64_t failed_at;                    /* monotonic: the last time that a host failed */
    int64_t sleep_until;                  /* likewise: it has used up its rate */
    bool stopped;                         /* by a suspension */
    int cap;                              /* transactions at once that one leaves; 0: as many as the window */
    size_t taught;                        /* recipients that a transaction may have, as a 452 said; until then */
    int64_t taught_until;                 /* monotonic */
    size_t sites;
    size_t name_n;
    char name[];
};

struct way *way_get(struct engine *e, struct bytes name); /* made at first */
void way_tell(struct engine *e, struct way *w, enum path_event event);
void way_update(struct engine *e, struct way *w); /* sched hears of its window */
bool way_is_shut(struct way *w);
/* The operator's to mend: what waits is not tried for a while, and not put off either. */
void way_suspend(struct engine *e, struct way *w, const struct mail_route *r, struct bytes why);
/* It is needed no more, for what failed there works again. True: something had failed. */
bool way_resume(struct engine *e, struct bytes name);
void ways_count(const struct engine *e); /* for the metrics */
void ways_reap(struct engine *e);        /* those that nobody takes */
void ways_free(struct engine *e);
struct bytes way_name(const struct way *w);

/* Its hosts took so many recipients of a mail and had the others wait: it is remembered for ten minutes. */
void way_learn(struct way *w, size_t recipients);
size_t way_taught(const struct way *w); /* 0: nothing */

/* It has used up its rate: nothing is picked for it before. Monotonic. */
void way_sleep(struct engine *e, struct way *w, int64_t until);
/* No connection is begun before. */
void way_quiet(struct engine *e, struct way *w, int64_t until);

/* ---- rates ---- */

enum { RATE_PATH, RATE_ACCOUNT, RATE_STREAM, RATE_PACE, RATES };
/* So many of `most` messages of the flow may begin on the way; 0: none before *until (the store's clock). Waits for the
 * store, where a rate is set. */
size_t rates_take(struct engine *e, struct bytes flow, struct way *w, size_t most, struct arena *a, int64_t *until);
/* Taken, and not sent: there were fewer. */
void rates_return(struct engine *e, struct bytes flow, struct way *w, size_t n, struct arena *a);
/* May a connection be made? If not, the way knows when. */
bool rates_connect(struct engine *e, struct way *w);
struct limit;
/* One of any limit; 0: it is taken, else the time (ms) until there may be more. */
int64_t rate_take(struct engine *e, const struct limit *l, struct arena *a);
void rate_return(struct engine *e, struct bytes name);
void rates_free(struct engine *e);

/* ---- sites ---- */

struct waiting { /* a flow, by name */
    struct waiting *next;
    int64_t send_at;
    size_t n;
    char flow[];
};

struct site {
    UT_hash_handle hh;
    struct engine *engine;
    struct arena *arena;  /* of all below */
    struct arena *asking; /* while its hosts are asked for */
    struct mail_route route;
    struct bytes domain; /* whose DNS is asked; NO_BYTES: of a relay */
    struct mx_plan plan;
    struct way *way;         /* NULL: its hosts are still asked for */
    int64_t until;           /* monotonic: how long the plan holds */
    unsigned unusable;       /* plans in a row that came to MX_UNUSABLE */
    struct rule_set *rules;  /* as they were when its hosts were found */
    bool deferred;           /* one transaction was put off since DNS did not answer: the others wait */
    struct waiting *waiting; /* flows that move when the plan is made */
    size_t users;            /* runs that look at it */
    bool dropped;            /* no longer in the table; goes with its last user */
    size_t name_n;
    char name[];
};

/* The site of a place if its plan holds, else NULL. */
struct site *site_ready(struct engine *e, struct bytes place);
/* The flow waits until the plan is made, which begins now if nobody makes it; its slot on the path "" is given back
 * then. */
void site_await(struct engine *e, const struct course *to, struct bytes flow);
/* The same for who only looks: waits for DNS where nothing is known. NULL: somebody else asks, too long. Leave it. */
struct site *site_asked(struct engine *e, const struct course *to);
void site_leave(struct site *s);
/* Its hosts are asked for again before the next use. */
void site_stale(struct site *s);
/* What waits for its hosts need not wait for its own time. */
void site_hasten(struct site *s);
/* What changes by time: windows, and what may go at once since its hosts are back. */
void ways_look(struct engine *e);
/* Plans that have run out. */
void sites_reap(struct engine *e, int64_t now);
void sites_free(struct engine *e);
struct bytes site_name(const struct site *s);
/* The way to a recipient's domain, where one is known. */
struct way *site_way(struct engine *e, struct bytes domain, struct arena *a);
/* The host of its plan that has the address; NULL: none by now. */
const struct mx_host *site_host(const struct site *s, const struct network *address);

/* ---- plans ---- */

void hosts_find(struct engine *e, struct site *s); /* waits for DNS */
/* Gives it the way of its group. */
void hosts_join(struct engine *e, struct site *s, struct bytes group);
void own_refresh(struct engine *e, bool now); /* our own addresses and names, and those of other nodes */
bool own_is_name(const struct engine *e, struct bytes name);
/* Why mail to a domain would come back to us, with what is to be done if the domain is one of ours. */
struct bytes own_why(struct engine *e, struct bytes domain, struct bytes why, struct arena *a);

/* ---- families ---- */

/* Was the group last reached by IPv4, though it has IPv6 too? */
bool family_is_v4(const struct engine *e, struct bytes way);
/* A host was reached. `v6_failed`: behind one of IPv6 that was not. */
void family_worked(struct engine *e, const struct site *s, const struct network *address, bool v6_failed);
void families_free(struct engine *e);

/* ---- connections ---- */

/* What a connection must be for one transaction. */
struct demand {
    const struct mx_host *host;
    int port;
    enum route_tls tls;
    bool in_clear; /* TLS has failed with it in this attempt */
    const struct mail_route *route;
    struct script *script;
};

/* An idle connection to a host of the site that is as safe as that, taken out of the pool. */
struct conn *conn_take(struct engine *e, const struct site *s, enum route_tls tls);
bool conn_satisfies(const struct site *s, enum route_tls tls, const struct conn *c);
/* Connects and introduces itself. NULL: *out says where it ended, and `tls` what the handshake said. `loops`: the host
 * bears a name of ours. */
struct conn *conn_make(struct engine *e, struct way *w, const struct demand *d, int64_t until, struct answer *out,
                       struct tls_result *tls, bool *loops, struct arena *a);
bool conn_is_usable(const struct way *w, struct conn *c);
bool conn_may_follow(const struct way *w, const struct conn *c); /* takes another one behind the one under way? */
void conn_keep(struct engine *e, struct conn *c);                /* into the pool */
void conn_end(struct engine *e, struct conn **c);                /* hangs up, with QUIT where that is heard */
void conn_reap(struct engine *e, int64_t now);                   /* what was idle for too long */
void conns_end(struct engine *e);
void conns_free(struct engine *e); /* cuts them, with the net gone */

/* An address with which TLS has failed: how long it is left out. */
struct tls_failure_row {
    UT_hash_handle hh;
    struct {
        unsigned char address[16];
        int port;
    } key;
    int64_t until, lasts; /* monotonic */
};
/* Is it to be left out now? */
bool tls_is_avoided(struct engine *e, const struct network *address, int port);
void tls_avoid(struct engine *e, const struct network *address, int port);
void tls_memory_free(struct engine *e);

/* ---- work ---- */

struct held { /* a work under our lease */
    struct held *prev, *next;
    struct work *work;
};

/* The rows of one claim live until the last of its runs has ended. */
struct claimed {
    struct arena *arena;
    size_t users;
};
void claimed_leave(struct claimed **c);

struct transaction { /* one message for recipients of one site */
    struct work **works;
    size_t n;
};

struct run {
    struct engine *engine;
    struct claimed *claimed;
    struct site *site;
    struct way *way;
    struct transaction *list;
    size_t n;
    struct script script; /* of the attempt that is made */
    char flow[FLOW_MAX + 1];
};
void run_main(void *arg);

#define CLAIMS_MAX 8 /* at once */
/* Picks, claims, begins runs. False: nothing was to be done. */
bool claims_step(struct engine *e);
void leases_renew(struct engine *e);
void held_end(struct work *w);

/* What came of one recipient in an attempt. */
struct fate {
    struct work *work;
    struct judgement judgement;
    struct attempt attempt;
    struct answer said; /* the last of it, and by whom */
    const struct mx_host *said_by;
    struct id held_by; /* the suspension of a tag, and why that is */
    struct bytes held_why;
    bool open;   /* nothing is settled yet */
    bool unsent; /* nothing was tried: it goes back */
};

struct spoken;
struct note;
struct unwritten { /* verdicts that are being written down */
    struct unwritten *prev, *next;
    struct done *done;
    size_t n;
    int64_t from;      /* monotonic */
    struct note *note; /* is to be taken */
    bool noted;
};

struct turn { /* one attempt of one transaction */
    struct engine *engine;
    struct run *run;
    struct site *site;
    struct way *way;
    struct arena *arena;
    struct fate *fates;
    size_t n;
    struct conn *conn;    /* what it may use, and what may be used after it */
    int64_t began, until; /* monotonic; wall: at */
    int64_t at;
    int64_t now; /* the store's, of the verdicts given last: who is put off together is due together */
    size_t host; /* the next candidate */
    struct candidate {
        const struct mx_host *host;
        bool in_clear, again; /* TLS has failed there; a ticket has */
    } * candidates;
    size_t n_candidates, room;
    int connects;
    bool v6_failed;      /* a host of IPv6 was not reached */
    bool judged;         /* a recipient has a verdict of a peer: TLS is not given up any more */
    struct bytes sender; /* as it was said: the return path of the last transaction */
    enum route_tls tls;  /* of the route, or what the message requires */
    struct needs needs;
    struct convert_plan plan;   /* needs.converted: how */
    struct bytes signatures;    /* of this attempt's bytes, instead of the message's own; NO_BYTES: those hold */
    struct turn *next;          /* of the run: its envelope may be said behind our dot; NULL: it may not */
    struct spoken *spoken;      /* of ours, behind the dot of the one before */
    enum offer_refusal refusal; /* why a host was passed over; the message has it if all are */
};
void turn_make(struct turn *t);
bool turn_may_try(const struct turn *t); /* is another host left, and time? */
bool turn_is_past(const struct turn *t); /* of the message's time */
void turn_read_needs(struct turn *t);
/* To the host of t->conn, for all who are open; what is left to do is left to the next host or transaction. */
void turn_send(struct turn *t);
void turn_no_content(struct turn *t, const struct err *why); /* it cannot be had: for good, or for now */
/* What was said of it ahead, where it was not sent. */
void turn_take_back(struct turn *t);

/* The bytes of a transaction, as they go over the wire. */
struct outgo {
    struct turn *turn;
    const struct work *work;
    struct content *content;
    struct convert convert;
    struct wire wire;
    bool bare; /* without the message's own signatures */
};
/* ERR_GONE, ERR_SEALED, or of the store. End it with outgo_end. */
bool outgo_begin(struct outgo *x, struct turn *t, bool chunked, struct err *e);
bool outgo_next(void *x, struct bytes *piece, struct err *e); /* a source of the client */
void outgo_end(struct outgo *x);
/* Makes the plan of the conversion: needs.converted and its size from now on; what we sign is signed anew. */
enum convert_result outgo_convert(struct turn *t, struct err *e);
/* Signs what leaves as it leaves now: t->signatures. ERR_UNSIGNED: a key does not open. */
bool outgo_sign(struct turn *t, struct err *e);

/* Judges an answer to recipient i, or to all that are open. `last`: no other host is left. True: it is settled. */
bool fate_judge(struct turn *t, struct fate *f, const struct answer *x, const struct mx_host *h, bool last, bool loops);
/* No other host may be tried: what the last one said is the verdict. */
void fates_last(struct turn *t);
void fates_end(struct turn *t, enum verdict_ours why);
void fates_expired(struct turn *t);
/* An outcome without any server: capture, hold. */
void fates_outcome(struct turn *t, enum outcome outcome);
void fates_held(struct turn *t, const struct suspension *by);
void fates_unsent(struct turn *t);
void fates_plan(struct turn *t);    /* there are no hosts: what the plan says */
void fates_refused(struct turn *t); /* no host has what the message needs */
/* Writes down what became of each, again and again until it is written; what was not sent goes back. */
void turn_settle(struct turn *t);
void unwritten_look(struct engine *e, int64_t now); /* notes in outcomes.log what has waited for the store for long */

/* ---- suspensions ---- */

void stops_look(struct engine *e); /* takes what has changed */
void stops_free(struct engine *e);
void stops_way(struct engine *e, struct way *w);
/* When a flow is to be looked at again; 0: nothing stops it, as far as its name tells. */
int64_t stops_flow(struct engine *e, const struct flow_name *f, struct arena *a);
/* True: it may send one, or, when *until is set, none before then. *by: which one slows it. */
bool stops_slow(struct engine *e, const struct flow_name *f, const struct way *w, struct arena *a, struct id *by,
                int64_t *until);
void stops_unused(struct engine *e, struct id by); /* what it may send was not there */
/* Just before MAIL: is it stopped by now? Then all its fates are settled. */
bool stops_turn(struct turn *t);

/* ---- what is told ---- */

enum way_state { WAY_OPEN, WAY_DEAD, WAY_PROBE, WAY_SHUT, WAY_SUSPENDED };
enum way_state way_state(const struct way *w, int64_t now);
struct bytes way_json(struct way *w, struct arena *a);
void way_forgotten(struct engine *e, struct way *w); /* other nodes need not know any more */
void ways_note(struct engine *e, int64_t now);       /* writes down for other nodes which ways are not as new ones */
/* What the node that sent before us wrote down is ours to go on with; of ways that are not there yet later. */
bool ways_inherit(struct engine *e, struct err *err);
void way_inherit(struct engine *e, struct way *w); /* a new one */
void inheritance_free(struct engine *e);
void shown_paths(struct outlet *o, const struct bytes *sites, size_t n, struct arena *a, struct bytes *out);
/* ---- for people ---- */

bool engine_explain(struct outlet *o, const struct routes *routes, struct bytes flow, struct arena *a, int64_t until,
                    struct outlook *out);

/* ---- the engine ---- */

struct path_note;
struct credit;
struct family_row;

#define OWN_NAME 256
struct own_name {
    size_t n;
    char text[OWN_NAME];
};

struct engine {
    struct outlet outlet;
    struct service *svc;
    struct signal *wake;
    pthread_mutex_t mutex; /* arrivals */
    struct waiting *arrivals;
    size_t n_arrivals;
    bool missed; /* more came than were kept: look at the store */
    atomic_bool stopping;
    atomic_bool sends; /* it hears of what arrives: otherwise another node is to */
    atomic_int fibers;
    /* Of the loop alone: */
    bool locked, begun, listening;
    struct buf heard; /* how far the pokes of other nodes are read */
    int64_t token, lock_until, next_lock, next_scan, next_renewal, next_own, next_look, next_reap, next_count;
    struct sched *sched;
    struct way *ways;
    struct conn *idle; /* of all ways, the one that was kept longest first */
    size_t idle_n, leaving_n;
    struct site *sites;
    struct held held;           /* a ring */
    struct unwritten unwritten; /* likewise */
    size_t claiming;            /* claims that wait for the store */
    struct tls_client *tls;
    struct tls_failure_row *tls_failures;
    struct credit *taken; /* of rates, ahead */
    struct family_row *families;
    struct mx_guard guard;
    uint64_t routes_version; /* as flows lie by them */
    uint64_t rules_version;  /* as plans are made by them */
    uint64_t default_route;  /* a hash of the one of the parameters, likewise */
    struct retry_rules retry;
    struct pauses dead_for;
    struct path_note *inherited; /* of another node; in its arena */
    size_t n_inherited;
    struct arena *inherited_arena;
    struct network *own;        /* OWN_MOST */
    struct own_name *own_names; /* OWN_NAMES_MOST */
    size_t n_own, n_own_names;
    bool has_v6;
    struct suspension *stops; /* in force, as of `stops_version` */
    size_t n_stops;
    struct stream_pace *paces; /* of streams, likewise */
    size_t n_paces;
    struct arena *stops_arena;
    uint64_t stops_version;
};

#define ENGINE_LOOP    0u
#define OWN_MOST       2048
#define OWN_NAMES_MOST 256
/* A fiber of the engine's, on its loop. */
bool engine_spawn(struct engine *e, void (*run)(void *arg), void *arg);
void engine_left(struct engine *e); /* at its end */
bool engine_stops(const struct engine *e);
/* May a dot be sent? We hold the lock, and the store answers. */
bool engine_may_send(struct engine *e);
#endif
