/* delivery/path.h - how much may be done at once on a path (one source to one group of hosts): a window that grows with
 * what works, shrinks with what does not, and a breaker. Pure: the time is passed in (milliseconds of one clock that
 * never goes back), the limits stand in the struct.
 *
 * | event                                   | rule                                                                |
 * | path_init                               | w = 2, OPEN                                                         |
 * | PATH_VERDICT: the peer has judged       | f = 0; if busy >= floor(w)-1: w = min(M, w+1/w). Refusals count too |
 * | PATH_FAILED: no connection, a 4xx       | f + 1, w = max(1, w-1)                                              |
 * |   greeting, lost before MAIL            |                                                                     |
 * | PATH_ALL_FAILED: that, of the last host | the same; f >= 5: DEAD for `pauses` (+-20 %), the k-th time           |
 * | PATH_SLOW: 421, 4.3.2, a rule of rate   | w = max(1, w/2), at most once in 10 s; no new connection for 30 s   |
 * | PATH_CROWDED: too many connections      | that, and M' = connections - 1 for 10 min, then one more each 10 min|
 * | PATH_RESUMED: a suspension ended        | w = 1, OPEN                                                         |
 * The end of DEAD is PROBE: one connection, one message. A verdict opens the path (w = 2, and path_revived says once
 * that what was deferred for the network's sake is due now); a failure is DEAD again, longer.
 *
 * A transaction is PATH_BEGUN before its MAIL and ends with PATH_ENDED, whatever came of it; a connection is
 * PATH_OPENED when it is begun and PATH_CLOSED. All of it belongs to one thread. */
#ifndef DELIVERY_PATH_H
#define DELIVERY_PATH_H
#include "base/network.h"
#include "delivery/pauses.h"

enum path_state { PATH_OPEN, PATH_DEAD, PATH_PROBE };

const char *path_state_text(enum path_state s); /* "open" */

enum path_event {
    PATH_NOTHING, /* for verdicts that say nothing of the path */
    PATH_OPENED,
    PATH_CLOSED,
    PATH_BEGUN,
    PATH_ENDED,
    PATH_VERDICT,
    PATH_FAILED,
    PATH_ALL_FAILED,
    PATH_SLOW,
    PATH_CROWDED,
    PATH_RESUMED,
};

enum { PATH_SICK_MAX = 16 };

struct path {
    int max;                     /* M: of the operator or a rule, at least 1; may be changed at any time */
    uint64_t seed;               /* spreads when it comes back */
    const struct pauses *pauses; /* delivery.dead_for; NULL: 1, 5, 10, 20, 30 min */
    /* To be read: */
    enum path_state state;
    double window;
    int failures;  /* in a row */
    int deaths;    /* k */
    int64_t until; /* DEAD: when it ends */
    int64_t quiet; /* no new connection before */
    int crowded;   /* M'; 0: not learnt */
    int64_t crowded_at;
    int open, busy; /* connections; transactions */
    int64_t halved_at;
    bool revived;
    struct {
        struct network address;
        int64_t until;
    } sick[PATH_SICK_MAX]; /* the least recent is forgotten */
};

void path_init(struct path *p, int max, uint64_t seed);
void path_event(struct path *p, enum path_event event, int64_t now);
/* How many transactions may run at once now, those that do included: floor of the window within M and M', 1 while it is
 * a PROBE, 0 while DEAD. */
int path_window(struct path *p, int64_t now);
/* Whether one more connection may be begun: fewer than path_window are open, and it is not quiet. */
bool path_may_connect(struct path *p, int64_t now);
/* When the path can change by time alone: the end of DEAD, of quiet, the next step of M'. 0: it will not.
 * For what is shown of a suspension; the engine looks often enough not to ask. */
int64_t path_next(const struct path *p, int64_t now);
/* True once after a PROBE worked. */
bool path_revived(struct path *p);

/* What a node that takes the path over has to know, its times by a clock that both have: `ahead` of ours by so much. */
struct path_kept {
    enum path_state state;
    double window;
    int failures, deaths, crowded;
    int64_t until, quiet, crowded_at; /* 0: never */
};
/* Is there anything in it that a new one would do wrong? It is not open, or was told to go slower not long ago. */
bool path_is_narrow(const struct path *p, int64_t now);
void path_keep(const struct path *p, int64_t ahead, struct path_kept *out);
void path_restore(struct path *p, int64_t ahead, const struct path_kept *kept);

/* A host of which a connection failed is sick for two minutes: others are tried first. */
void path_host_failed(struct path *p, const struct network *address, int64_t now);
void path_host_worked(struct path *p, const struct network *address);
bool path_host_sick(const struct path *p, const struct network *address, int64_t now);
#endif
