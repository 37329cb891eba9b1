/* delivery/sched_inner.h - inside delivery/sched: what is known of flows, accounts and paths. sched.c keeps the tables,
 * sched_pick.c chooses. */
#ifndef DELIVERY_SCHED_INNER_H
#define DELIVERY_SCHED_INNER_H
#include "base/err.h"
#include "delivery/heap.h"
#include "delivery/sched.h"

#define uthash_fatal(message) die("out of memory: flows")
#include <uthash.h>

enum { CLASS_H, CLASS_N, CLASS_L, CLASSES };

struct account {
    UT_hash_handle hh;
    int running;
    size_t flows, ready;
    size_t name_n;
    char name[];
};

/* A path, as far as order is concerned. */
struct lane {
    UT_hash_handle hh;
    int window, running[CLASSES];
    size_t flows;
    int64_t served; /* of the class that was last served, when its turn began */
    struct {
        struct heap ready; /* flows by what they were served */
        int64_t served;    /* the class's own measure among the others */
        int64_t floor;     /* of the flow that was last served, when its turn began */
    } class[CLASSES];
    struct lane *prev, *next; /* in the ring of those that can take something; NULL: not in it */
    size_t name_n;
    char name[];
};

enum flow_state {
    FLOW_IDLE,   /* nothing of it waits */
    FLOW_TIMED,  /* in `timers`, by when it is due */
    FLOW_READY,  /* in its lane's heap */
    FLOW_PICKED, /* what it was given is being claimed */
    FLOW_MOVING, /* it waits for what runs on its old lane to end */
};

struct flow {
    struct heap_node node; /* first, so that a node is its flow */
    UT_hash_handle hh;
    struct lane *lane, *to; /* to: where it goes once nothing of it runs */
    struct account *account;
    int64_t send_at; /* when its next rows are due; 0: not known to have any */
    int64_t served;  /* cost it had */
    int class;
    int running, granted;
    enum flow_state state;
    size_t name_n;
    char name[];
};

struct sched {
    struct sched_limits limits;
    struct flow *flows;
    struct account *accounts;
    struct lane *lanes, *ring; /* ring: whose turn is next */
    size_t in_ring;
    struct heap timers;
    size_t ready;
    int running;
};

/* Puts the lane into the ring or takes it out, as it can take something now or not. */
void lane_update(struct sched *s, struct lane *l);
/* How many more transactions of the class the lane can take. */
int lane_room(const struct lane *l, int class);
/* What the flow and its class were given: cost, which may be negative to give some back. */
void flow_charge(struct flow *f, int64_t cost);
/* A flow that is due, into its lane's heap; and out of it again. */
void flow_ready(struct sched *s, struct flow *f);
void flow_unready(struct sched *s, struct flow *f);
#endif
